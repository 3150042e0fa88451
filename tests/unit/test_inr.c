/* INRs: layout, initialisation, evaluation. */
#include "base/pv_cpu.h"
#include "pv_siren_witness.h"
#include "inr/pv_inr.h"
#include "inr/pv_inr_kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { MAX_PARAMS = 8 * 257 * 256 };

static pv_arch make(int inputs, int outputs, int count, const int *hidden)
{
    int widths[PV_INR_MAX_LAYERS];
    for (int l = 0; l < count; l++)
        widths[l] = hidden[l];
    const pv_inr_opts opts = {.hidden = widths, .hidden_count = (unsigned)count, .w0 = 30, .offset = 0.5};
    pv_arch arch = {0};
    assert_int_equal(pv_arch_make(&opts, inputs, outputs, 1, &arch), PV_OK);
    return arch;
}

static void the_layout_is_the_state_dict(void **state)
{
    (void)state;
    const pv_arch arch = make(2, 3, 2, (int[]){5, 7});
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const char *names[] = {"seq.0.weight", "seq.0.bias",   "seq.1.weight",
                           "seq.1.bias",   "seq.2.weight", "seq.2.bias"};
    const int offsets[] = {0, 10, 15, 50, 57, 78}, rows[] = {5, 5, 7, 7, 3, 3}, cols[] = {2, 1, 5, 1, 7, 1};
    assert_int_equal(pv_arch_layout(&arch, tensors), 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(tensors[i].name, names[i]);
        assert_int_equal(tensors[i].offset, offsets[i]);
        assert_int_equal(tensors[i].rows, rows[i]);
        assert_int_equal(tensors[i].cols, cols[i]);
    }
    assert_int_equal(pv_arch_params(&arch), 81);
    const pv_arch usual = make(2, 1, 2, (int[]){32, 32});
    assert_int_equal(pv_arch_params(&usual), 1185);
}

static void a_bad_architecture_names_its_key(void **state)
{
    (void)state;
    int nine[8] = {4, 4, 4, 4, 4, 4, 4, 4}, none[] = {0}, wide[] = {257}, good[] = {4};
    const struct {
        pv_inr_opts opts;
        int inputs, outputs;
        const char *key;
    } bad[] = {
        {{.hidden = nine, .hidden_count = 8, .w0 = 30}, 2, 1, "inr.hidden"},
        {{.hidden = none, .hidden_count = 1, .w0 = 30}, 2, 1, "inr.hidden"},
        {{.hidden = wide, .hidden_count = 1, .w0 = 30}, 2, 1, "inr.hidden"},
        {{.hidden = good, .hidden_count = 1, .w0 = 0}, 2, 1, "inr.w0"},
        {{.hidden = good, .hidden_count = 1, .w0 = -1}, 2, 1, "inr.w0"},
        {{.hidden = good, .hidden_count = 1, .w0 = NAN}, 2, 1, "inr.w0"},
        {{.hidden = good, .hidden_count = 1, .w0 = 1e300}, 2, 1, "inr.w0"},
        {{.hidden = good, .hidden_count = 1, .w0 = 30, .offset = INFINITY}, 2, 1, "inr.offset"},
        {{.hidden = good, .hidden_count = 1, .w0 = 30}, 0, 1, "coordinates"},
        {{.hidden = good, .hidden_count = 1, .w0 = 30}, 4, 1, "coordinates"},
        {{.hidden = good, .hidden_count = 1, .w0 = 30}, 2, 0, "channels"},
        {{.hidden = good, .hidden_count = 1, .w0 = 30}, 2, 5, "channels"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pv_arch arch;
        assert_int_equal(pv_arch_make(&bad[i].opts, bad[i].inputs, bad[i].outputs, 1, &arch), PV_ERR_CONFIG);
        assert_non_null(strstr(pv_fail_message(), bad[i].key));
    }
}

/* The range of n draws fills [-bound, bound) and no more. */
static void expect_uniform(const float *values, int n, double bound)
{
    double most = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fabs((double)values[i]));
        sum += (double)values[i];
    }
    assert_true(most <= bound * (1 + 1e-6) && most > 0.85 * bound);
    assert_true(fabs(sum / n) < 4 * bound / sqrt(3.0 * n));
}

static void an_initialisation_keeps_to_its_ranges(void **state)
{
    (void)state;
    const pv_arch arch = make(2, 3, 2, (int[]){64, 32});
    float row[64 * 3 + 32 * 65 + 3 * 33];
    for (int variant = 0; variant <= PV_INR_FLAT; variant++) {
        pv_rng rng = pv_rng_open(5, PV_RNG_TEST, 1, 2);
        pv_inr_init(&arch, (pv_inr_variant)variant, &rng, row);
        const double first[] = {sqrt(3.0) / 30, 0.5, 2 * sqrt(3.0) / 30};
        const double last = (variant == PV_INR_FLAT ? 0.08 : 1) / sqrt(32.0);
        expect_uniform(row, 128, first[variant]);
        expect_uniform(row + 192, 2048, sqrt(6.0 / 64) / 30);
        expect_uniform(row + 2272, 96, last);
        for (int i = 0; i < 64; i++)
            assert_true(row[128 + i] == 0);
        for (int i = 0; i < 32; i++)
            assert_true(row[2240 + i] == 0);
        for (int i = 0; i < 3; i++)
            assert_true(row[2368 + i] != 0 && fabs((double)row[2368 + i]) <= last);
    }
}

