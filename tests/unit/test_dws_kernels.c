/* The fused sweeps of DWS against plain loops, on every instruction set and for widths that fill no
 * vector. */
#include "kernel_test.h"
#include "nn/dws/pv_dws_kernels.h"

enum { SAMPLES = 2, ROWS = 5, COLS = 21, TERMS = 3, ENTRIES = SAMPLES * ROWS * COLS, MOST_F = 41 };

static const int widths[] = {1, 3, 8, 10, 16, 23, 32, MOST_F};

/* A block of one width, with what any sweep reads and writes. */
typedef struct block {
    pv_dws_block b;
    pv_real *x, *y, *dz;   /* [samples][rows][cols][f] */
    pv_dws_values margins; /* row, col, all */
    double row[SAMPLES * ROWS * MOST_F], col[SAMPLES * COLS * MOST_F],
        all[SAMPLES * MOST_F]; /* their truth */
    double truth[ENTRIES * MOST_F], sum[MOST_F], dot[MOST_F];
} block;

static block *block_new(int f, bool max)
{
    block *k = calloc(1, sizeof *k);
    k->b = (pv_dws_block){.count = SAMPLES, .rows = ROWS, .cols = COLS, .f = f, .max = max};
    k->x = some((int64_t)ENTRIES * f, 1);
    k->y = some((int64_t)ENTRIES * f, 2);
    k->dz = some((int64_t)ENTRIES * f, 3);
    k->margins =
        (pv_dws_values){some(SAMPLES * ROWS * f, 4), some(SAMPLES * COLS * f, 5), some(SAMPLES * f, 6)};
    return k;
}

static void block_free(block *k)
{
    free(k->x);
    free(k->y);
    free(k->dz);
    free(k->margins.row);
    free(k->margins.col);
    free(k->margins.all);
    free(k);
}

/* Sample, row and column of entry e, and where its values stand in the margins. */
typedef struct place {
    int row, col, all;
} place;

static place place_of(int e, int f, int k)
{
    const int s = e / (ROWS * COLS), r = e / COLS % ROWS, c = e % COLS;
    return (place){(s * ROWS + r) * f + k, (s * COLS + c) * f + k, s * f + k};
}

static void join(bool max, double *into, double x)
{
    *into = max ? fmax(*into, x) : *into + x;
}

/* The margins of a tensor: sums or maxima over columns, over rows, and over both. */
static void pool_reference(block *k, const double *x)
{
    const int f = k->b.f;
    for (int i = 0; i < SAMPLES * ROWS * f; i++)
        k->row[i] = k->b.max ? (double)-INFINITY : 0;
    for (int i = 0; i < SAMPLES * COLS * f; i++)
        k->col[i] = k->b.max ? (double)-INFINITY : 0;
    for (int i = 0; i < SAMPLES * f; i++)
        k->all[i] = k->b.max ? (double)-INFINITY : 0;
    for (int e = 0; e < ENTRIES; e++)
        for (int i = 0; i < f; i++) {
            const place p = place_of(e, f, i);
            join(k->b.max, &k->row[p.row], x[e * f + i]);
            join(k->b.max, &k->col[p.col], x[e * f + i]);
            join(k->b.max, &k->all[p.all], x[e * f + i]);
        }
}

static void assert_margins(const block *k)
{
    assert_near(SAMPLES * ROWS * k->b.f, k->margins.row, k->row);
    assert_near(SAMPLES * COLS * k->b.f, k->margins.col, k->col);
    assert_near(SAMPLES * k->b.f, k->margins.all, k->all);
}

static void for_all_widths(void (*check)(block *k))
{
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int max = 0; max < 2; max++) {
            block *k = block_new(widths[i], max);
            check(k);
            block_free(k);
        }
}

/* x = ReLU(gamma y + beta), dropped or divided by the probability to be kept; pooled. */
static void check_activate(block *k)
{
    const pv_dws_kernels *kernels = PV_ISA_CHOOSE(pv_dws_kernels);
    const int f = k->b.f, words = pv_dws_words(kernels, f);
    uint16_t draws[ENTRIES * MOST_F], bits[ENTRIES * MOST_F];
    pv_rng rng = pv_rng_open(7, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < ENTRIES * f; i++)
        draws[i] = (uint16_t)pv_rng_below(&rng, 65536);
    const uint32_t threshold = 50000;
    kernels->pack_bits(ENTRIES, f, draws, threshold, bits);
    pv_real *gamma = some(f, 8), *beta = some(f, 9);
    assert_true(words >= 1);
    for (int drop = 0; drop < 2; drop++) {
        const pv_dws_activation how = {
            .scale = gamma, .shift = beta, .bits = drop ? bits : NULL, .keep = (pv_real)1.25};
        for (int i = 0; i < ENTRIES * f; i++) {
            const double z = fmax(0, (double)gamma[i % f] * (double)k->y[i] + (double)beta[i % f]);
            k->truth[i] = !drop ? z : draws[i] < threshold ? 1.25 * z : 0;
        }
        pool_reference(k, k->truth);
        kernels->activate(&k->b, &how, k->y, k->x, &k->margins);
        assert_near((int64_t)ENTRIES * f, k->x, k->truth);
        assert_margins(k);
    }
    free(gamma);
    free(beta);
}

