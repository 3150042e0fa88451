/* Products of bfloat16 against products of the rounded numbers in double, on every instruction set, and the
 * processor's own squares against plain arithmetic, bit by bit; the sweeps over words against those over
 * floats. */
#include "kernel_test.h"
#include "nn/core/pv_narrow_kernels.h"
#include "nn/core/pv_words_kernels.h"
#include "nn/dws/pv_dws_narrow_kernels.h"

enum { GROUP = PV_WORDS_GROUP, HALF = GROUP / 2, SPARE = PV_WORDS_SPARE };

/* Rounded to 8 significant bits; what lies in the middle goes away from 0. */
static double rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x8000) & UINT32_C(0xffff0000);
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

/* Number k of a row of words. */
static double number_of(const float *words, int64_t k)
{
    uint32_t word;
    memcpy(&word, words + k / GROUP * HALF + k % HALF, sizeof word);
    word = k % GROUP < HALF ? word << 16 : word & UINT32_C(0xffff0000);
    float x;
    memcpy(&x, &word, sizeof x);
    return (double)x;
}

/* Begins and ends what needs the processor's squares; false where it has none. */
static bool squares_begin(void)
{
    const bool there = pv_cpu_multiplies_squares();
    if (there) PV_ISA_CHOOSE(pv_narrow_kernels)->begin();
    return there;
}

static void assert_product(double got, double truth, double size)
{
    assert_true(fabs(got - truth) <= 2e-6 * size + 1e-6);
}

/* ---- products that round as they read */

static void check_product(const pv_matrix_kernels *kernels, int m, int n, int k, int more, bool turned,
                          bool add, float *c)
{
    float *a = some((int64_t)m * k, 1), *b = some((int64_t)k * n, 2), *a2 = some((int64_t)m * more, 3),
          *b2 = some((int64_t)more * n, 4), *start = some((int64_t)m * n, 5);
    const pv_product_term terms[2] = {
        {.a = a, .b = b, .row = turned ? 1 : k, .step = turned ? m : 1, .ldb = n, .k = k},
        {.a = a2, .b = b2, .row = more, .step = 1, .ldb = n, .k = more}};
    memcpy(c, start, sizeof *c * (size_t)m * (size_t)n);
    kernels->product(m, n, 2, terms, add, c);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double truth = add ? (double)start[i * n + j] : 0, size = 1;
            for (int p = 0; p < k + more; p++) {
                const double of_a = p < k ? rounded(a[turned ? p * m + i : i * k + p])
                                          : rounded(a2[i * more + p - k]),
                             of_b = p < k ? rounded(b[p * n + j]) : rounded(b2[(p - k) * n + j]);
                truth += of_a * of_b;
                size += fabs(of_a * of_b);
            }
            assert_product((double)c[i * n + j], truth, size);
        }
    float *const all[] = {a, b, a2, b2, start};
    for (int i = 0; i < 5; i++)
        free(all[i]);
}

static void products(void)
{
    const pv_narrow_kernels *kernels = PV_ISA_CHOOSE(pv_narrow_kernels);
    const int rows[] = {16, 19, 32, 131}, widths[] = {16, 40, 131}, depths[] = {16, 33, 270};
    static float plain[131 * 131], own[131 * 131];
    const bool there = squares_begin();
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++)
                for (int way = 0; way < 4; way++) {
                    const int m = rows[i], n = widths[j], more = way & 1 ? 5 : 32;
                    check_product(&kernels->plain, m, n, depths[k], more, way & 2, way & 1, plain);
                    if (!there) continue;
                    check_product(&kernels->own, m, n, depths[k], more, way & 2, way & 1, own);
                    assert_memory_equal(own, plain, sizeof *own * (size_t)(m * n));
                }
    if (there) kernels->end();
}

static void check_outer(const pv_matrix_kernels *kernels, int m, int n, int k, float *c)
{
    float *a = some((int64_t)k * m, 1), *b = some((int64_t)k * n, 2), *start = some((int64_t)m * n, 3);
    memcpy(c, start, sizeof *c * (size_t)m * (size_t)n);
    kernels->outer(m, n, k, 96, 0.5F, a, b, c);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double truth = (double)start[i * n + j], size = 1;
            for (int p = 0; p < k; p++) {
                const double term = 0.5 * rounded(a[p * m + i]) * rounded(b[p * n + j]);
                truth += term;
                size += fabs(term);
            }
            assert_product((double)c[i * n + j], truth, size);
        }
    free(a);
    free(b);
    free(start);
}