static void an_initialisation_is_a_function_of_its_stream(void **state)
{
    (void)state;
    const pv_arch arch = make(2, 1, 2, (int[]){32, 32});
    float first[1185], again[1185], other[1185];
    pv_rng rng = pv_rng_open(5, PV_RNG_VIEW_INIT, 1, 2);
    pv_inr_init(&arch, PV_INR_DWSNETS, &rng, first);
    rng = pv_rng_open(5, PV_RNG_VIEW_INIT, 1, 2);
    pv_inr_init(&arch, PV_INR_DWSNETS, &rng, again);
    rng = pv_rng_open(5, PV_RNG_VIEW_INIT, 1, 3);
    pv_inr_init(&arch, PV_INR_DWSNETS, &rng, other);
    assert_memory_equal(first, again, sizeof first);
    assert_memory_not_equal(first, other, sizeof first);
    /* One draw an entry, in row order. */
    rng = pv_rng_open(5, PV_RNG_VIEW_INIT, 1, 2);
    const double bound = sqrt(3.0) / 30;
    for (int i = 0; i < 64; i++)
        assert_true(first[i] == (float)pv_rng_range(&rng, -bound, bound));
}

/* The largest distance of pv_inr_eval from the witness over n samples, relative to 1 + |value|. */
static double eval_distance(const pv_arch *arch, const float *row, int n, const float *coords)
{
    const int inputs = arch->dims[0], outputs = arch->dims[arch->layers], params = pv_arch_params(arch);
    float *values = malloc((size_t)(n * outputs + 1) * sizeof *values);
    double *truth = malloc((size_t)params * sizeof *truth), most = 0;
    for (int i = 0; i < params; i++)
        truth[i] = (double)row[i];
    values[n * outputs] = 77;
    assert_int_equal(pv_inr_eval(arch, row, n, coords, values), PV_OK);
    assert_true(values[n * outputs] == 77);
    for (int s = 0; s < n; s++) {
        double y[4];
        pv_witness_eval(arch, truth, coords + s * inputs, y);
        for (int c = 0; c < outputs; c++) {
            assert_true(isfinite(values[s * outputs + c]));
            most = fmax(most, fabs((double)values[s * outputs + c] - y[c]) / (1 + fabs(y[c])));
        }
    }
    free(values);
    free(truth);
    return most;
}

static float *random_coords(int n, int inputs)
{
    pv_rng rng = pv_rng_open(9, PV_RNG_TEST, 0, 0);
    float *coords = malloc((size_t)(n * inputs + 1) * sizeof *coords);
    for (int i = 0; i < n * inputs; i++)
        coords[i] = (float)pv_rng_range(&rng, -1, 1);
    return coords;
}

static void evaluation_agrees_with_plain_loops(void **state)
{
    (void)state;
    const struct {
        int inputs, outputs, count, hidden[7], n;
    } cases[] = {
        {2, 1, 2, {32, 32}, 784},
        {1, 3, 2, {5, 7}, 1},
        {3, 4, 1, {33}, 17},
        {2, 2, 3, {1, 2, 3}, 100},
        {3, 1, 3, {32, 32, 32}, 3000},
        {2, 1, 2, {256, 255}, 130},
        {2, 1, 0, {0}, 31},
        {2, 3, 7, {8, 9, 10, 11, 12, 13, 14}, 49},
        {2, 1, 1, {4}, 0},
    };
    float *row = malloc(MAX_PARAMS * sizeof *row);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pv_arch arch = make(cases[i].inputs, cases[i].outputs, cases[i].count, cases[i].hidden);
        float *coords = random_coords(cases[i].n, cases[i].inputs);
        for (int variant = 0; variant <= PV_INR_FLAT; variant++) {
            pv_rng rng = pv_rng_open(3, PV_RNG_TEST, i, (uint64_t)variant);
            pv_inr_init(&arch, (pv_inr_variant)variant, &rng, row);
            assert_true(eval_distance(&arch, row, cases[i].n, coords) < 2e-5);
        }
        free(coords);
    }
    free(row);
}

/* With w0 = pi the phase in half turns is the bias itself, and the sine of any float is defined. */
static void a_huge_phase_is_reduced_exactly(void **state)
{
    (void)state;
    const double pi = 3.14159265358979323846;
    pv_arch arch = make(1, 1, 1, (int[]){1});
    arch.w0 = (float)pi;
    arch.offset = 0;
    const float phases[] = {
        0.25f,           1.5f,        1e4f + 0.5f, 0x1p20f + 0.25f, 0x1p21f + 0.25f, -0x1p21f, 0x1p22f + 0.5f,
        -0x1p22f - 1.5f, 0x1p23f + 1, 1e9f,        -3.0e12f,        1e30f,           3e38f};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        const float row[4] = {1, phases[i], 1, 0}, coord = 0;
        float value;
        assert_int_equal(pv_inr_eval(&arch, row, 1, &coord, &value), PV_OK);
        assert_true(fabs((double)value - sin(pi * remainder((double)phases[i], 2))) < 1e-6);
    }
}

