/* Kernel ridge regression: (K + alpha I) A = Y - mean, alpha = lambda * trace(K) / n, with the full n x n
 * kernel over the training samples, built in place: every rank computes its own blocks, n^2 / ranks numbers,
 * and holds the features of its rows and no others; predictions stream the training samples past every
 * rank's own test samples.
 *     rbf: exp(-gamma |x - y|^2),   linear: x.y */
#include "base/pv_clock.h"
#include "base/pv_json.h"
#include "base/pv_mem.h"
#include "pv_judge.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = PV_STREAM_ROWS }; /* own samples whose kernel with a block of the stream is held at a time */

typedef struct krr {
    const pv_comm *comm;
    const pv_probe_data *data;
    pv_kernel kernel;
    double gamma;
    pv_grid grid;
    pv_matrix system, targets; /* n x n, n x targets */
    double *rows, *norms; /* features of this rank's rows of the system: [local_rows][width], their squares */
    double *columns;      /* a block of the stream: [PV_STREAM_ROWS][width] */
    double *block, *coefficients; /* [CHUNK][PV_STREAM_ROWS], [PV_STREAM_ROWS][targets] */
    double *mean_y;               /* [targets] */
    double *val, *test;           /* predictions being added up */
} krr;

static void end(void *state)
{
    krr *k = state;
    pv_matrix_free(&k->system);
    pv_matrix_free(&k->targets);
    pv_grid_close(&k->grid);
    PV_FREE(k->rows, k->norms, k->columns, k->block, k->coefficients, k->mean_y);
}

static double square_of(int width, const double *x)
{
    return cblas_ddot(width, x, 1, x, 1);
}

/* Turns products into kernel values.  Shapes   block [cols][rows], columns `stride` apart; a, b: squared
 * norms. */
static void apply_kernel(const krr *k, int64_t rows, int64_t cols, const double *a, const double *b,
                         int64_t stride, double *block)
{
    for (int64_t c = 0; k->kernel == PV_KERNEL_RBF && c < cols; c++)
        for (int64_t r = 0; r < rows; r++) {
            double *value = &block[c * stride + r];
            *value = exp(-k->gamma * fmax(0, a[r] + b[c] - 2 * *value));
        }
}

/* Keeps the features of the rows that this rank holds. */
static void take_rows(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    krr *k = context;
    const int width = k->data->train.width;
    const int64_t to = pv_matrix_rows_before(&k->system, first + count);
    for (int64_t r = pv_matrix_rows_before(&k->system, first); r < to; r++) {
        const int64_t i = pv_matrix_row(&k->system, r) - first;
        memcpy(k->rows + r * width, x + i * width, sizeof *x * (size_t)width);
        k->norms[r] = square_of(width, x + i * width);
    }
    (void)y;
}

/* Computes this rank's part of the columns that a block of the stream stands for. */
static void build_columns(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    krr *k = context;
    pv_matrix *m = &k->system;
    const int width = k->data->train.width;
    const int64_t from = pv_matrix_cols_before(m, first),
                  cols = pv_matrix_cols_before(m, first + count) - from;
    double norms[PV_STREAM_ROWS];
    (void)y;
    for (int64_t c = 0; c < cols; c++) {
        const double *column = x + (pv_matrix_col(m, from + c) - first) * width;
        memcpy(k->columns + c * width, column, sizeof *x * (size_t)width);
        norms[c] = square_of(width, column);
    }
    if (cols == 0 || m->local_rows == 0) return;
    double *part = m->values + from * m->local_rows;
    cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)m->local_rows, (int)cols, width, 1, k->rows,
                width, k->columns, width, 0, part, (int)m->local_rows);
    apply_kernel(k, m->local_rows, cols, k->norms, norms, m->local_rows, part);
}

static void fill_targets(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    krr *k = context;
    pv_matrix *m = &k->targets;
    const int64_t to = pv_matrix_rows_before(m, first + count);
    (void)x;
    for (int64_t c = 0; c < m->local_cols; c++)
        for (int64_t r = pv_matrix_rows_before(m, first); r < to; r++) {
            const int64_t target = pv_matrix_col(m, c);
            m->values[c * m->local_rows + r] =
                y[(pv_matrix_row(m, r) - first) * m->cols + target] - k->mean_y[target];
        }
}

/* The system of every lambda is built anew: a factorisation replaces it, and a copy would double the
 * memory. */
static void build_system(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    build_columns(context, first, count, x, y);
    fill_targets(context, first, count, x, y);
}

/* Adds what a block of training samples says of this rank's samples of a split. */
static void add_predictions(const krr *k, const pv_features *f, int64_t count, const double *x,
                            const double *norms, double *predictions)
{
    const int width = f->width, targets = f->targets;
    double own[CHUNK];
    for (int64_t first = 0; first < f->count; first += CHUNK) {
        const int64_t rows = f->count - first < CHUNK ? f->count - first : CHUNK;
        const double *samples = f->x + first * width;
        for (int64_t i = 0; i < rows; i++)
            own[i] = square_of(width, samples + i * width);
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)rows, (int)count, width, 1, samples, width,
                    x, width, 0, k->block, (int)rows);
        apply_kernel(k, rows, count, own, norms, rows, k->block);
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)rows, targets, (int)count, 1, k->block,
                    (int)rows, k->coefficients, targets, 1, predictions + first * targets, targets);
    }
}

