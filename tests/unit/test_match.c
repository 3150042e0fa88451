/* Weight matching: planted symmetries come back; nothing is lost by it. */
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "symmetry/pv_match.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 17025 };

static const pv_arch archs[] = {
    {.layers = 3, .dims = {2, 32, 32, 1}, .w0 = 30},
    {.layers = 3, .dims = {2, 128, 128, 1}, .w0 = 30},
    {.layers = 3, .dims = {2, 17, 33, 3}, .w0 = 30},
    {.layers = 5, .dims = {3, 16, 16, 16, 16, 1}, .w0 = 30},
    {.layers = 2, .dims = {1, 12, 1}, .w0 = 30},
    {.layers = 3, .dims = {2, 1, 1, 1}, .w0 = 30},
    {.layers = 1, .dims = {2, 3}, .w0 = 30},
    {.layers = 4, .dims = {2, 16, 9, 16, 1}, .activation = 2, .w0 = 10},
};
enum { ARCHS = sizeof archs / sizeof *archs };

static void draw_row(const pv_arch *arch, uint64_t number, float *row)
{
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, number, 1);
    for (int p = 0; p < pv_arch_params(arch); p++)
        row[p] = (float)pv_rng_normal(&rng);
}

static void draw_element(const pv_arch *arch, bool signs, uint64_t number, pv_symmetry *out)
{
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, number, 1);
    pv_symmetry_draw_permutation(arch, &rng, out);
    if (signs) pv_symmetry_draw_signs(arch, 0.5, &rng, out);
}

static pv_matcher *new_matcher_of(const pv_arch *arch, pv_match_opts opts)
{
    pv_matcher *matcher;
    assert_int_equal(pv_matcher_new(arch, &opts, &matcher), PV_OK);
    return matcher;
}

static pv_matcher *new_matcher(const pv_arch *arch, bool signs, int starts)
{
    return new_matcher_of(arch, (pv_match_opts){signs, 16, starts, .phases = false});
}

static void planted_symmetries_come_back(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++)
        for (int signs = 0; signs < 2; signs++) {
            const pv_arch *arch = &archs[k];
            float *const a = pv_alloc(3 * MOST, sizeof *a), *const b = a + MOST, *const c = b + MOST;
            pv_matcher *matcher = new_matcher(arch, signs, 1);
            pv_symmetry e;
            pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, 0, 0);
            assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
            draw_row(arch, (uint64_t)k, a);
            draw_element(arch, signs, (uint64_t)k, &e);
            pv_symmetry_apply(arch, &e, a, b);
            const double found = pv_match_row(matcher, a, b, &rng, c);
            assert_memory_equal(a, c, sizeof *a * (size_t)pv_arch_params(arch));
            assert_true(fabs(found - pv_match_objective(arch, a, a)) < 1e-6 * found);
            pv_symmetry_free(&e);
            pv_matcher_free(matcher);
            free(a);
        }
}

static double square(double x)
{
    return x * x;
}

/* (|a|^2 + |b|^2 - |a - c|^2) / 2 over all tensors but the last bias. */
static double closeness(const pv_arch *arch, const float *a, const float *b, const float *c)
{
    double sum = 0;
    for (int p = 0; p < pv_arch_params(arch) - arch->dims[arch->layers]; p++)
        sum += square((double)a[p]) + square((double)b[p]) - square((double)a[p] - (double)c[p]);
    return sum / 2;
}

static void planted_phases_come_back(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++)
        for (int signs = 0; signs < 2 && pv_symmetry_kinds(&archs[k]) & PV_SYMMETRY_PHASES; signs++) {
            const pv_arch *arch = &archs[k];
            float *const a = pv_alloc(3 * MOST, sizeof *a), *const b = a + MOST, *const c = b + MOST;
            pv_matcher *matcher = new_matcher_of(arch, (pv_match_opts){signs, 16, 1, true});
            pv_symmetry e;
            pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, 0, 0);
            assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
            draw_row(arch, (uint64_t)k, a);
            draw_element(arch, signs, (uint64_t)k, &e);
            pv_symmetry_draw_phases(arch, -4, 3, &rng, &e);
            pv_symmetry_apply(arch, &e, a, b);
            const double found = pv_match_row(matcher, a, b, &rng, c);
            for (int p = 0; p < pv_arch_params(arch); p++)
                assert_true(fabsf(c[p] - a[p]) <= 1e-6F);
            assert_true(fabs(found - closeness(arch, a, b, c)) < 1e-6 * (1 + fabs(found)));
            pv_symmetry_free(&e);
            pv_matcher_free(matcher);
            free(a);
        }
}

