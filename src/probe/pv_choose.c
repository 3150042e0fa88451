/* Chooses a hyperparameter on the validation split. */
#include "pv_choose.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "1e-3,1e-2": numbers from `least` up. */
pv_status pv_candidates_read(const char *option, const char *text, double least, pv_candidates *list)
{
    list->count = 0;
    for (const char *at = text;; at++) {
        char *end;
        const double value = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !(value >= least) || value > 1e12)
            return pv_fail(PV_ERR_USAGE, "%s is a list of numbers from %g up (1e-3,1e-2), not '%s'", option,
                           least, text);
        if (list->count == PV_PROBE_CANDIDATES)
            return pv_fail(PV_ERR_USAGE, "%s takes %d numbers at most", option, PV_PROBE_CANDIDATES);
        list->of[list->count++] = value;
        at = end;
        if (!*at) return PV_OK;
    }
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

/* Coefficients of determination: scores [targets].  Shapes   mean, errors [targets] are scratch. */
static double determination(const pv_comm *comm, const pv_features *f, const double *predictions,
                            double *mean, double *errors, double *scores)
{
    const int targets = f->targets;
    double sum = 0;
    pv_features_moments(comm, f->samples, f->count, targets, f->y, mean, scores);
    memset(errors, 0, sizeof *errors * (size_t)targets);
    for (int64_t i = 0; i < f->count; i++)
        for (int t = 0; t < targets; t++) {
            const double error = predictions[i * targets + t] - f->y[i * targets + t];
            errors[t] += error * error;
        }
    MPI_Allreduce(MPI_IN_PLACE, errors, targets, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int t = 0; t < targets; t++) {
        scores[t] = 1 - errors[t] / ((double)f->samples * scores[t] * scores[t]);
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
    double *val, *test, *scratch; /* scratch [3][targets]: the scores of a split's targets come first */
    bool any;
} trial;

static pv_status try_candidate(const pv_comm *comm, const pv_probe_data *data, double candidate,
                               pv_predict predict, void *context, trial *t, pv_probe_result *result)
{
    pv_probe_result about = *result;
    memset(t->val, 0, sizeof *t->val * (size_t)(data->val.count * data->val.targets));
    memset(t->test, 0, sizeof *t->test * (size_t)(data->test.count * data->test.targets));
    const pv_status st = predict(context, candidate, t->val, t->test, &about);
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

static pv_status allocate(const pv_probe_data *data, trial *t, pv_probe_result *result)
{
    const int targets = data->train.targets;
    pv_status st = PV_OK;
    PV_ALLOC(t->val, data->val.count * targets);
    PV_ALLOC(t->test, data->test.count * targets);
    PV_ALLOC(t->scratch, 3 * targets);
    PV_ALLOC(result->predictions, data->test.count * targets);
    if (!data->classes) PV_ALLOC(result->target_scores, targets);
done:
    return st;
}

pv_status pv_probe_choose(const pv_comm *comm, const pv_probe_data *data, const pv_candidates *candidates,
                          pv_predict predict, void *context, pv_probe_result *result)
{
    trial t = {0};
    pv_status st;
    *result = (pv_probe_result){.factor_seconds = (double)INFINITY, .build_seconds = (double)INFINITY};
    PV_TRY(pv_agree(comm, check(data, candidates)));
    PV_TRY(pv_agree(comm, allocate(data, &t, result)));
    for (int i = 0; i < candidates->count; i++) {
        st = try_candidate(comm, data, candidates->of[i], predict, context, &t, result);
        if (st != PV_OK && (st != PV_ERR_NUMERIC || (!t.any && i == candidates->count - 1))) goto done;
        if (st != PV_OK) pv_log_warn("%g is left out: %s", candidates->of[i], pv_fail_message());
    }
    st = PV_OK;
    result->test_score = score(comm, data, &data->test, result->predictions, t.scratch);
    for (int target = 0; !data->classes && target < data->test.targets; target++)
        result->target_scores[target] = t.scratch[target];
done:
    free(t.val);
    free(t.test);
    free(t.scratch);
    if (st != PV_OK) pv_probe_result_free(result);
    return st;
}

void pv_probe_result_free(pv_probe_result *result)
{
    free(result->predictions); // NOLINT(clang-analyzer-unix.Malloc): swapped with the trial's, never shared
    free(result->target_scores);
    *result = (pv_probe_result){0};
}