static void outers(void)
{
    const pv_narrow_kernels *kernels = PV_ISA_CHOOSE(pv_narrow_kernels);
    const int sizes[] = {16, 35, 131}, depths[] = {16, 100, 600};
    static float plain[131 * 131], own[131 * 131];
    const bool there = squares_begin();
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) {
                check_outer(&kernels->plain, sizes[i], sizes[j], depths[k], plain);
                if (!there) continue;
                check_outer(&kernels->own, sizes[i], sizes[j], depths[k], own);
                assert_memory_equal(own, plain, sizeof *own * (size_t)(sizes[i] * sizes[j]));
            }
    if (there) kernels->end();
}

/* Products of few numbers are those of floats. */
static void small_ones(void)
{
    const pv_narrow_kernels *kernels = PV_ISA_CHOOSE(pv_narrow_kernels);
    float *a = some(32 * 4, 1), *b = some(4 * 32, 2), wide[32 * 32], narrow[32 * 32];
    const pv_product_term term = pv_product_of(a, b, 32, 4);
    PV_ISA_CHOOSE(pv_nn_kernels)->matrix->product(32, 32, 1, &term, false, wide);
    kernels->plain.product(32, 32, 1, &term, false, narrow);
    assert_memory_equal(wide, narrow, sizeof wide);
    free(a);
    free(b);
}

/* ---- products of words */

/* x [rows][width] as words, with rows to spare. */
static float *words_of(int rows, int width, const float *x)
{
    float *words = calloc((size_t)((rows + SPARE) * width / 2), sizeof *words);
    PV_ISA_CHOOSE(pv_words_kernels)->pack((int64_t)rows * width, x, words);
    for (int i = 0; i < rows * width; i++)
        assert_true(number_of(words, i) == rounded(x[i]));
    return words;
}

static void words_product(bool own, int rows, int n, int k, float *c)
{
    const pv_words_kernels *kernels = PV_ISA_CHOOSE(pv_words_kernels);
    float *a = some((int64_t)rows * k, 1), *b = some((int64_t)k * n, 2), *start = some((int64_t)rows * n, 3);
    float *words = words_of(rows, k, a), *pairs = calloc((size_t)(k * n / 2), sizeof *pairs);
    const pv_words_term terms[2] = {{words, pairs, k}, {words, pairs, k}};
    kernels->pack_pairs(k, n, b, pairs);
    memcpy(c, start, sizeof *c * (size_t)(rows * n));
    kernels->product(own, rows, n, 2, terms, true, c);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++) {
            double truth = 0, size = 1;
            for (int p = 0; p < k; p++) {
                truth += rounded(a[i * k + p]) * rounded(b[p * n + j]);
                size += fabs(rounded(a[i * k + p]) * rounded(b[p * n + j]));
            }
            assert_product((double)c[i * n + j], (double)start[i * n + j] + 2 * truth, 2 * size);
        }
    float *const all[] = {a, b, start, words, pairs};
    for (int i = 0; i < 5; i++)
        free(all[i]);
}

/* By forms of all rows, and by words. */
static void words_outer(bool own, int rows, int m, int n, float *c, float *by_words)
{
    const pv_words_kernels *kernels = PV_ISA_CHOOSE(pv_words_kernels);
    float *a = some((int64_t)rows * m, 1), *b = some((int64_t)rows * n, 2);
    float *of_a = words_of(rows, m, a), *of_b = words_of(rows, n, b);
    const size_t whole = (size_t)pv_words_whole(rows);
    float *turned = calloc(whole * (size_t)m / 2, sizeof *turned),
          *pairs = calloc(whole * (size_t)n / 2, sizeof *pairs);
    kernels->turn(rows, m, of_a, turned);
    kernels->pair(rows, n, of_b, pairs);
    for (int i = 0; i < m * n; i++)
        c[i] = by_words[i] = (float)i;
    kernels->outer(own, m, n, rows, turned, pairs, c);
    kernels->outer_words(own, m, n, rows, of_a, of_b, by_words);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double truth = i * n + j, size = 1 + truth;
            for (int p = 0; p < rows; p++) {
                truth += rounded(a[p * m + i]) * rounded(b[p * n + j]);
                size += fabs(rounded(a[p * m + i]) * rounded(b[p * n + j]));
            }
            assert_product((double)c[i * n + j], truth, size);
            assert_product((double)by_words[i * n + j], truth, size);
        }
    float *const all[] = {a, b, of_a, of_b, turned, pairs};
    for (int i = 0; i < 6; i++)
        free(all[i]);
}