static void predict_block(void *context, int64_t first, int64_t count, const double *x, const double *y)
{
    krr *k = context;
    const int width = k->data->train.width;
    double norms[PV_STREAM_ROWS];
    (void)y;
    for (int64_t i = 0; i < count; i++)
        norms[i] = square_of(width, x + i * width);
    pv_matrix_get(&k->targets, (pv_box){first, count, 0, k->targets.cols}, k->coefficients);
    add_predictions(k, &k->data->val, count, x, norms, k->val);
    add_predictions(k, &k->data->test, count, x, norms, k->test);
}

static void start_from_mean(const krr *k, const pv_features *f, double *predictions)
{
    for (int64_t i = 0; i < f->count * f->targets; i++)
        predictions[i] = k->mean_y[i % f->targets];
}

static pv_status predict(void *state, double lambda, double *val, double *test, pv_probe_result *result)
{
    krr *k = state;
    const pv_features *train = &k->data->train;
    pv_status st;
    const double begin = pv_seconds();
    PV_TRY(pv_features_stream(k->comm, train, build_system, k));
    result->build_seconds = pv_seconds() - begin;
    PV_TRY(pv_probe_solve(&k->system, lambda, &k->targets, result));
    start_from_mean(k, &k->data->val, val);
    start_from_mean(k, &k->data->test, test);
    k->val = val;
    k->test = test;
    st = pv_features_stream(k->comm, train, predict_block, k);
done:
    return st;
}

static pv_status allocate(krr *k)
{
    const pv_features *f = &k->data->train;
    pv_status st = PV_OK;
    PV_ALLOC(k->rows, k->system.local_rows * f->width);
    PV_ALLOC(k->norms, k->system.local_rows);
    PV_ALLOC(k->columns, (int64_t)PV_STREAM_ROWS * f->width);
    PV_ALLOC(k->block, (int64_t)CHUNK * PV_STREAM_ROWS);
    PV_ALLOC(k->coefficients, (int64_t)PV_STREAM_ROWS * f->targets);
    PV_ALLOC(k->mean_y, f->targets);
done:
    return st;
}

/* gamma such that the mean squared distance of scaled features is of order one: 1 / (width x mean
 * variance). */
static double default_gamma(const pv_comm *comm, const pv_features *f)
{
    double sums[2] = {0, 0};
    for (int64_t i = 0; i < f->count * f->width; i++) {
        sums[0] += f->x[i];
        sums[1] += f->x[i] * f->x[i];
    }
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, comm->world);
    const double numbers = (double)f->samples * f->width, mean = sums[0] / numbers;
    const double variance = sums[1] / numbers - mean * mean;
    return variance > 0 ? 1 / (f->width * variance) : 1;
}

static const char *const kernels[] = {"rbf", "linear", NULL}; /* by pv_kernel */

static pv_status start(const pv_probe_job *job, const pv_probe_data *data, const pv_candidates *lambdas,
                       void *state)
{
    krr *k = state;
    const pv_krr_opts *opts = job->options;
    const pv_features *train = &data->train;
    pv_status st;
    (void)lambdas;
    k->comm = job->comm;
    k->data = data;
    k->kernel = opts->kernel;
    k->gamma = opts->gamma > 0 ? opts->gamma : default_gamma(k->comm, train);
    pv_json_text(job->result, "kernel", kernels[k->kernel]);
    if (k->kernel == PV_KERNEL_RBF) pv_json_real(job->result, "gamma", k->gamma);
    pv_grid_open(k->comm, &k->grid);
    PV_TRY(pv_matrix_make(&k->grid, train->samples, train->samples, &k->system));
    PV_TRY(pv_matrix_make(&k->grid, train->samples, train->targets, &k->targets));
    PV_TRY(pv_agree(k->comm, allocate(k)));
    pv_features_moments(k->comm, train->samples, train->count, train->targets, train->y, k->mean_y, NULL);
    st = pv_features_stream(k->comm, train, take_rows, k);
done:
    return st;
}

static const pv_option options[] = {
    PV_PROBE_LAMBDA(pv_krr_opts),
    {PV_KEY(pv_krr_opts, kernel), .choices = kernels, .initial = "rbf", .meaning = "of two samples"},
    {PV_KEY(pv_krr_opts, gamma), PV_ABOVE(0), .value = "G",
     .meaning = "of rbf; left out: 1 / (width x variance) of the features"},
    {0}};

const pv_probe pv_probe_krr = {
    .plugin = {.name = "krr",
               .help = "kernel ridge regression; the whole kernel, n x n: 8 n^2 / ranks bytes a rank",
               PV_OWN(options, pv_krr_opts)},
    .standardised = true,
    .candidates = "lambda",
    .state_size = sizeof(krr),
    .start = start,
    .predict = predict,
    .end = end,
};