static void check_pool(block *k)
{
    for (int i = 0; i < ENTRIES * k->b.f; i++)
        k->truth[i] = (double)k->x[i];
    pool_reference(k, k->truth);
    PV_ISA_CHOOSE(pv_dws_kernels)->pool(&k->b, k->x, &k->margins);
    assert_margins(k);
}

/* y = [y +] x W + row + col, and the sums over y and y^2 that batch norm wants. */
static void check_combine(block *k)
{
    const int f = k->b.f;
    pv_real *x = some(ENTRIES * TERMS, 10), *w = some(TERMS * f, 11), *y = some((int64_t)ENTRIES * f, 12);
    double sum[MOST_F] = {0}, square[MOST_F] = {0};
    for (int i = 0; i < ENTRIES * f; i++) {
        const place p = place_of(i / f, f, i % f);
        double z =
            (k->b.max ? (double)y[i] : 0) + (double)k->margins.row[p.row] + (double)k->margins.col[p.col];
        for (int t = 0; t < TERMS; t++)
            z += (double)x[i / f * TERMS + t] * (double)w[t * f + i % f];
        k->truth[i] = z;
        k->sum[i % f] += z;
        k->dot[i % f] += z * z;
    }
    PV_ISA_CHOOSE(pv_dws_kernels)->combine(&k->b, TERMS, x, w, &k->margins, k->b.max, y, sum, square);
    assert_near((int64_t)ENTRIES * f, y, k->truth);
    for (int i = 0; i < f; i++) {
        assert_true(fabs(sum[i] - k->sum[i]) <= 1e-4 * (1 + fabs(k->sum[i])));
        assert_true(fabs(square[i] - k->dot[i]) <= 1e-5 * k->dot[i]);
    }
    free(x);
    free(w);
    free(y);
}

/* dy = a dz + b (y - mean) + c, the gradient through batch norm, and its sums over the margins. */
static void check_normalise_back(block *k)
{
    const int f = k->b.f;
    pv_real *mean = some(f, 13), *a = some(f, 14), *b = some(f, 15), *c = some(f, 16);
    const pv_dws_norm_back how = {.mean = mean, .a = a, .b = b, .c = c};
    for (int i = 0; i < ENTRIES * f; i++)
        k->truth[i] = (double)a[i % f] * (double)k->dz[i] +
                      (double)b[i % f] * ((double)k->y[i] - (double)mean[i % f]) + (double)c[i % f];
    const bool max = k->b.max;
    k->b.max = false;
    pool_reference(k, k->truth);
    PV_ISA_CHOOSE(pv_dws_back_kernels)->normalise_back(&k->b, &how, k->y, k->dz, k->x, &k->margins);
    assert_near((int64_t)ENTRIES * f, k->x, k->truth);
    assert_margins(k);
    k->b.max = max;
    free(mean);
    free(a);
    free(b);
    free(c);
}

/* The gradient of pooling: to every entry for a sum, to the first that holds it for a maximum; then of the
 * ReLU. */