static void words(void)
{
    const int rows[] = {1, 4, 16, 37, 300}, widths[] = {32, 64, 96};
    static float plain[2][300 * 96], own[2][300 * 96];
    const bool there = squares_begin();
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 3; k++) {
                const int n = widths[j], m = widths[k];
                words_product(false, rows[i], n, m, plain[0]);
                if (there) {
                    words_product(true, rows[i], n, m, own[0]);
                    assert_memory_equal(own[0], plain[0], sizeof(float) * (size_t)(rows[i] * n));
                }
                words_outer(false, rows[i], m, n, plain[0], plain[1]);
                if (!there) continue;
                words_outer(true, rows[i], m, n, own[0], own[1]);
                assert_memory_equal(own[0], plain[0], sizeof(float) * (size_t)(m * n));
                assert_memory_equal(own[1], plain[1], sizeof(float) * (size_t)(m * n));
            }
    if (there) PV_ISA_CHOOSE(pv_narrow_kernels)->end();
}

/* ---- the sweeps of DWS: on numbers that words hold, what comes out differs by one rounding from what those
 * over floats give */

enum { COUNT = 2, ROWS = 3, COLS = 37, F = 2 * GROUP, ENTRIES = COUNT * ROWS * COLS };

typedef struct margins {
    float row[COUNT * ROWS * F], col[COUNT * COLS * F], all[COUNT * F];
} margins;

static pv_dws_values values_of(margins *m)
{
    return (pv_dws_values){m->row, m->col, m->all};
}

static void fill(margins *m, uint64_t seed)
{
    float *x = some((int64_t)(sizeof *m / sizeof *x), seed);
    memcpy(m, x, sizeof *m);
    free(x);
}

static const pv_dws_block block = {COUNT, ROWS, COLS, F, true};

/* As floats, the numbers that words hold. */
static float *numbers_of(int64_t n, const float *words)
{
    float *x = malloc(sizeof *x * (size_t)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)number_of(words, i);
    return x;
}

static void assert_words(int64_t n, const float *words, const float *truth, double slack)
{
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(number_of(words, i) - (double)truth[i]) <= fabs((double)truth[i]) / 256 + slack);
}

static void forward_sweeps(void)
{
    const pv_dws_narrow_kernels *narrow = PV_ISA_CHOOSE(pv_dws_narrow_kernels);
    const pv_dws_kernels *wide = PV_ISA_CHOOSE(pv_dws_kernels);
    const int64_t n = (int64_t)ENTRIES * F;
    float *made = some(n, 1), *y = words_of(ENTRIES, F, made), *of_y = numbers_of(n, y), *scale = some(F, 2),
          *shift = some(F, 3), *x = calloc((size_t)n, sizeof *x), *of_x = calloc((size_t)n, sizeof *of_x);
    uint16_t bits[ENTRIES * F / 4];
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        bits[i] = (uint16_t)(i * 40503U >> 3);
    static margins a, b;
    for (int drop = 0; drop < 2; drop++) {
        const pv_dws_activation how = {scale, shift, drop ? bits : NULL, 1.25F};
        narrow->activate(&block, &how, y, x, &(pv_dws_values){a.row, a.col, a.all});
        wide->activate(&block, &how, of_y, of_x, &(pv_dws_values){b.row, b.col, b.all});
        assert_words(n, x, of_x, 0);
        for (size_t i = 0; i < sizeof a.row / sizeof *a.row; i++)
            assert_true((double)a.row[i] == rounded(b.row[i]));
        for (size_t i = 0; i < sizeof a.col / sizeof *a.col; i++)
            assert_true((double)a.col[i] == rounded(b.col[i]));
        for (size_t i = 0; i < sizeof a.all / sizeof *a.all; i++)
            assert_true((double)a.all[i] == rounded(b.all[i]));
    }
    int32_t holder[COUNT * F], truth[COUNT * F];
    float *now = numbers_of(n, x);
    memcpy(b.all, a.all, sizeof a.all);
    narrow->find(&block, x, a.all, holder);
    wide->find(&block, now, b.all, truth);
    assert_memory_equal(holder, truth, sizeof holder);
    float *const all[] = {made, y, of_y, scale, shift, x, of_x, now};
    for (int i = 0; i < 8; i++)
        free(all[i]);
}

