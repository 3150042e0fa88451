/* Symmetries as values: they form a group, leave the function as it is, and canonical forms undo them. */
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "symmetry/pv_symmetry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define PI 3.14159265358979323846
enum { POINTS = 40, MOST = 4096 };

enum { RELU = 1, GAUSS = 2 }; /* as numbers of activations */
static const pv_arch archs[] = {
    {.layers = 3, .dims = {2, 32, 32, 1}, .w0 = 30, .offset = 0.5F},
    {.layers = 4, .dims = {3, 7, 5, 11, 3}, .w0 = 30, .offset = 0.5F},
    {.layers = 2, .dims = {1, 9, 2}, .w0 = 10},
    {.layers = 1, .dims = {2, 3}, .w0 = 30},
    {.layers = 4, .dims = {2, 12, 9, 11, 1}, .activation = RELU, .w0 = 30},
    {.layers = 4, .dims = {2, 12, 9, 11, 1}, .activation = GAUSS, .w0 = 3},
};
enum { ARCHS = sizeof archs / sizeof *archs };

/* Weights of the size of fitted ones, biases that reach over several periods. */
static void draw_row(const pv_arch *arch, uint64_t number, float *row)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, number, 0);
    const int count = pv_arch_layout(arch, tensors);
    for (int t = 0; t < count; t++)
        for (int i = 0; i < tensors[t].rows * tensors[t].cols; i++)
            row[tensors[t].offset + i] = (float)pv_rng_normal(&rng) * (t % 2 ? 0.3F : 0.1F);
}

static void draw_element(const pv_arch *arch, uint64_t number, pv_symmetry *out)
{
    const unsigned kinds = pv_symmetry_kinds(arch);
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, number, 0);
    pv_symmetry_draw_permutation(arch, &rng, out);
    if (kinds & PV_SYMMETRY_SIGNS) pv_symmetry_draw_signs(arch, 0.5, &rng, out);
    if (kinds & PV_SYMMETRY_PHASES) pv_symmetry_draw_phases(arch, -4, 3, &rng, out);
    for (int u = 0; u < pv_symmetry_units(arch) && kinds & PV_SYMMETRY_SCALES; u++) /* exact ones */
        out->scale[u] = ldexpf(1, (int)pv_rng_below(&rng, 7) - 3);
}

static void kinds_are_those_of_the_activation(void **state)
{
    (void)state;
    assert_string_equal(pv_activation_at(RELU)->plugin.name, "relu");
    assert_string_equal(pv_activation_at(GAUSS)->plugin.name, "gauss");
    assert_int_equal(pv_symmetry_kinds(&archs[0]), PV_SYMMETRY_SIGNS | PV_SYMMETRY_PHASES);
    assert_int_equal(pv_symmetry_kinds(&archs[4]), PV_SYMMETRY_SCALES);
    assert_int_equal(pv_symmetry_kinds(&archs[5]), PV_SYMMETRY_SIGNS);
}

static void assert_equal_elements(const pv_arch *arch, const pv_symmetry *a, const pv_symmetry *b)
{
    const size_t units = (size_t)pv_symmetry_units(arch);
    assert_memory_equal(a->source, b->source, units * sizeof *a->source);
    assert_memory_equal(a->sign, b->sign, units * sizeof *a->sign);
    assert_memory_equal(a->phase, b->phase, units * sizeof *a->phase);
    assert_memory_equal(a->scale, b->scale, units * sizeof *a->scale);
}

static void assert_near_rows(const pv_arch *arch, const float *a, const float *b, double tolerance)
{
    for (int p = 0; p < pv_arch_params(arch); p++)
        assert_true(fabs((double)a[p] - (double)b[p]) <= tolerance);
}

