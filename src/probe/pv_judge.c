/* The table of probes, and how those that predict choose a candidate and report what they found. */
#include "base/pv_json.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "pv_judge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(name) &pv_probe_##name.plugin,
const pv_registry pv_probes = {"probe", (const pv_plugin *const[]){PV_PROBES(ENTRY) NULL}};

/* The candidates of the option: "1e-3,1e-2". */
static pv_status read_candidates(const pv_probe *probe, const void *options, pv_candidates *list)
{
    const char *const text = *(const char *const *)options;
    list->count = 0;
    for (const char *at = text;; at++) {
        char *end;
        const double value = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(value >= probe->least) || value > 1e12)
            return pv_fail(PV_ERR_USAGE, "--%s is a list of numbers from %g up (1e-3,1e-2), not '%s'",
                           probe->candidates, probe->least, text);
        if (list->count == PV_PROBE_CANDIDATES)
            return pv_fail(PV_ERR_USAGE, "--%s takes %d numbers at most", probe->candidates,
                           PV_PROBE_CANDIDATES);
        list->of[list->count++] = value;
        at = end;
        if (!*at) return PV_OK;
    }
}

pv_status pv_probe_check(const pv_probe *probe, const void *options)
{
    pv_candidates list;
    return probe->predict ? read_candidates(probe, options, &list) : PV_OK;
}

/* Share of samples whose largest prediction is at their label. */
static double accuracy(const pv_comm *comm, const pv_features *f, const double *predictions)
{
    int64_t correct = 0;
    for (int64_t i = 0; i < f->count; i++) {
        const double *row = predictions + i * f->targets;
        int best = 0;
        for (int t = 1; t < f->targets; t++)
            if (row[t] > row[best]) best = t;
        correct += best == f->label[i];
    }
    MPI_Allreduce(MPI_IN_PLACE, &correct, 1, MPI_INT64_T, MPI_SUM, comm->world);
    return (double)correct / (double)f->samples;
}

/* Coefficients of determination: scores [targets], NaN of a target that does not vary.
 * Shapes   mean, errors [targets] are scratch. */
static double determination(const pv_comm *comm, const pv_features *f, const double *predictions,
                            double *mean, double *errors, double *scores)
{
    const int targets = f->targets;
    double sum = 0;
    pv_features_moments(comm, f->samples, f->count, targets, f->y, mean, NULL);
    memset(errors, 0, sizeof *errors * (size_t)targets);
    memset(scores, 0, sizeof *scores * (size_t)targets);
    for (int64_t i = 0; i < f->count; i++)
        for (int t = 0; t < targets; t++) {
            const double error = predictions[i * targets + t] - f->y[i * targets + t];
            const double spread = f->y[i * targets + t] - mean[t];
            errors[t] += error * error;
            scores[t] += spread * spread;
        }
    MPI_Allreduce(MPI_IN_PLACE, errors, targets, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, scores, targets, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int t = 0; t < targets; t++) {
        const bool varies = sqrt(scores[t] / (double)f->samples) > 1e-14 * fabs(mean[t]);
        scores[t] = varies ? 1 - errors[t] / scores[t] : (double)NAN;
        sum += scores[t];
    }
    return sum / targets;
}

static double score(const pv_comm *comm, const pv_probe_data *data, const pv_features *f,
                    const double *predictions, double *scratch)
{
    if (f->samples == 0) return (double)NAN;
    if (data->classes) return accuracy(comm, f, predictions);
    return determination(comm, f, predictions, scratch + f->targets, scratch + 2 * f->targets, scratch);
}

static pv_status check(const pv_probe_data *data, const pv_candidates *candidates)
{
    if (data->train.samples == 0)
        return pv_fail(PV_ERR_DATA, "there are no training samples to fit a probe to");
    if (candidates->count > 1 && data->val.samples == 0)
        return pv_fail(PV_ERR_DATA,
                       "there are no validation samples to choose between %d candidates on: name one",
                       candidates->count);
    return PV_OK;
}

/* What is kept while candidates are tried. */
typedef struct trial {
    void *state;                  /* the probe's */
    double *val, *test, *scratch; /* scratch [3][targets]: the scores of a split's targets come first */
    bool any;
} trial;

static pv_status try_candidate(const pv_probe *probe, const pv_comm *comm, const pv_probe_data *data,
                               double candidate, trial *t, pv_probe_result *result)
{
    pv_probe_result about = *result;
    memset(t->val, 0, sizeof *t->val * (size_t)(data->val.count * data->val.targets));
    memset(t->test, 0, sizeof *t->test * (size_t)(data->test.count * data->test.targets));
    const pv_status st = probe->predict(t->state, candidate, t->val, t->test, &about);
    if (st != PV_OK) return st;
    about.chosen = candidate;
    about.val_score = score(comm, data, &data->val, t->val, t->scratch);
    about.factor_seconds = fmin(about.factor_seconds, result->factor_seconds);
    about.build_seconds = fmin(about.build_seconds, result->build_seconds);
    if (t->any && !(about.val_score > result->val_score)) {
        result->factor_seconds = about.factor_seconds;
        result->build_seconds = about.build_seconds;
        return PV_OK;
    }
    t->any = true;
    about.predictions = t->test;
    t->test = result->predictions;
    *result = about;
    return PV_OK;
}

