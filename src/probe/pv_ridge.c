/* Linear ridge regression to all targets at once, with an intercept that is not penalised:
 *     (X'X + alpha I) W = X'(Y - mean),   X centred,   alpha = lambda * trace(X'X) / width.
 * X'X is summed over ranks block by block into a distributed matrix; each lambda is one Cholesky
 * factorisation. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "pv_judge.h"

#include <stdlib.h>

typedef struct ridge {
    const pv_probe_data *data;
    pv_grid grid;
    pv_matrix gram, right;     /* X'X, X'(Y - mean) */
    pv_matrix system, weights; /* copies of them that a lambda is solved in */
    double *mean, *mean_y;     /* of the training split: [width], [targets] */
    double *solution;          /* [width][targets] */
    double build_seconds;
} ridge;

static void end(void *state)
{
    ridge *r = state;
    pv_matrix_free(&r->gram);
    pv_matrix_free(&r->right);
    pv_matrix_free(&r->system);
    pv_matrix_free(&r->weights);
    pv_grid_close(&r->grid);
    PV_FREE(r->mean, r->mean_y, r->solution);
}

static pv_status allocate(ridge *r)
{
    const pv_features *f = &r->data->train;
    pv_status st = PV_OK;
    PV_ALLOC(r->mean, f->width);
    PV_ALLOC(r->mean_y, f->targets);
    PV_ALLOC(r->solution, (int64_t)f->width * f->targets);
done:
    return st;
}

static pv_status start(const pv_probe_job *job, const pv_probe_data *data, const pv_candidates *lambdas,
                       void *state)
{
    ridge *r = state;
    const pv_features *f = &data->train;
    pv_status st;
    (void)lambdas;
    r->data = data;
    PV_TRY(pv_agree(job->comm, allocate(r)));
    const pv_centred x = {f->x, f->count, f->width, r->mean}, y = {f->y, f->count, f->targets, r->mean_y};
    pv_grid_open(job->comm, &r->grid);
    PV_TRY(pv_matrix_make(&r->grid, f->width, f->width, &r->gram));
    PV_TRY(pv_matrix_make(&r->grid, f->width, f->width, &r->system));
    PV_TRY(pv_matrix_make(&r->grid, f->width, f->targets, &r->right));
    PV_TRY(pv_matrix_make(&r->grid, f->width, f->targets, &r->weights));
    pv_features_moments(job->comm, f->samples, f->count, f->width, f->x, r->mean, NULL);
    pv_features_moments(job->comm, f->samples, f->count, f->targets, f->y, r->mean_y, NULL);
    const double begin = pv_seconds();
    PV_TRY(pv_matrix_add_products(&r->gram, &x, &x));
    PV_TRY(pv_matrix_add_products(&r->right, &x, &y));
    r->build_seconds = pv_seconds() - begin;
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

static pv_status predict(void *state, double lambda, double *val, double *test, pv_probe_result *result)
{
    ridge *r = state;
    pv_status st;
    pv_matrix_copy(&r->gram, &r->system);
    pv_matrix_copy(&r->right, &r->weights);
    PV_TRY(pv_probe_solve(&r->system, lambda, &r->weights, result));
    pv_matrix_get(&r->weights, (pv_box){0, r->weights.rows, 0, r->weights.cols}, r->solution);
    predict_split(r, &r->data->val, val);
    predict_split(r, &r->data->test, test);
    result->build_seconds = r->build_seconds;
done:
    return st;
}

/* Its words on the command line. */
typedef struct words {
    char *lambda;
} words;

static const pv_option options[] = {PV_PROBE_LAMBDA(words), {0}};

const pv_probe pv_probe_ridge = {
    .plugin = {.name = "ridge",
               .help = "linear ridge regression, as a classifier or of real targets",
               PV_OWN(options, words)},
    .standardised = true,
    .candidates = "lambda",
    .state_size = sizeof(ridge),
    .start = start,
    .predict = predict,
    .end = end,
};