static void elements_form_a_group(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++) {
        const pv_arch *arch = &archs[k];
        pv_symmetry e[7]; /* identity; a, b, c; products */
        for (int i = 0; i < 7; i++)
            assert_int_equal(pv_symmetry_make(arch, &e[i]), PV_OK);
        for (int i = 1; i < 4; i++)
            draw_element(arch, (uint64_t)(10 * k + i), &e[i]);
        pv_symmetry_compose(arch, &e[1], &e[2], &e[4]);
        pv_symmetry_compose(arch, &e[4], &e[3], &e[5]);
        pv_symmetry_compose(arch, &e[2], &e[3], &e[4]);
        pv_symmetry_compose(arch, &e[1], &e[4], &e[6]);
        assert_equal_elements(arch, &e[5], &e[6]);
        pv_symmetry_compose(arch, &e[1], &e[0], &e[4]);
        assert_equal_elements(arch, &e[4], &e[1]);
        pv_symmetry_invert(arch, &e[1], &e[4]);
        pv_symmetry_compose(arch, &e[1], &e[4], &e[5]);
        assert_equal_elements(arch, &e[5], &e[0]);
        pv_symmetry_compose(arch, &e[4], &e[1], &e[5]);
        assert_equal_elements(arch, &e[5], &e[0]);
        for (int i = 0; i < 7; i++)
            pv_symmetry_free(&e[i]);
    }
}

static void applying_a_product_is_applying_its_factors_in_order(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++) {
        const pv_arch *arch = &archs[k];
        float row[MOST], once[MOST], twice[MOST], product[MOST];
        pv_symmetry a, b, ab;
        assert_int_equal(pv_symmetry_make(arch, &a), PV_OK);
        assert_int_equal(pv_symmetry_make(arch, &b), PV_OK);
        assert_int_equal(pv_symmetry_make(arch, &ab), PV_OK);
        draw_row(arch, (uint64_t)k, row);
        draw_element(arch, (uint64_t)(20 + k), &a);
        draw_element(arch, (uint64_t)(30 + k), &b);
        pv_symmetry_compose(arch, &a, &b, &ab);
        pv_symmetry_apply(arch, &a, row, once);
        pv_symmetry_apply(arch, &b, once, twice);
        pv_symmetry_apply(arch, &ab, row, product);
        assert_near_rows(arch, twice, product, 1e-6);
        if (arch->layers > 1) assert_true(memcmp(row, product, sizeof *row) != 0);
        pv_symmetry_free(&a);
        pv_symmetry_free(&b);
        pv_symmetry_free(&ab);
    }
}

/* What the header says of one unit, worked out by hand. */
static void an_element_says_what_each_unit_is_made_of(void **state)
{
    (void)state;
    const pv_arch arch = {.layers = 2, .dims = {1, 2, 1}, .w0 = 10};
    const float row[] = {1, 2, 0.1F, 0.2F, 5, 7, 9};
    float out[7];
    pv_symmetry e;
    assert_int_equal(pv_symmetry_make(&arch, &e), PV_OK);
    e.source[0] = 1;
    e.source[1] = 0;
    e.sign[0] = -1;
    e.phase[0] = -3;
    e.phase[1] = 2;
    pv_symmetry_apply(&arch, &e, row, out);
    const double expected[] = {-2, 1, -0.2 - 3 * PI / 10, 0.1 + 2 * PI / 10, 7, 5, 9};
    for (int i = 0; i < 7; i++)
        assert_true(fabs((double)out[i] - expected[i]) < 1e-6);
    pv_symmetry_free(&e);
}

static void assert_same_function(const pv_arch *arch, const float *a, const float *b)
{
    float coords[3 * POINTS], one[3 * POINTS], other[3 * POINTS];
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < 3 * POINTS; i++)
        coords[i] = (float)pv_rng_range(&rng, -1, 1);
    assert_int_equal(pv_inr_eval(arch, a, POINTS, coords, one), PV_OK);
    assert_int_equal(pv_inr_eval(arch, b, POINTS, coords, other), PV_OK);
    for (int i = 0; i < POINTS * arch->dims[arch->layers]; i++)
        assert_true(fabs((double)one[i] - (double)other[i]) <= (arch->activation ? 1e-5 : 1e-4));
}