/* The square of what is between unit u of a and unit v of b, of 3 units of 2 inputs and 1 output. */
static double apart(const float *a, const float *b, int u, int v, int sign, int phase, double period)
{
    const double out = phase % 2 ? -sign : sign;
    return square((double)a[2 * u] - sign * (double)b[2 * v]) +
           square((double)a[2 * u + 1] - sign * (double)b[2 * v + 1]) +
           square((double)a[6 + u] - sign * (double)b[6 + v] - phase * period) +
           square((double)a[9 + u] - out * (double)b[9 + v]);
}

/* All orders, signs and phases of three units are tried. */
static void one_layer_comes_as_close_as_it_can(void **state)
{
    (void)state;
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    enum { FAR = 60 }; /* phases that are tried either way */
    const pv_arch arch = {.layers = 2, .dims = {2, 3, 1}, .w0 = 30};
    const double period = acos(-1) / 30;
    for (uint64_t n = 0; n < 40; n++) {
        const bool signs = n % 2;
        float a[13], b[13], c[13];
        double least = INFINITY, pairs[3][3];
        draw_row(&arch, 2 * n, a);
        draw_row(&arch, 2 * n + 1, b);
        for (int u = 0; u < 3; u++)
            for (int v = 0; v < 3; v++) {
                pairs[u][v] = INFINITY;
                for (int sign = signs ? -1 : 1; sign <= 1; sign += 2)
                    for (int phase = -FAR; phase <= FAR; phase++)
                        pairs[u][v] = fmin(pairs[u][v], apart(a, b, u, v, sign, phase, period));
            }
        for (int o = 0; o < 6; o++)
            least = fmin(least, pairs[0][orders[o][0]] + pairs[1][orders[o][1]] + pairs[2][orders[o][2]]);
        pv_matcher *matcher = new_matcher_of(&arch, (pv_match_opts){signs, 16, 1, true});
        pv_rng rng = pv_rng_open(n, PV_RNG_MATCH, 0, 0);
        const double found = pv_match_row(matcher, a, b, &rng, c);
        double distance = 0;
        for (int p = 0; p < 12; p++)
            distance += square((double)a[p] - (double)c[p]);
        assert_true(fabs(distance - least) < 1e-5);
        assert_true(fabs(found - closeness(&arch, a, b, c)) < 1e-5);
        pv_matcher_free(matcher);
    }
}

/* The header's definition, tensor by tensor. */
static void the_objective_is_the_product_of_all_but_the_last_bias(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++) {
        float *const a = pv_alloc(2 * MOST, sizeof *a), *const b = a + MOST;
        const int last = archs[k].dims[archs[k].layers], count = pv_arch_params(&archs[k]) - last;
        long double sum = 0;
        draw_row(&archs[k], 50, a);
        draw_row(&archs[k], 51, b);
        for (int p = 0; p < count; p++)
            sum += (long double)a[p] * (long double)b[p];
        assert_true(fabs(pv_match_objective(&archs[k], a, b) - (double)sum) < 1e-9 * (1 + fabs((double)sum)));
        free(a);
    }
}

/* As fits end not far from their start. */
static void draw_fit(const pv_arch *arch, uint64_t number, float *row)
{
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, number, 1);
    pv_inr_init(arch, PV_INR_DWSNETS, &rng, row);
    for (int p = 0; p < pv_arch_params(arch); p++)
        row[p] += 0.02F * (float)pv_rng_normal(&rng);
}

/* INRs that are the same function in other units are one row once they are matched to a network that nobody
 * fitted, and stay the function that they were. */