static void combine(void)
{
    const pv_dws_narrow_kernels *narrow = PV_ISA_CHOOSE(pv_dws_narrow_kernels);
    const int64_t n = (int64_t)ENTRIES * F;
    float *made = some((int64_t)ENTRIES * GROUP, 1), *x = words_of(ENTRIES, GROUP, made),
          *of_x = numbers_of((int64_t)ENTRIES * GROUP, x), *w = some(GROUP * F, 2),
          *pairs = calloc(GROUP / 2 * F, sizeof *pairs), *y[2], *of_y = calloc((size_t)n, sizeof *of_y);
    static margins spread;
    double sum[2][F] = {{0}}, square[2][F] = {{0}}, of_sum[F] = {0}, of_square[F] = {0};
    for (int i = 0; i < GROUP * F; i++)
        w[i] = (float)rounded(w[i]);
    fill(&spread, 7);
    const pv_dws_values from = values_of(&spread);
    PV_ISA_CHOOSE(pv_words_kernels)->pack_pairs(GROUP, F, w, pairs);
    PV_ISA_CHOOSE(pv_dws_kernels)->combine(&block, GROUP, of_x, w, &from, false, of_y, of_sum, of_square);
    const bool there = squares_begin();
    for (int own = 0; own < 2; own++) {
        y[own] = calloc((size_t)n, sizeof *y[own]);
        if (own && !there) continue;
        const pv_dws_narrow_product product = {.own = own, .terms = GROUP, .x = x, .w = pairs};
        narrow->combine(&block, &product, &from, y[own], sum[own], square[own]);
        assert_words(n, y[own], of_y, 1e-4);
        for (int k = 0; k < F; k++) {
            assert_true(fabs(sum[own][k] - of_sum[k]) < 1e-3 * (1 + fabs(of_sum[k])));
            assert_true(fabs(square[own][k] - of_square[k]) < 1e-4 * of_square[k]);
        }
    }
    if (there) {
        PV_ISA_CHOOSE(pv_narrow_kernels)->end();
        assert_memory_equal(y[0], y[1], sizeof *of_y * (size_t)n);
        assert_memory_equal(sum[0], sum[1], sizeof sum[0]);
        assert_memory_equal(square[0], square[1], sizeof square[0]);
    }
    /* and with few terms of floats */
    const pv_dws_narrow_product few = {.few = 2, .few_x = of_x, .few_w = w};
    PV_ISA_CHOOSE(pv_dws_kernels)->combine(&block, 2, of_x, w, &from, false, of_y, NULL, NULL);
    narrow->combine(&block, &few, &from, y[0], NULL, NULL);
    assert_words(n, y[0], of_y, 1e-5);
    float *const all[] = {made, x, of_x, w, pairs, y[0], y[1], of_y};
    for (int i = 0; i < 8; i++)
        free(all[i]);
}

static void normalise_back(void)
{
    const int64_t n = (int64_t)ENTRIES * F;
    float *one = some(n, 1), *other = some(n, 2), *y = words_of(ENTRIES, F, one),
          *dz = words_of(ENTRIES, F, other), *of_y = numbers_of(n, y), *of_dz = numbers_of(n, dz),
          *dy = calloc((size_t)n, sizeof *dy), *of_dy = calloc((size_t)n, sizeof *dy),
          *slopes = some(4 * F, 3);
    const pv_dws_norm_back how = {slopes, slopes + F, slopes + 2 * F, slopes + 3 * F};
    static margins a, b;
    const pv_dws_values to_a = values_of(&a), to_b = values_of(&b);
    PV_ISA_CHOOSE(pv_dws_back_kernels)->normalise_back(&block, &how, of_y, of_dz, of_dy, &to_b);
    for (int wide = 0; wide < 2; wide++) {
        PV_ISA_CHOOSE(pv_dws_narrow_back_kernels)->normalise_back(&block, &how, y, dz, wide, dy, &to_a);
        if (!wide) assert_words(n, dy, of_dy, 1e-4);
        for (int64_t i = 0; wide && i < n; i++)
            assert_true(fabs((double)dy[i] - (double)of_dy[i]) < 1e-5);
        const float *sums = (const float *)&a, *truth = (const float *)&b;
        for (size_t i = 0; i < sizeof a / sizeof *sums; i++)
            assert_true(fabs((double)sums[i] - (double)truth[i]) < 1e-3);
    }
    float *const all[] = {one, other, y, dz, of_y, of_dz, dy, of_dy, slopes};
    for (int i = 0; i < 9; i++)
        free(all[i]);
}