/* Every kernel table that this machine can run. */
static int kernel_tables(const pv_inr_kernels **tables)
{
    int count = 0;
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
        if (pv_cpu_isa() == (pv_isa)isa) tables[count++] = PV_ISA_CHOOSE(pv_inr_kernels);
    }
    unsetenv("POLYVIEW_ISA");
    return count;
}

static void sine_and_cosine_are_good_to_a_millionth(void **state)
{
    (void)state;
    enum { N = 16 * 4096 };
    const double pi = 3.14159265358979323846;
    const pv_inr_kernels *tables[PV_ISA_COUNT];
    float *t = aligned_alloc(64, 3 * N * sizeof *t), *sine = t + N, *slope = t + 2 * N;
    const double reaches[] = {0.6, 4, 100, 1e4, 2e6};
    for (int k = kernel_tables(tables) - 1; k >= 0; k--)
        for (size_t r = 0; r < sizeof reaches / sizeof *reaches; r++) {
            for (int i = 0; i < N; i++)
                t[i] = (float)(reaches[r] * (2.0 * i / (N - 1) - 1));
            t[0] = 0.5f, t[1] = -0.5f, t[2] = 0, t[3] = 1, t[4] = 1.5f;
            tables[k]->activate[PV_LOOP_SINE](N, t, sine, slope);
            for (int i = 0; i < N; i++) {
                const double phase = pi * remainder((double)t[i], 2);
                assert_true(fabs((double)sine[i] - sin(phase)) < 3e-7);
                assert_true(fabs((double)slope[i] / pi - cos(phase)) < 3e-7);
            }
        }
    free(t);
}

static void permuting_and_flipping_units_changes_nothing(void **state)
{
    (void)state;
    enum { D = 32, N = 784 };
    const pv_arch arch = make(2, 1, 2, (int[]){D, D});
    float row[1185], moved[1185], before[N], after[N], *coords = random_coords(N, 2);
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, 0, 0);
    pv_inr_init(&arch, PV_INR_STANDARD, &rng, row);
    for (int i = 0; i < D; i++) /* biases that the signs have something to do with */
        row[64 + i] = (float)pv_rng_range(&rng, -0.1, 0.1),
                 row[1120 + i] = (float)pv_rng_range(&rng, -0.1, 0.1);
    memcpy(moved, row, sizeof row);
    int first[D], second[D];
    float flip[D], turn[D];
    for (int i = 0; i < D; i++) {
        first[i] = (int)pv_rng_permute(1, PV_RNG_TEST, 1, D, (uint64_t)i);
        second[i] = (int)pv_rng_permute(1, PV_RNG_TEST, 2, D, (uint64_t)i);
        flip[i] = pv_rng_bits(&rng) & 1 ? 1.0f : -1.0f;
        turn[i] = pv_rng_bits(&rng) & 1 ? 1.0f : -1.0f;
    }
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < 2; j++)
            moved[2 * i + j] = flip[i] * row[2 * first[i] + j];
        moved[64 + i] = flip[i] * row[64 + first[i]];
        for (int j = 0; j < D; j++)
            moved[96 + D * i + j] = turn[i] * row[96 + D * second[i] + first[j]] * flip[j];
        moved[1120 + i] = turn[i] * row[1120 + second[i]];
        moved[1152 + i] = row[1152 + second[i]] * turn[i];
    }
    assert_int_equal(pv_inr_eval(&arch, row, N, coords, before), PV_OK);
    assert_int_equal(pv_inr_eval(&arch, moved, N, coords, after), PV_OK);
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)before[i] - (double)after[i]) < 1e-5);
    free(coords);
}

static void psnr_is_in_decibels_of_peak_one(void **state)
{
    (void)state;
    assert_true(pv_psnr(1) == 0);
    assert_true(fabs(pv_psnr(0.01) - 20) < 1e-12);
    assert_true(pv_psnr(0) == (double)INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_the_state_dict),
        cmocka_unit_test(a_bad_architecture_names_its_key),
        cmocka_unit_test(an_initialisation_keeps_to_its_ranges),
        cmocka_unit_test(an_initialisation_is_a_function_of_its_stream),
        cmocka_unit_test(evaluation_agrees_with_plain_loops),
        cmocka_unit_test(a_huge_phase_is_reduced_exactly),
        cmocka_unit_test(sine_and_cosine_are_good_to_a_millionth),
        cmocka_unit_test(permuting_and_flipping_units_changes_nothing),
        cmocka_unit_test(psnr_is_in_decibels_of_peak_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