static void check_deactivate(block *k)
{
    const int f = k->b.f;
    pv_real *mean = some(f, 17);
    pv_dws_values best = {some(SAMPLES * ROWS * f, 0), some(SAMPLES * COLS * f, 0), some(SAMPLES * f, 0)};
    double sum[MOST_F] = {0}, dot[MOST_F] = {0}, row[SAMPLES * ROWS * MOST_F], col[SAMPLES * COLS * MOST_F];
    PV_ISA_CHOOSE(pv_dws_kernels)->pool(&k->b, k->x, &best);
    for (int i = 0; i < SAMPLES * ROWS * f; i++)
        row[i] = (double)k->margins.row[i];
    for (int i = 0; i < SAMPLES * COLS * f; i++)
        col[i] = (double)k->margins.col[i];
    for (int i = 0; i < ENTRIES * f; i++) {
        const place p = place_of(i / f, f, i % f);
        double g = (double)k->dz[i];
        if (!k->b.max || k->x[i] == best.row[p.row]) g += row[p.row];
        if (!k->b.max || k->x[i] == best.col[p.col]) g += col[p.col];
        k->truth[i] = k->x[i] > 0 ? 1.5 * g : 0;
        k->sum[i % f] += k->truth[i];
        k->dot[i % f] += k->truth[i] * ((double)k->y[i] - (double)mean[i % f]);
    }
    const pv_dws_gate gate = {.x = k->x,
                              .best = best,
                              .relu = true,
                              .keep = (pv_real)1.5,
                              .y = k->y,
                              .mean = mean,
                              .sum = sum,
                              .dot = dot};
    PV_ISA_CHOOSE(pv_dws_back_kernels)->deactivate(&k->b, &gate, &k->margins, k->dz);
    assert_near((int64_t)ENTRIES * f, k->dz, k->truth);
    for (int i = 0; i < f; i++) {
        assert_true(fabs(sum[i] - k->sum[i]) <= 1e-4 * (1 + fabs(k->sum[i])));
        assert_true(fabs(dot[i] - k->dot[i]) <= 1e-4 * (1 + fabs(k->dot[i])));
    }
    free(mean);
    free(best.row);
    free(best.col);
    free(best.all);
}

/* What the whole tensor's margin owes goes to its columns: to all, or to the first that holds the maximum. */
static void check_fold(block *k)
{
    const int f = k->b.f;
    pv_dws_values best = {some(SAMPLES * ROWS * f, 0), some(SAMPLES * COLS * f, 0), some(SAMPLES * f, 0)};
    PV_ISA_CHOOSE(pv_dws_kernels)->pool(&k->b, k->x, &best);
    for (int i = 0; i < SAMPLES * COLS * f; i++) {
        const int all = i / (COLS * f) * f + i % f;
        const bool due = !k->b.max || best.col[i] == best.all[all];
        k->col[i] = (double)k->margins.col[i] + (due ? (double)k->margins.all[all] : 0);
    }
    PV_ISA_CHOOSE(pv_dws_back_kernels)->fold(&k->b, &best, &k->margins);
    assert_near(SAMPLES * COLS * f, k->margins.col, k->col);
    free(best.row);
    free(best.col);
    free(best.all);
}

/* The first entry that holds a feature's maximum, where that is positive. */
static void check_find(block *k)
{
    if (!k->b.max) return;
    const int f = k->b.f;
    pv_dws_values best = {some(SAMPLES * ROWS * f, 0), some(SAMPLES * COLS * f, 0), some(SAMPLES * f, 0)};
    k->x[3 * f] = k->x[9 * f] = 100; /* two that hold it: the first counts */
    PV_ISA_CHOOSE(pv_dws_kernels)->pool(&k->b, k->x, &best);
    int32_t *truth = malloc(sizeof *truth * (size_t)(SAMPLES * f)),
            *holder = malloc(sizeof *holder * (size_t)(SAMPLES * f));
    for (int i = 0; i < SAMPLES * f; i++)
        truth[i] = -1;
    for (int e = ENTRIES - 1; e >= 0; e--)
        for (int i = 0; i < f; i++) {
            const int all = place_of(e, f, i).all;
            if (best.all[all] > 0 && k->x[e * f + i] == best.all[all]) truth[all] = e % (ROWS * COLS);
        }
    PV_ISA_CHOOSE(pv_dws_kernels)->find(&k->b, k->x, best.all, holder);
    assert_memory_equal(holder, truth, sizeof *truth * (size_t)(SAMPLES * f));
    free(truth);
    free(holder);
    free(best.row);
    free(best.col);
    free(best.all);
}

static void all_forward(void)
{
    for_all_widths(check_activate);
    for_all_widths(check_pool);
    for_all_widths(check_combine);
    for_all_widths(check_find);
}

static void all_backward(void)
{
    for_all_widths(check_normalise_back);
    for_all_widths(check_deactivate);
    for_all_widths(check_fold);
}

static void sweeps_forward_are_what_plain_loops_give(void **state)
{
    (void)state;
    on_every_isa(all_forward);
}

static void sweeps_backward_are_what_plain_loops_give(void **state)
{
    (void)state;
    on_every_isa(all_backward);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweeps_forward_are_what_plain_loops_give),
        cmocka_unit_test(sweeps_backward_are_what_plain_loops_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