/* Of a block whose maxima are its own: x is the ReLU of words, with some that are equal. */
static void deactivate(void)
{
    const int64_t n = (int64_t)ENTRIES * F;
    float *made = some(n, 1), *more = some((int64_t)ENTRIES * GROUP, 2), *noise = some(n, 3);
    for (int64_t i = 0; i < n; i++)
        made[i] = made[i] > 0 ? roundf(8 * made[i]) / 8 : 0;
    float *x = words_of(ENTRIES, F, made), *dy = words_of(ENTRIES, GROUP, more),
          *y = words_of(ENTRIES, F, noise), *of_dy = numbers_of((int64_t)ENTRIES * GROUP, dy),
          *of_y = numbers_of(n, y), *w = some(GROUP * F, 4), *pairs = calloc(GROUP / 2 * F, sizeof *pairs),
          *mean = some(F, 5), *dx[2], *of_dx = calloc((size_t)n, sizeof *of_dx);
    static margins best, given, spread[3];
    double sum[3][F] = {{0}}, dot[3][F] = {{0}};
    for (int i = 0; i < GROUP * F; i++)
        w[i] = (float)rounded(w[i]);
    const pv_dws_values maxima = values_of(&best);
    PV_ISA_CHOOSE(pv_dws_kernels)->pool(&block, made, &maxima);
    float *rows = words_of(COUNT * ROWS, F, best.row), *cols = words_of(COUNT * COLS, F, best.col);
    fill(&given, 6);
    PV_ISA_CHOOSE(pv_words_kernels)->pack_pairs(GROUP, F, w, pairs);
    const pv_product_term term = pv_product_of(of_dy, w, F, GROUP);
    PV_ISA_CHOOSE(pv_nn_kernels)->matrix->product(ENTRIES, F, 1, &term, false, of_dx);
    pv_dws_gate gate = {made, maxima, true, 1.25F, of_y, mean, sum[2], dot[2]};
    spread[2] = given;
    pv_dws_values from = values_of(&spread[2]);
    PV_ISA_CHOOSE(pv_dws_back_kernels)->deactivate(&block, &gate, &from, of_dx);
    const bool there = squares_begin();
    for (int own = 0; own < 2; own++) {
        dx[own] = calloc((size_t)n, sizeof *dx[own]);
        if (own && !there) continue;
        const pv_dws_narrow_product product = {.own = own, .terms = GROUP, .x = dy, .w = pairs};
        gate = (pv_dws_gate){x, {rows, cols, NULL}, true, 1.25F, y, mean, sum[own], dot[own]};
        spread[own] = given;
        from = values_of(&spread[own]);
        PV_ISA_CHOOSE(pv_dws_narrow_back_kernels)->deactivate(&block, &product, NULL, &gate, &from, dx[own]);
        assert_words(n, dx[own], of_dx, 1e-4);
        for (int k = 0; k < F; k++) {
            assert_true(fabs(sum[own][k] - sum[2][k]) < 1e-3 * (10 + fabs(sum[2][k])));
            assert_true(fabs(dot[own][k] - dot[2][k]) < 1e-3 * (10 + fabs(dot[2][k])));
        }
    }
    if (there) {
        PV_ISA_CHOOSE(pv_narrow_kernels)->end();
        assert_memory_equal(dx[0], dx[1], sizeof *of_dx * (size_t)n);
        assert_memory_equal(sum[0], sum[1], sizeof sum[0]);
        assert_memory_equal(dot[0], dot[1], sizeof dot[0]);
    }
    float *const all[] = {made, more,  noise, x,     dy,    y,     of_dy, of_y,
                          w,    pairs, mean,  dx[0], dx[1], of_dx, rows,  cols};
    for (int i = 0; i < 16; i++)
        free(all[i]);
}

static void products_are_those_of_rounded_numbers(void **state)
{
    (void)state;
    on_every_isa(products);
    on_every_isa(outers);
    on_every_isa(small_ones);
}

static void so_are_products_of_words(void **state)
{
    (void)state;
    on_every_isa(words);
}

static void sweeps_over_words_are_those_over_floats(void **state)
{
    (void)state;
    on_every_isa(forward_sweeps);
    on_every_isa(combine);
    on_every_isa(normalise_back);
    on_every_isa(deactivate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_rounded_numbers),
        cmocka_unit_test(so_are_products_of_words),
        cmocka_unit_test(sweeps_over_words_are_those_over_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
