/* The loops over features against their formulas, written out in double, on every instruction set; batch norm
 * against that of PyTorch. */
#include "kernel_test.h"
#include "nn/core/pv_batch_norm.h"
#include "nn/gnn/pv_gnn_kernels.h"

enum { ROWS = 71, MOST_F = 300, MOST = ROWS * MOST_F, SLOTS = 2, POSITIONS = 3, SAMPLES = 5 };

static const int widths[] = {1, 7, 16, 33, MOST_F}; /* features: also more than a stripe of the kernels */

static double truth[MOST];

/* ---- y += alpha row, and the sum of rows ---- */

static void rows_of(int f)
{
    const pv_nn_kernels *kernels = PV_ISA_CHOOSE(pv_nn_kernels);
    const double alpha = 0.75;
    pv_real *y = some(ROWS * f, 1), *row = some(f, 2), *x = some(ROWS * f, 3), *sum = some(f, 4);
    for (int i = 0; i < ROWS * f; i++)
        truth[i] = (double)y[i] + alpha * (double)row[i % f];
    kernels->add_row(ROWS, f, (pv_real)alpha, row, y);
    assert_near(ROWS * f, y, truth);
    for (int k = 0; k < f; k++) {
        truth[k] = (double)sum[k];
        for (int i = 0; i < ROWS; i++)
            truth[k] += alpha * (double)x[i * f + k];
    }
    kernels->sum_rows(ROWS, f, (pv_real)alpha, x, sum);
    assert_near(f, sum, truth);
    free(y);
    free(row);
    free(x);
    free(sum);
}

/* ---- ReLU and dropout ---- */

static void gates_of(int n)
{
    const pv_nn_kernels *kernels = PV_ISA_CHOOSE(pv_nn_kernels);
    const double scale = 1.25;
    pv_real *x = some(n, 1), *dy = some(n, 2), *y = some(n, 3);
    uint16_t draws[MOST_F];
    x[0] = 0;
    for (int i = 0; i < n; i++) {
        draws[i] = (uint16_t)((uint32_t)i * 2654435761U >> 16);
        truth[i] = x[i] > 0 ? scale * (double)dy[i] : 0; /* nothing passes at 0 */
    }
    kernels->relu_backward(n, x, (pv_real)scale, dy);
    assert_near(n, dy, truth);
    for (int i = 0; i < n; i++)
        truth[i] = draws[i] < 40000 ? scale * (double)y[i] : 0;
    kernels->dropout(n, draws, 40000, (pv_real)scale, y);
    assert_near(n, y, truth);
    for (int i = 0; i < n; i++)
        truth[i] = fmax((double)x[i], 0);
    kernels->relu(n, x, x);
    assert_near(n, x, truth);
    free(x);
    free(dy);
    free(y);
}

/* ---- the sweeps of batch norm ---- */

static void norm_sweeps_of(int f)
{
    const pv_nn_kernels *kernels = PV_ISA_CHOOSE(pv_nn_kernels);
    const int n = ROWS * f;
    pv_real *y = some(n, 1), *dz = some(n, 2), *x = some(n, 3), *mean = some(f, 4), *a = some(f, 5),
            *b = some(f, 6), *c = some(f, 7), sums[4][MOST_F];
    double first[MOST_F], second[MOST_F], sum[MOST_F] = {0}, square[MOST_F] = {0}, dsum[MOST_F] = {0},
                                          dot[MOST_F] = {0};
    kernels->moments(ROWS, f, y, sum, square);
    kernels->norm_backward_sums(ROWS, f, y, mean, dz, dsum, dot);
    for (int k = 0; k < f; k++) {
        sums[0][k] = (pv_real)sum[k];
        sums[1][k] = (pv_real)square[k];
        sums[2][k] = (pv_real)dsum[k];
        sums[3][k] = (pv_real)dot[k];
    }
    for (int backward = 0; backward < 2; backward++) {
        for (int k = 0; k < f; k++)
            first[k] = second[k] = 0;
        for (int i = 0; i < n; i++) {
            const double value = (double)(backward ? dz : y)[i];
            first[i % f] += value;
            second[i % f] += value * (backward ? (double)y[i] - (double)mean[i % f] : value);
        }
        assert_near(f, sums[2 * backward], first);
        assert_near(f, sums[2 * backward + 1], second);
    }
    for (int i = 0; i < n; i++)
        truth[i] = fmax((double)y[i] * (double)a[i % f] + (double)b[i % f], 0);
    kernels->affine_relu(ROWS, f, y, a, b, x);
    assert_near(n, x, truth);
    for (int i = 0; i < n; i++)
        truth[i] = (double)a[i % f] * (double)dz[i] +
                   (double)b[i % f] * ((double)y[i] - (double)mean[i % f]) + (double)c[i % f];
    kernels->norm_backward(ROWS, f, y, mean, a, b, c, dz);
    assert_near(n, dz, truth);
    pv_real *const all[] = {y, dz, x, mean, a, b, c};
    for (int i = 0; i < 7; i++)
        free(all[i]);
}