static void no_element_changes_the_function(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++)
        for (uint64_t n = 0; n < 20; n++) {
            float row[MOST], moved[MOST];
            pv_symmetry e;
            assert_int_equal(pv_symmetry_make(&archs[k], &e), PV_OK);
            draw_row(&archs[k], n, row);
            draw_element(&archs[k], 100 + n, &e);
            pv_symmetry_apply(&archs[k], &e, row, moved);
            assert_same_function(&archs[k], row, moved);
            pv_symmetry_free(&e);
        }
}

static void assert_unit_norm(const float *weights, int ins, float bias)
{
    double square = (double)bias * (double)bias;
    for (int c = 0; c < ins; c++)
        square += (double)weights[c] * (double)weights[c];
    assert_true(fabs(sqrt(square) - 1) < 1e-4);
}

static void assert_canonical(const pv_arch *arch, const float *row, pv_canonical what)
{
    const double half = PI / (2 * (double)arch->w0);
    for (int l = 0; l + 1 < arch->layers; l++) {
        const float *const bias = row + (int64_t)arch->dims[l] * arch->dims[l + 1];
        for (int u = 0; u < arch->dims[l + 1]; u++) {
            if (what & PV_CANONICAL_SCALE)
                assert_unit_norm(row + (int64_t)u * arch->dims[l], arch->dims[l], bias[u]);
            if (what & PV_CANONICAL_SIGN) assert_true(bias[u] >= 0);
            if (what & PV_CANONICAL_PHASE) assert_true(fabs((double)bias[u]) <= half * (1 + 1e-4));
        }
        row = bias + arch->dims[l + 1];
    }
}

static void make_canonical(const pv_arch *arch, const float *row, pv_canonical what, float *out)
{
    pv_symmetry e;
    assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
    pv_symmetry_canonical(arch, row, what, &e);
    pv_symmetry_apply(arch, &e, row, out);
    pv_symmetry_free(&e);
}

static void canonical_forms_are_canonical_at_once_and_the_same_function(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++)
        for (pv_canonical what = PV_CANONICAL_SIGN; what <= PV_CANONICAL_SCALE; what++)
            for (uint64_t n = 0; n < 50 && !(what & ~pv_symmetry_kinds(&archs[k])); n++) {
                float row[MOST], once[MOST], twice[MOST];
                draw_row(&archs[k], n, row);
                make_canonical(&archs[k], row, what, once);
                make_canonical(&archs[k], once, what, twice);
                assert_canonical(&archs[k], once, what);
                assert_memory_equal(once, twice, sizeof *once * (size_t)pv_arch_params(&archs[k]));
                assert_same_function(&archs[k], row, once);
            }
}

/* Biases on the border of the range and whole periods away from it, where rounding decides. */
static void canonical_forms_stay_at_the_borders_of_the_range(void **state)
{
    (void)state;
    const pv_arch arch = {.layers = 2, .dims = {1, 200, 1}, .w0 = 30};
    float row[MOST] = {0}, once[MOST], twice[MOST];
    for (int u = 0; u < 200; u++) {
        row[u] = 1;
        row[200 + u] = (float)((u - 100) * PI / 60);
        row[400 + u] = 1;
    }
    for (pv_canonical what = PV_CANONICAL_SIGN; what <= PV_CANONICAL_BOTH; what++) {
        make_canonical(&arch, row, what, once);
        make_canonical(&arch, once, what, twice);
        assert_canonical(&arch, once, what);
        assert_memory_equal(once, twice, sizeof *once * (size_t)pv_arch_params(&arch));
    }
}

static void equal_functions_have_one_canonical_form(void **state)
{
    (void)state;
    for (int k = 0; k < ARCHS; k++)
        for (uint64_t n = 0; n < 20; n++) {
            const pv_arch *arch = &archs[k];
            const unsigned kinds = pv_symmetry_kinds(arch);
            float row[MOST], moved[MOST], one[MOST], other[MOST];
            pv_rng rng = pv_rng_open(6, PV_RNG_TEST, n, 0);
            pv_symmetry e;
            assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
            draw_row(arch, n, row);
            if (kinds & PV_SYMMETRY_SIGNS) pv_symmetry_draw_signs(arch, 0.5, &rng, &e);
            if (kinds & PV_SYMMETRY_PHASES) pv_symmetry_draw_phases(arch, -4, 3, &rng, &e);
            if (kinds & PV_SYMMETRY_SCALES) pv_symmetry_draw_scales(arch, 3, &rng, &e);
            pv_symmetry_apply(arch, &e, row, moved);
            make_canonical(arch, row, (pv_canonical)kinds, one);
            make_canonical(arch, moved, (pv_canonical)kinds, other);
            assert_near_rows(arch, one, other, 2e-6);
            pv_symmetry_free(&e);
        }
}