static pv_status allocate(const pv_probe *probe, const pv_probe_data *data, trial *t, pv_probe_result *result)
{
    const int targets = data->train.targets;
    pv_status st = PV_OK;
    if (!(t->state = pv_alloc(1, probe->state_size))) return PV_ERR_NOMEM;
    PV_ALLOC(t->val, data->val.count * targets);
    PV_ALLOC(t->test, data->test.count * targets);
    PV_ALLOC(t->scratch, 3 * targets);
    PV_ALLOC(result->predictions, data->test.count * targets);
    if (!data->classes) PV_ALLOC(result->target_scores, targets);
done:
    return st;
}

pv_status pv_probe_fit(const pv_probe *probe, const pv_probe_job *job, const pv_probe_data *data,
                       const pv_candidates *candidates, pv_probe_result *result)
{
    const pv_comm *comm = job->comm;
    trial t = {0};
    pv_status st;
    *result = (pv_probe_result){.factor_seconds = (double)INFINITY, .build_seconds = (double)INFINITY};
    PV_TRY(pv_agree(comm, check(data, candidates)));
    PV_TRY(pv_agree(comm, allocate(probe, data, &t, result)));
    PV_TRY(probe->start(job, data, candidates, t.state));
    for (int i = 0; i < candidates->count; i++) {
        st = try_candidate(probe, comm, data, candidates->of[i], &t, result);
        if (st != PV_OK && (st != PV_ERR_NUMERIC || (!t.any && i == candidates->count - 1))) goto done;
        if (st != PV_OK) pv_log_warn("%g is left out: %s", candidates->of[i], pv_fail_message());
    }
    st = PV_OK;
    result->test_score = score(comm, data, &data->test, result->predictions, t.scratch);
    for (int target = 0; result->target_scores && target < data->test.targets; target++)
        result->target_scores[target] = t.scratch[target];
done:
    if (t.state) probe->end(t.state);
    PV_FREE(t.state, t.val, t.test, t.scratch);
    if (st != PV_OK) pv_probe_result_free(result);
    return st;
}

void pv_probe_result_free(pv_probe_result *result)
{
    free(result->predictions); // NOLINT(clang-analyzer-unix.Malloc): swapped with the trial's, never shared
    free(result->target_scores);
    *result = (pv_probe_result){0};
}

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
    if (!found->target_scores) return;
    json_t *targets = json_array();
    for (int t = 0; t < data->test.targets; t++) {
        const double of = found->target_scores[t];
        json_array_append_new(targets, isfinite(of) ? json_real(of) : json_null());
    }
    json_object_set_new(result, "test_r2_of_targets", targets);
}

/* The system of ridge and krr. */
static void report_system(const pv_probe_result *found, json_t *result)
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

pv_column pv_probe_column(const pv_features *f, const char *name, int64_t width, const double *values)
{
    return (pv_column){name, H5T_NATIVE_DOUBLE, width, f->samples, f->first, f->count, values};
}

pv_status pv_probe_write(const pv_probe_job *job, const char *kind, const pv_features *f,
                         const pv_column *own, int count)
{
    enum { SAMPLE_COLUMNS = 4, MOST = 8 };
    pv_column columns[MOST] = {pv_probe_column(f, "/truth", f->targets, f->y),
                               {"/label", H5T_NATIVE_INT32, 0, f->samples, f->first, f->count, f->label},
                               {"/object", H5T_NATIVE_INT64, 0, f->samples, f->first, f->count, f->object},
                               {"/view", H5T_NATIVE_INT64, 0, f->samples, f->first, f->count, f->view}};
    memcpy(columns + SAMPLE_COLUMNS, own, sizeof *own * (size_t)count);
    return pv_columns_write(job->comm, job->output, kind, columns, SAMPLE_COLUMNS + count);
}

pv_status pv_probe_judge(const pv_probe *probe, const pv_probe_job *job, const pv_probe_data *data)
{
    pv_candidates candidates;
    pv_probe_result found = {0};
    pv_status st;
    if (probe->judge) return probe->judge(job, data);
    PV_TRY(read_candidates(probe, job->options, &candidates));
    PV_TRY(pv_probe_fit(probe, job, data, &candidates, &found));
    if (found.system > 0)
        report_system(&found, job->result);
    else
        pv_json_int(job->result, probe->candidates, (int64_t)found.chosen);
    report_score(data, probe->candidates, &found, job->result);
    const pv_column predictions =
        pv_probe_column(&data->test, "/prediction", data->test.targets, found.predictions);
    if (job->output) st = pv_probe_write(job, "predictions", &data->test, &predictions, 1);
done:
    pv_probe_result_free(&found);
    return st;
}

pv_status pv_probe_solve(pv_matrix *system, double lambda, pv_matrix *right, pv_probe_result *result)
{
    pv_factoring about;
    pv_status st;
    result->added = lambda * pv_matrix_trace(system) / (double)system->rows;
    pv_matrix_add_diagonal(system, result->added);
    PV_TRY(pv_matrix_factor(system, &about));
    PV_TRY(pv_matrix_solve(system, right));
    result->rcond = about.rcond;
    result->factor_seconds = about.seconds;
    result->system = system->rows;
    result->system_bytes = pv_matrix_largest_part(system);
done:
    return st;
}
