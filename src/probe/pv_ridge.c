/* Linear ridge regression on distributed matrices. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "pv_matrix.h"
#include "pv_choose.h"
#include "pv_panel.h"
#include "pv_probe_report.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

typedef struct ridge {
    const pv_comm *comm;
    const pv_probe_data *data;
    pv_grid *grid;
    pv_matrix gram, system, weights;
    double *mean, *mean_y; /* of the training split: [width], [targets] */
    double *right;         /* [width][targets]: X'(Y - mean) */
    double *solution;      /* [width][targets] */
    double trace, build_seconds;
} ridge;

static void ridge_close(ridge *r)
{
    pv_matrix_free(&r->gram);
    pv_matrix_free(&r->system);
    pv_matrix_free(&r->weights);
    pv_grid_close(r->grid);
    free(r->mean);
    free(r->mean_y);
    free(r->right);
    free(r->solution);
}

static pv_status allocate(ridge *r)
{
    const int64_t width = r->data->train.width, targets = r->data->train.targets;
    pv_status st = PV_OK;
    PV_ALLOC(r->mean, width);
    PV_ALLOC(r->mean_y, targets);
    PV_ALLOC(r->right, width * targets);
    PV_ALLOC(r->solution, width * targets);
done:
    return st;
}

/* X'(Y - mean), summed over all ranks; X'mean vanishes as X is centred. */
static void build_right(ridge *r)
{
    enum { MESSAGE = 1 << 20 };
    const pv_features *f = &r->data->train;
    const int64_t width = f->width, targets = f->targets, numbers = width * targets;
    for (int64_t i = 0; i < f->count; i++)
        for (int64_t k = 0; k < width; k++) {
            const double x = f->x[i * width + k] - r->mean[k];
            for (int64_t t = 0; t < targets; t++)
                r->right[k * targets + t] += x * (f->y[i * targets + t] - r->mean_y[t]);
        }
    for (int64_t done = 0; done < numbers; done += MESSAGE)
        MPI_Allreduce(MPI_IN_PLACE, r->right + done,
                      (int)(numbers - done < MESSAGE ? numbers - done : MESSAGE), MPI_DOUBLE, MPI_SUM,
                      r->comm->world);
}

static pv_status build(ridge *r)
{
    const pv_features *f = &r->data->train;
    const pv_centred x = {f, r->mean};
    pv_status st;
    PV_TRY(pv_grid_open(r->comm, &r->grid));
    PV_TRY(pv_matrix_make(r->grid, f->width, f->width, &r->gram));
    PV_TRY(pv_matrix_make(r->grid, f->width, f->width, &r->system));
    PV_TRY(pv_matrix_make(r->grid, f->width, f->targets, &r->weights));
    pv_features_moments(r->comm, f->samples, f->count, f->width, f->x, r->mean, NULL);
    pv_features_moments(r->comm, f->samples, f->count, f->targets, f->y, r->mean_y, NULL);
    const double start = pv_seconds();
    PV_TRY(pv_gram(r->comm, &x, &r->gram));
    build_right(r);
    r->build_seconds = pv_seconds() - start;
    r->trace = pv_matrix_trace(&r->gram);
done:
    return st;
}

static void predict_split(const ridge *r, const pv_features *f, double *predictions)
{
    const int width = f->width, targets = f->targets;
    for (int64_t i = 0; i < f->count; i++)
        for (int t = 0; t < targets; t++) {
            double value = r->mean_y[t];
            for (int k = 0; k < width; k++)
                value += (f->x[i * width + k] - r->mean[k]) * r->solution[k * targets + t];
            predictions[i * targets + t] = value;
        }
}

static pv_status predict(void *context, double lambda, double *val, double *test, pv_probe_result *result)
{
    ridge *r = context;
    const int64_t width = r->gram.rows, targets = r->weights.cols;
    pv_factoring about;
    pv_status st;
    result->added = lambda * r->trace / (double)width;
    pv_matrix_copy(&r->gram, &r->system);
    pv_matrix_add_diagonal(&r->system, result->added);
    PV_TRY(pv_matrix_factor(&r->system, &about));
    for (int64_t c = 0; c < r->weights.local_cols; c++)
        for (int64_t row = 0; row < r->weights.local_rows; row++)
            r->weights.values[c * r->weights.local_rows + row] =
                r->right[pv_matrix_row(&r->weights, row) * targets + pv_matrix_col(&r->weights, c)];
    PV_TRY(pv_matrix_solve(&r->system, &r->weights));
    pv_matrix_get(&r->weights, (pv_box){0, width, 0, targets}, r->solution);
    predict_split(r, &r->data->val, val);
    predict_split(r, &r->data->test, test);
    result->rcond = about.rcond;
    result->factor_seconds = about.seconds;
    result->build_seconds = r->build_seconds;
    result->system = width;
    result->system_bytes = pv_matrix_largest_part(&r->system);
done:
    return st;
}

pv_status pv_ridge_fit(const pv_comm *comm, const pv_probe_data *data, const pv_candidates *lambdas,
                       pv_probe_result *result)
{
    ridge r = {.comm = comm, .data = data};
    pv_status st;
    *result = (pv_probe_result){0};
    if (data->train.samples == 0)
        return pv_fail(PV_ERR_DATA, "there are no training samples to fit a probe to");
    PV_TRY(pv_agree(comm, allocate(&r)));
    PV_TRY(build(&r));
    PV_TRY(pv_probe_choose(comm, data, lambdas, predict, &r, result));
done:
    ridge_close(&r);
    return st;
}

/* ---- the plug-in ---- */

/* Its words on the command line. */
typedef struct words {
    const char *lambda;
} words;

static const pv_option options[] = {{PV_KEY(words, lambda), .initial = "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1,1,10",
                                     .value = "L,...",
                                     .meaning = "candidates, as shares of the mean diagonal of the system"},
                                    {0}};

static pv_status check_words(const void *own)
{
    pv_candidates lambdas;
    return pv_candidates_read("--lambda", ((const words *)own)->lambda, 0, &lambdas);
}

static pv_status judge(const pv_probe_job *job, const pv_probe_data *data)
{
    pv_candidates lambdas;
    pv_probe_result found = {0};
    pv_status st;
    PV_TRY(pv_candidates_read("--lambda", ((const words *)job->options)->lambda, 0, &lambdas));
    PV_TRY(pv_ridge_fit(job->comm, data, &lambdas, &found));
    pv_probe_report_system(&found, job->result);
    st = pv_probe_report(job, data, "lambda", &found);
done:
    pv_probe_result_free(&found);
    return st;
}

const pv_probe pv_probe_ridge = {
    .plugin = {.name = "ridge",
               .help = "linear ridge regression, as a classifier or of real targets",
               .options = options,
               .options_size = sizeof(words)},
    .standardised = true,
    .check = check_words,
    .judge = judge,
};