static void for_all_widths(void (*test)(int f))
{
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        test(widths[i]);
}

static void loops(void)
{
    for_all_widths(rows_of);
    for_all_widths(gates_of);
    for_all_widths(norm_sweeps_of);
}

static void loops_are_their_formulas(void **state)
{
    (void)state;
    on_every_isa(loops);
}

/* ---- BatchNorm1d: z = gamma (y - mu) / sqrt(sigma^2 + eps) + beta, mu and sigma^2 of the batch ---- */

enum { F = 7, N = SAMPLES * POSITIONS };

typedef struct normed {
    double mu[F], variance[F]; /* biased */
} normed;

static normed statistics(const pv_real *y)
{
    normed s = {{0}, {0}};
    for (int i = 0; i < N * F; i++)
        s.mu[i % F] += (double)y[i] / N;
    for (int i = 0; i < N * F; i++)
        s.variance[i % F] += ((double)y[i] - s.mu[i % F]) * ((double)y[i] - s.mu[i % F]) / N;
    return s;
}

/* L = sum of dz z; what it is about y, gamma and beta by the chain rule through mu and sigma^2. */
static void batch_norm_back(const pv_real *y, const pv_real *dz, const pv_real *gamma, double *dy,
                            double *dgamma, double *dbeta)
{
    const normed s = statistics(y);
    for (int k = 0; k < F; k++) {
        const double sigma = sqrt(s.variance[k] + 1e-5);
        double dmu = 0, dvariance = 0;
        dgamma[k] = dbeta[k] = 0;
        for (int i = k; i < N * F; i += F) {
            const double d = (double)dz[i], centred = (double)y[i] - s.mu[k];
            dgamma[k] += d * centred / sigma;
            dbeta[k] += d;
            dmu -= d * (double)gamma[k] / sigma;
            dvariance -= d * (double)gamma[k] * centred / (2 * sigma * sigma * sigma);
        }
        for (int i = k; i < N * F; i += F)
            dy[i] = (double)dz[i] * (double)gamma[k] / sigma + dmu / N +
                    dvariance * 2 * ((double)y[i] - s.mu[k]) / N;
    }
}

static void check_slot(pv_batch_norm *norm, int slot, const pv_real *y, pv_real *dz)
{
    const pv_nn_params *params = norm->params;
    const int weight = norm->tensors[slot];
    const pv_real *gamma = pv_nn_values(params, weight), *beta = pv_nn_values(params, weight + 1);
    const normed s = statistics(y);
    double dgamma[F], dbeta[F];
    pv_real x[N * F];
    for (int i = 0; i < N * F; i++)
        truth[i] = fmax((double)gamma[i % F] * ((double)y[i] - s.mu[i % F]) / sqrt(s.variance[i % F] + 1e-5) +
                            (double)beta[i % F],
                        0);
    pv_batch_norm_apply(norm, slot, N, y, x);
    assert_near(N * F, x, truth);
    for (int k = 0; k < F; k++) {
        truth[k] = 0.1 * s.mu[k];
        truth[F + k] = 0.9 + 0.1 * s.variance[k] * N / (N - 1);
    }
    assert_near(F, pv_nn_values(params, weight + 2), truth);
    assert_near(F, pv_nn_values(params, weight + 3), truth + F);
    assert_true(pv_nn_values(params, weight + 4)[0] == 1);
    batch_norm_back(y, dz, gamma, truth, dgamma, dbeta);
    pv_batch_norm_backward_apply(norm, slot, N, y, dz);
    assert_near(N * F, dz, truth);
    assert_near(F, pv_nn_gradients(params, weight), dgamma);
    assert_near(F, pv_nn_gradients(params, weight + 1), dbeta);
}

