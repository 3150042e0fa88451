/* What probes put into the result, and into files. */
#include "pv_probe_report.h"
#include "base/pv_json.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "store/pv_columns.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

static void report_score(const pv_probe_data *data, const char *candidate, const pv_probe_result *found,
                         json_t *result)
{
    const char *what = data->classes ? "accuracy" : "r2";
    char name[32];
    if (data->val.samples > 0) {
        snprintf(name, sizeof name, "val_%s", what);
        pv_json_real(result, name, found->val_score);
    }
    snprintf(name, sizeof name, "test_%s", what);
    pv_json_real(result, name, found->test_score);
    pv_log_info("test %s %.4f with %s %g", what, found->test_score, candidate, found->chosen);
    if (data->classes) return;
    json_t *targets = json_array();
    for (int t = 0; t < data->test.targets; t++)
        json_array_append_new(targets, json_real(found->target_scores[t]));
    json_object_set_new(result, "test_r2_of_targets", targets);
}

void pv_probe_report_system(const pv_probe_result *found, json_t *result)
{
    const double n = (double)found->system, flops = n * n * n / 3;
    pv_json_real(result, "lambda", found->chosen);
    pv_json_real(result, "alpha", found->added);
    pv_json_real(result, "reciprocal_condition", found->rcond);
    pv_json_int(result, "unknowns", found->system);
    pv_json_real(result, "system_mib_rank", (double)found->system_bytes / 0x1p20);
    pv_json_real(result, "build_seconds", found->build_seconds);
    pv_json_real(result, "factor_seconds", found->factor_seconds);
    pv_json_real(result, "factor_gflops", flops / found->factor_seconds / 1e9);
}

enum { SAMPLE_COLUMNS = 4 };

/* What says which sample a row is of. */
static void sample_columns(const pv_features *f, pv_column *columns)
{
    columns[0] = (pv_column){"/truth", H5T_NATIVE_DOUBLE, f->targets, f->samples, f->first, f->count, f->y};
    columns[1] = (pv_column){"/label", H5T_NATIVE_INT32, 0, f->samples, f->first, f->count, f->label};
    columns[2] = (pv_column){"/object", H5T_NATIVE_INT64, 0, f->samples, f->first, f->count, f->object};
    columns[3] = (pv_column){"/view", H5T_NATIVE_INT64, 0, f->samples, f->first, f->count, f->view};
}

/* /prediction [samples][targets], /truth likewise, /label, /object, /view. */
static pv_status write_predictions(const pv_probe_job *job, const pv_features *test,
                                   const double *predictions)
{
    pv_column columns[SAMPLE_COLUMNS + 1];
    sample_columns(test, columns);
    columns[SAMPLE_COLUMNS] = (pv_column){"/prediction", H5T_NATIVE_DOUBLE, test->targets, test->samples,
                                          test->first,   test->count,       predictions};
    if (!job->output) return PV_OK;
    return pv_columns_write(job->comm, job->output, "predictions", columns, SAMPLE_COLUMNS + 1);
}

pv_status pv_probe_report(const pv_probe_job *job, const pv_probe_data *data, const char *candidate,
                          const pv_probe_result *found)
{
    report_score(data, candidate, found, job->result);
    return write_predictions(job, &data->test, found->predictions);
}

pv_status pv_probe_write_components(const pv_probe_job *job, const pv_features *test, const pv_pca *pca)
{
    const pv_comm *comm = job->comm;
    if (!job->output) return PV_OK;
    double *coordinates = pv_alloc(test->count * pca->components, sizeof *coordinates);
    pv_column columns[SAMPLE_COLUMNS + 3];
    pv_status st = pv_agree(comm, coordinates ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK) {
        pv_pca_apply(pca, test, coordinates);
        sample_columns(test, columns);
        columns[SAMPLE_COLUMNS] =
            (pv_column){"/coordinates", H5T_NATIVE_DOUBLE, pca->components, test->samples,
                        test->first,    test->count,       coordinates};
        columns[SAMPLE_COLUMNS + 1] = (pv_column){"/embedding", H5T_NATIVE_DOUBLE, test->width, test->samples,
                                                  test->first,  test->count,       test->x};
        columns[SAMPLE_COLUMNS + 2] = (pv_column){
            "/explained",  H5T_NATIVE_DOUBLE, 0, pca->components, 0, comm->rank == 0 ? pca->components : 0,
            pca->explained};
        st = pv_columns_write(comm, job->output, "coordinates", columns, SAMPLE_COLUMNS + 3);
    }
    free(coordinates);
    return st;
}