/* Units without a bias: the first incoming weight that is not 0 tells, as it stands after the layer
 * before. */
static void units_without_bias_are_told_apart_by_their_weights(void **state)
{
    (void)state;
    const pv_arch arch = {.layers = 3, .dims = {2, 2, 2, 1}, .w0 = 30};
    const float row[] = {0, -1, 2, 3, 0, 0, 1, 4, 0, -5, 0, 0, 6, 7, 8};
    const float expected[] = {0, 1, 2, 3, 0, 0, 1, -4, 0, 5, 0, 0, -6, -7, 8};
    float out[15];
    make_canonical(&arch, row, PV_CANONICAL_SIGN, out);
    for (int i = 0; i < 15; i++)
        assert_true(out[i] == expected[i]);
}

/* As rows of strangers may have them. */
static void biases_without_a_phase_stay_as_they_are(void **state)
{
    (void)state;
    const pv_arch arch = {.layers = 2, .dims = {1, 4, 1}, .w0 = 30};
    const float row[13] = {1, 1, 1, 1, 1e9F, 3e38F, INFINITY, NAN, 1, 1, 1, 1, 0};
    float out[13];
    make_canonical(&arch, row, PV_CANONICAL_BOTH, out);
    assert_memory_equal(out, row, sizeof row);
}

static void draws_keep_to_their_ranges(void **state)
{
    (void)state;
    const pv_arch *arch = &archs[0];
    const int units = pv_symmetry_units(arch);
    int negative = 0, lowest = 0, highest = 0;
    pv_rng rng = pv_rng_open(7, PV_RNG_TEST, 0, 0);
    pv_symmetry e;
    assert_int_equal(pv_symmetry_make(arch, &e), PV_OK);
    for (int n = 0; n < 200; n++) {
        bool seen[64] = {false};
        pv_symmetry_draw_permutation(arch, &rng, &e);
        pv_symmetry_draw_signs(arch, 0.25, &rng, &e);
        pv_symmetry_draw_phases(arch, -4, 3, &rng, &e);
        for (int u = 0; u < units; u++) {
            const int begin = u < 32 ? 0 : 32;
            assert_true(e.source[u] >= 0 && e.source[u] < 32 && !seen[begin + e.source[u]]);
            seen[begin + e.source[u]] = true;
            negative += e.sign[u] < 0;
            assert_true((e.sign[u] == 1 || e.sign[u] == -1) && e.phase[u] >= -4 && e.phase[u] <= 3);
            lowest += e.phase[u] == -4;
            highest += e.phase[u] == 3;
        }
    }
    const double n = 200.0 * units;
    assert_true(fabs(negative / n - 0.25) < 0.02 && fabs(lowest / n - 0.125) < 0.02);
    assert_true(fabs(highest / n - 0.125) < 0.02);
    pv_symmetry_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_those_of_the_activation),
        cmocka_unit_test(elements_form_a_group),
        cmocka_unit_test(applying_a_product_is_applying_its_factors_in_order),
        cmocka_unit_test(an_element_says_what_each_unit_is_made_of),
        cmocka_unit_test(no_element_changes_the_function),
        cmocka_unit_test(canonical_forms_are_canonical_at_once_and_the_same_function),
        cmocka_unit_test(canonical_forms_stay_at_the_borders_of_the_range),
        cmocka_unit_test(biases_without_a_phase_stay_as_they_are),
        cmocka_unit_test(equal_functions_have_one_canonical_form),
        cmocka_unit_test(units_without_bias_are_told_apart_by_their_weights),
        cmocka_unit_test(draws_keep_to_their_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