static void batch_norm(void)
{
    const pv_pass pass = {.training = true, .global_batch = SAMPLES};
    pv_memory memory = {0};
    pv_nn_params params;
    pv_nn_params_open(&params, &memory);
    pv_batch_norm norm = {.params = &params, .features = F};
    pv_batch_norm_add(&norm, "first", POSITIONS);
    pv_batch_norm_add(&norm, "second", POSITIONS);
    pv_batch_norm_reserve(&norm);
    assert_int_equal(pv_nn_params_close(&params), PV_OK);
    pv_nn_params_init(&params, 1);
    pv_real *y[SLOTS], *dz[SLOTS], *trained = some(params.length, 9);
    memcpy(params.values, trained, sizeof *trained * (size_t)params.length);
    pv_batch_norm_clear(&norm);
    for (int slot = 0; slot < SLOTS; slot++) {
        y[slot] = some(N * F, (uint64_t)slot + 1);
        dz[slot] = some(N * F, (uint64_t)slot + 3);
        pv_batch_norm_collect(&norm, slot, N / 3, y[slot]); /* in two chunks */
        pv_batch_norm_collect(&norm, slot, N - N / 3, y[slot] + N / 3 * F);
    }
    pv_batch_norm_settle(&norm, &pass);
    pv_batch_norm_clear(&norm);
    for (int slot = 0; slot < SLOTS; slot++)
        pv_batch_norm_backward_collect(&norm, slot, N, y[slot], dz[slot]);
    pv_batch_norm_backward_sums(&norm);
    pv_batch_norm_backward_settle(&norm, &pass);
    for (int slot = 0; slot < SLOTS; slot++) {
        check_slot(&norm, slot, y[slot], dz[slot]);
        free(y[slot]);
        free(dz[slot]);
    }
    free(trained);
    pv_memory_free(&memory);
}

static void batch_norm_is_that_of_pytorch(void **state)
{
    (void)state;
    on_every_isa(batch_norm);
}

/* ---- what edges add to the output of a node, from their features pooled by the shares of attention ---- */

enum { IN = 5, HEADS = 4, PER_HEAD = 24, CHANNELS = HEADS * PER_HEAD };

static void spread_pooled(void)
{
    const pv_gnn_kernels *kernels = PV_ISA_CHOOSE(pv_gnn_kernels);
    const int lanes = PV_ISA_CHOOSE(pv_nn_kernels)->lanes, width = lanes > HEADS ? lanes : HEADS;
    const pv_attention_row row = {.nodes = 1, .channels = CHANNELS, .heads = HEADS, .width = width};
    pv_real *weight = some(IN * CHANNELS, 1), *pooled = some(IN * width, 2), *out = some(CHANNELS, 3),
            *dout = some(CHANNELS, 4), *dweight = some(IN * CHANNELS, 5), *dpooled = some(IN * width, 6),
            *flipped = some(IN * width, 7);
    double of_pooled[IN * HEADS] = {0};
    for (int k = 0; k < IN; k++) /* a head's number stands in every group of them */
        for (int v = HEADS; v < width; v++)
            pooled[k * width + v] = pooled[k * width + v % HEADS];
    for (int c = 0; c < CHANNELS; c++) {
        truth[c] = (double)out[c];
        for (int k = 0; k < IN; k++)
            truth[c] += (double)weight[k * CHANNELS + c] * (double)pooled[k * width + c % HEADS];
    }
    kernels->spread_pooled(&row, IN, weight, pooled, out);
    assert_near(CHANNELS, out, truth);
    for (int k = 0; k < IN; k++)
        for (int c = 0; c < CHANNELS; c++) {
            truth[k * CHANNELS + c] =
                (double)dweight[k * CHANNELS + c] + (double)dout[c] * (double)pooled[k * width + c % HEADS];
            of_pooled[k * HEADS + c % HEADS] += (double)weight[k * CHANNELS + c] * (double)dout[c];
        }
    kernels->spread_pooled_backward(&row, IN, weight, pooled, dout, dweight, dpooled, flipped);
    assert_near(IN * CHANNELS, dweight, truth);
    for (int k = 0; k < IN; k++)
        for (int v = 0; v < width; v++)
            assert_near(1, &dpooled[k * width + v], &of_pooled[k * HEADS + v % HEADS]);
    for (int h = 0; h < width; h++)
        for (int k = 0; k < IN; k++)
            assert_near(1, &flipped[h * IN + k], h < HEADS ? &of_pooled[k * HEADS + h] : &(double){0});
    pv_real *const all[] = {weight, pooled, out, dout, dweight, dpooled, flipped};
    for (int i = 0; i < 7; i++)
        free(all[i]);
}

static void pooled_edges_are_their_formula(void **state)
{
    (void)state;
    on_every_isa(spread_pooled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_are_their_formulas),
        cmocka_unit_test(batch_norm_is_that_of_pytorch),
        cmocka_unit_test(pooled_edges_are_their_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