static void equal_networks_meet_at_a_fresh_one(void **state)
{
    (void)state;
    enum { ROWS = 60, POINTS = 40 };
    const pv_arch *const arch = &archs[0];
    float reference[1185], row[1185], other[1185], one[1185], two[1185];
    float coords[2 * POINTS], values[POINTS], aligned[POINTS];
    pv_symmetry e;
    assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
    for (int i = 0; i < 2 * POINTS; i++)
        coords[i] = (float)(i * 37 % 80) / 40 - 1;
    pv_rng fresh = pv_rng_open(1, PV_RNG_TEST, 0, 3);
    pv_inr_init(arch, PV_INR_DWSNETS, &fresh, reference);
    for (int which = 0; which < 4; which++) {
        const bool signs = which & 1, phases = which & 2;
        pv_matcher *matcher = new_matcher_of(arch, (pv_match_opts){signs, 16, 1, phases});
        for (uint64_t n = 0; n < ROWS; n++) {
            pv_rng rng = pv_rng_open(7, PV_RNG_TEST, n, 1), orders[2];
            orders[0] = orders[1] = pv_rng_open(0, PV_RNG_MATCH, n, 0);
            draw_fit(arch, n, row);
            pv_symmetry_identity(arch, &e);
            draw_element(arch, signs, n, &e);
            if (phases) pv_symmetry_draw_phases(arch, -4, 3, &rng, &e);
            pv_symmetry_apply(arch, &e, row, other);
            pv_match_row(matcher, reference, row, &orders[0], one);
            pv_match_row(matcher, reference, other, &orders[1], two);
            for (int p = 0; p < 1185; p++)
                assert_true(fabsf(one[p] - two[p]) <= 1e-6F);
            assert_int_equal(pv_inr_eval(arch, row, POINTS, coords, values), PV_OK);
            assert_int_equal(pv_inr_eval(arch, one, POINTS, coords, aligned), PV_OK);
            for (int i = 0; i < POINTS; i++)
                assert_true(fabsf(values[i] - aligned[i]) <= 1e-5F);
        }
        pv_matcher_free(matcher);
    }
    pv_symmetry_free(&e);
}

/* On rows that have nothing in common: more descents never lose, signs find more, and what is reported is
 * what is had. */
static void more_freedom_never_loses(void **state)
{
    (void)state;
    const pv_arch *arch = &archs[0];
    for (uint64_t n = 0; n < 20; n++) {
        float a[1185], b[1185], c[1185];
        draw_row(arch, 2 * n, a);
        draw_row(arch, 2 * n + 1, b);
        double before = pv_match_objective(arch, a, b);
        for (int starts = 1; starts <= 8; starts *= 2) {
            pv_matcher *matcher = new_matcher(arch, false, starts);
            pv_rng rng = pv_rng_open(n, PV_RNG_MATCH, 0, 0);
            const double found = pv_match_row(matcher, a, b, &rng, c);
            assert_true(found >= before);
            assert_true(fabs(found - pv_match_objective(arch, a, c)) < 1e-9 * found);
            before = found;
            pv_matcher_free(matcher);
        }
    }
}

static void the_same_stream_gives_the_same_match(void **state)
{
    (void)state;
    const pv_arch *arch = &archs[3];
    float a[1000], b[1000], one[1000], other[1000];
    pv_matcher *matcher = new_matcher(arch, true, 4), *fresh;
    draw_row(arch, 5, a);
    draw_row(arch, 6, b);
    pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, 0, 0);
    pv_match_row(matcher, b, a, &rng, other); /* what went before leaves no trace */
    rng = pv_rng_open(2, PV_RNG_MATCH, 0, 0);
    pv_match_row(matcher, a, b, &rng, one);
    fresh = new_matcher(arch, true, 4);
    rng = pv_rng_open(2, PV_RNG_MATCH, 0, 0);
    pv_match_row(fresh, a, b, &rng, other);
    assert_memory_equal(one, other, sizeof *one * (size_t)pv_arch_params(arch));
    pv_matcher_free(matcher);
    pv_matcher_free(fresh);
}

/* Products beyond the range of floats: B stays as it is. */
static void rows_that_are_too_large_are_left_alone(void **state)
{
    (void)state;
    const pv_arch *arch = &archs[0];
    float a[1185], b[1185], c[1185];
    for (int p = 0; p < 1185; p++)
        a[p] = b[p] = 1e30F * (float)(1 + p % 7);
    for (int phases = 0; phases < 2; phases++) {
        pv_matcher *matcher = new_matcher_of(arch, (pv_match_opts){true, 16, 3, phases});
        pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, 0, 0);
        pv_match_row(matcher, a, b, &rng, c);
        assert_memory_equal(b, c, sizeof c);
        pv_matcher_free(matcher);
    }
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    const pv_match_opts wrong[] = {{.max_sweeps = 0, .starts = 1}, {.max_sweeps = 1, .starts = -1}};
    for (int i = 0; i < 2; i++) {
        pv_matcher *matcher;
        assert_int_equal(pv_matcher_new(&archs[0], &wrong[i], &matcher), PV_ERR_CONFIG);
        assert_null(matcher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planted_symmetries_come_back),
        cmocka_unit_test(planted_phases_come_back),
        cmocka_unit_test(one_layer_comes_as_close_as_it_can),
        cmocka_unit_test(the_objective_is_the_product_of_all_but_the_last_bias),
        cmocka_unit_test(equal_networks_meet_at_a_fresh_one),
        cmocka_unit_test(more_freedom_never_loses),
        cmocka_unit_test(the_same_stream_gives_the_same_match),
        cmocka_unit_test(rows_that_are_too_large_are_left_alone),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
