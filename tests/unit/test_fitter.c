/* The fit kernels against plain loops, on every instruction set. */
#include "base/pv_cpu.h"
#include "inr/pv_inr.h"
#include "pv_siren_witness.h"
#include "inr/pv_fitter.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* An INR to fit: an architecture, samples of a smooth function, an initialisation with biases. */
typedef struct problem {
    pv_arch arch;
    int n, params;
    float *coords, *values, *row;
} problem;

typedef struct shape {
    int inputs, outputs, count, hidden[7], n;
} shape;

/* Ragged sample counts, widths that fill no block, several tiles, no hidden layer, the most matrices. */
static const shape shapes[] = {
    {2, 1, 2, {32, 32}, 784},     {1, 1, 2, {32, 32}, 128},
    {3, 1, 3, {32, 32, 32}, 201}, {2, 3, 2, {16, 16}, 1001},
    {2, 3, 2, {5, 7}, 45},        {1, 4, 1, {33}, 19},
    {2, 2, 2, {33, 5}, 2500},     {2, 1, 7, {9, 8, 7, 6, 5, 4, 3}, 77},
    {3, 2, 0, {0}, 33},           {2, 1, 2, {1, 2}, 1},
    {2, 1, 2, {130, 255}, 301},   {2, 3, 2, {64, 32}, 98},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Samples in runs, along which the first coordinate alone moves, and which tiles hold whole or cannot. */
static const struct {
    shape shape;
    int run;
} grids[] = {
    {{2, 1, 2, {32, 32}, 784}, 28}, {{2, 3, 2, {32, 64}, 4000}, 100}, {{3, 1, 2, {64, 32}, 960}, 6},
    {{2, 1, 1, {32}, 2701}, 37},    {{2, 1, 2, {32, 32}, 1500}, 1},   {{2, 2, 3, {96, 32, 32}, 2222}, 1111},
};
enum { CASES = SHAPES + sizeof grids / sizeof *grids };

static problem make(const shape *s, uint64_t seed)
{
    int hidden[7];
    memcpy(hidden, s->hidden, sizeof hidden);
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = (unsigned)s->count, .w0 = 30, .offset = 0.5};
    problem p = {.n = s->n};
    assert_int_equal(pv_arch_make(&opts, s->inputs, s->outputs, 1, &p.arch), PV_OK);
    p.params = pv_arch_params(&p.arch);
    p.coords = malloc((size_t)(s->n * s->inputs) * sizeof *p.coords);
    p.values = malloc((size_t)(s->n * s->outputs) * sizeof *p.values);
    p.row = malloc((size_t)p.params * sizeof *p.row);
    pv_rng rng = pv_rng_open(seed, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < s->n; i++) {
        double sum = 0;
        for (int j = 0; j < s->inputs; j++) {
            const double x = pv_rng_range(&rng, -1, 1);
            p.coords[i * s->inputs + j] = (float)x;
            sum += (j + 1) * x;
        }
        for (int c = 0; c < s->outputs; c++)
            p.values[i * s->outputs + c] = (float)(0.5 + 0.4 * sin(2 * sum + c + (double)seed));
    }
    pv_inr_init(&p.arch, PV_INR_DWSNETS, &rng, p.row);
    for (int i = 0; i < p.params; i++)
        if (p.row[i] == 0) p.row[i] = (float)pv_rng_range(&rng, -0.05, 0.05);
    return p;
}

/* Problem k of CASES: the shapes, then the grids. */
static problem make_case(int k, uint64_t seed)
{
    if (k < SHAPES) return make(&shapes[k], seed);
    const int inputs = grids[k - SHAPES].shape.inputs, run = grids[k - SHAPES].run;
    problem p = make(&grids[k - SHAPES].shape, seed);
    for (int i = 0; i < p.n; i++)
        for (int j = 0; j < inputs; j++)
            p.coords[i * inputs + j] = p.coords[(j == 0 ? i % run : i - i % run) * inputs + j];
    return p;
}

static void drop(problem *p)
{
    free(p->coords);
    free(p->values);
    free(p->row);
}

static const pv_fit_opts plain = {.steps = 1000, .lr = 5e-4};
static const pv_fit_key no_key = {0};

static pv_fitter *new_fitter(const problem *p, const pv_fit_opts *opts)
{
    pv_fitter *fitter;
    assert_int_equal(pv_fitter_new(&p->arch, p->n, p->coords, opts, &fitter), PV_OK);
    return fitter;
}

/* Makes `isa` the one in use; false where this machine does not run it. */
static bool choose(int isa)
{
    setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
    return pv_cpu_isa() == (pv_isa)isa;
}

static double relative_l2(int n, const float *ours, const double *truth)
{
    double difference = 0, size = 0;
    for (int i = 0; i < n; i++) {
        const double d = (double)ours[i] - truth[i];
        difference += d * d;
        size += truth[i] * truth[i];
    }
    return sqrt(difference / fmax(size, 1e-30));
}

/* Fails where a tensor of the gradient is more than `most` of its size from the truth. */
static void compare_tensors(const problem *p, const char *what, const float *gradient, const double *truth,
                            double most)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    for (int i = pv_arch_layout(&p->arch, tensors) - 1; i >= 0; i--) {
        const int first = tensors[i].offset;
        const double distance =
            relative_l2(tensors[i].rows * tensors[i].cols, gradient + first, truth + first);
        if (!(distance < most)) fail_msg("%s: %s is %g away", what, tensors[i].name, distance);
    }
}

static void the_gradient_is_that_of_plain_loops(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        problem p = make_case(k, 1);
        double *row = malloc((size_t)p.params * sizeof *row);
        double *truth = malloc((size_t)p.params * sizeof *truth);
        float *gradient = malloc((size_t)p.params * sizeof *gradient);
        for (int i = 0; i < p.params; i++)
            row[i] = (double)p.row[i];
        pv_witness_gradient(&p.arch, row, p.n, p.coords, p.values, truth);
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            if (!choose(isa)) continue;
            pv_kernel_gradient(NULL, PV_PRECISION_FLOAT32, &p.arch, p.row, p.n, p.coords, p.values, gradient);
            compare_tensors(&p, pv_isa_name((pv_isa)isa), gradient, truth, 2e-5);
        }
        free(row);
        free(truth);
        free(gradient);
        drop(&p);
    }
}

/* Gradients with operands of 16 bits on the instruction set in use: near the truth, and to the bit the same
 * with the processor's own instructions. */
static void compare_narrow(const problem *p, const double *truth)
{
    const pv_inr_narrow_kernels *k = PV_ISA_CHOOSE(pv_inr_narrow_kernels);
    const pv_inr_squares_kernels *squares = PV_ISA_CHOOSE(pv_inr_squares_kernels);
    float *gradient = malloc((size_t)p->params * sizeof *gradient);
    float *own = malloc((size_t)p->params * sizeof *own);
    pv_kernel_gradient(&k->bfloat16, PV_PRECISION_BFLOAT16, &p->arch, p->row, p->n, p->coords, p->values,
                       gradient);
    compare_tensors(p, "bfloat16", gradient, truth, 0.1);
    if (pv_cpu_multiplies_bfloat16() && k->bfloat16_is_plain()) {
        pv_kernel_gradient(&k->bfloat16_own, PV_PRECISION_BFLOAT16, &p->arch, p->row, p->n, p->coords,
                           p->values, own);
        assert_memory_equal(own, gradient, (size_t)p->params * sizeof *own);
    }
    pv_kernel_gradient(&squares->plain, PV_PRECISION_BFLOAT16_AMX, &p->arch, p->row, p->n, p->coords,
                       p->values, gradient);
    compare_tensors(p, "bfloat16_amx", gradient, truth, 0.1);
    if (pv_cpu_multiplies_squares()) {
        pv_kernel_gradient(&squares->own, PV_PRECISION_BFLOAT16_AMX, &p->arch, p->row, p->n, p->coords,
                           p->values, own);
        assert_memory_equal(own, gradient, (size_t)p->params * sizeof *own);
    }
    pv_kernel_gradient(&k->int16, PV_PRECISION_INT16, &p->arch, p->row, p->n, p->coords, p->values, gradient);
    compare_tensors(p, "int16", gradient, truth, 0.02);
    if (pv_cpu_multiplies_int16()) {
        pv_kernel_gradient(&k->int16_own, PV_PRECISION_INT16, &p->arch, p->row, p->n, p->coords, p->values,
                           own);
        assert_memory_equal(own, gradient, (size_t)p->params * sizeof *own);
    }
    free(gradient);
    free(own);
}

static void compare_narrow_everywhere(const problem *p)
{
    double *row = malloc((size_t)p->params * sizeof *row), *truth = malloc((size_t)p->params * sizeof *truth);
    for (int i = 0; i < p->params; i++)
        row[i] = (double)p->row[i];
    pv_witness_gradient(&p->arch, row, p->n, p->coords, p->values, truth);
    for (int isa = 0; isa < PV_ISA_COUNT; isa++)
        if (choose(isa)) compare_narrow(p, truth);
    free(row);
    free(truth);
}

static void gradients_with_operands_of_16_bits_are_near(void **state)
{
    (void)state;
    for (int k = 0; k < CASES; k++) {
        problem p = make_case(k, 1);
        compare_narrow_everywhere(&p);
        drop(&p);
    }
}

/* All weights, activations and slopes of one sign: sums are as large as they can be. */
static void the_largest_sums_of_whole_numbers_fit(void **state)
{
    (void)state;
    const shape sizes[] = {{1, 1, 2, {255, 255}, 1100}, {1, 1, 2, {2, 2}, 9000}, {1, 1, 3, {1, 255, 1}, 500}};
    for (int k = 0; k < 3; k++) {
        problem p = make(&sizes[k], 1);
        pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
        for (int i = pv_arch_layout(&p.arch, tensors) - 1; i >= 0; i--)
            for (int j = 0; j < tensors[i].rows * tensors[i].cols; j++)
                p.row[tensors[i].offset + j] = i == 0   ? 1e-4f
                                               : i == 1 ? 1.3f / 30
                                                        : 0.04f / (float)tensors[i].cols;
        for (int i = 0; i < p.n; i++)
            p.values[i] = 0.1f, p.coords[i] = fabsf(p.coords[i]);
        compare_narrow_everywhere(&p);
        drop(&p);
    }
}

static void a_fit_follows_plain_loops(void **state)
{
    (void)state;
    enum { STEPS = 15 };
    for (int k = 0; k < CASES; k++) {
        problem p = make_case(k, 2);
        double *truth = malloc((size_t)p.params * sizeof *truth), losses[STEPS + 1];
        float *row = malloc((size_t)p.params * sizeof *row);
        pv_witness_fit(&p.arch, p.row, p.n, p.coords, p.values, STEPS, 5e-4, false, truth, losses);
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            if (!choose(isa)) continue;
            pv_fitter *fitter = new_fitter(&p, &plain);
            pv_fitter_start(fitter, 0, p.row, NULL, p.values, no_key);
            for (int t = 0; t <= STEPS; t++) {
                pv_fit_result result;
                if (t > 0) pv_fitter_advance(fitter, 1, 1);
                assert_int_equal(pv_fitter_finish(fitter, 0, row, &result), PV_OK);
                if (!(fabs(result.mse - losses[t]) < 1e-3 * losses[t] + 1e-9))
                    fail_msg("shape %d, step %d: the loss is %.9g, not %.9g", k, t, result.mse, losses[t]);
            }
            const double distance = relative_l2(p.params, row, truth);
            if (!(distance < 1e-3)) fail_msg("shape %d: the weights are %g away", k, distance);
            pv_fitter_free(fitter);
        }
        free(truth);
        free(row);
        drop(&p);
    }
}

/* The bits of a whole fit in slot 0 of a fitter of its own. */
static pv_fit_result fit_alone(const problem *p, const pv_fit_opts *opts, pv_fit_key key, float *row)
{
    pv_fitter *fitter = new_fitter(p, opts);
    pv_fit_result result;
    pv_fitter_start(fitter, 0, p->row, NULL, p->values, key);
    pv_fitter_advance(fitter, 1, INT64_MAX);
    assert_true(pv_fitter_done(fitter, 0));
    assert_int_equal(pv_fitter_finish(fitter, 0, row, &result), PV_OK);
    pv_fitter_free(fitter);
    return result;
}

/* The rules under which the fits below must not depend on where and in which calls they ran. */
static const pv_fit_opts recipes[] = {
    {.steps = 24, .lr = 5e-4},
    {.steps = 24, .lr = 2e-3, .schedule = PV_SCHEDULE_COSINE, .target_psnr = 15},
    {.steps = 24, .lr = 5e-4, .batch = 37, .seed = 7},
    {.steps = 24, .lr = 5e-4, .precision = PV_PRECISION_BFLOAT16, .polish = 7},
    {.steps = 24, .lr = 5e-4, .precision = PV_PRECISION_BFLOAT16_AMX, .batch = 100},
    {.steps = 24, .lr = 5e-4, .precision = PV_PRECISION_INT16, .batch = 37},
    {.steps = 60, .lr = 5e-3, .batch = 100, .target_psnr = 15, .plateau_steps = 6, .plateau_drop = 0.3},
};
enum { RECIPES = sizeof recipes / sizeof *recipes, MOST = 64, INRS_PARAMS = 13 * 3 + 32 * 14 + 33 };

static pv_fit_key key_of(int number)
{
    return (pv_fit_key){.source = (uint64_t)number, .view = 2, .attempt = number % 2};
}

/* Fits problems side by side, cut into calls of changing lengths, and compares each with itself alone. */
static void fit_side_by_side(const problem *p, const pv_fit_opts *opts, pv_fitter *fitter, int round)
{
    float row[INRS_PARAMS], alone[INRS_PARAMS];
    const int slots = (int)PV_FITTER_SLOTS < (int)MOST ? PV_FITTER_SLOTS : MOST;
    for (int i = 0; i < slots; i++) {
        const int k = (i + round) % slots;
        pv_fitter_start(fitter, i, p[k].row, NULL, p[k].values, key_of(k));
    }
    bool running = true;
    for (int cut = 1 + round; running; cut = (cut % 5) + 1) {
        pv_fitter_advance(fitter, slots, cut);
        running = false;
        for (int i = 0; i < slots; i++)
            running = running || !pv_fitter_done(fitter, i);
    }
    for (int i = 0; i < slots; i++) {
        const int k = (i + round) % slots;
        pv_fit_result result;
        assert_int_equal(pv_fitter_finish(fitter, i, row, &result), PV_OK);
        const pv_fit_result truth = fit_alone(&p[k], opts, key_of(k), alone);
        assert_memory_equal(row, alone, sizeof row);
        assert_true(result.mse == truth.mse && result.steps == truth.steps && result.end == truth.end);
    }
}

static void a_fit_does_not_depend_on_slot_neighbours_or_cuts(void **state)
{
    (void)state;
    const shape s = {2, 1, 2, {13, 32}, 300};
    problem p[MOST];
    for (int i = 0; i < MOST; i++)
        p[i] = make(&s, (uint64_t)i);
    for (int i = 1; i < MOST; i++) /* every problem over the coordinates of the first */
        memcpy(p[i].coords, p[0].coords, (size_t)(2 * s.n) * sizeof(float));
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        for (int r = 0; r < RECIPES; r++) {
            pv_fitter *fitter = new_fitter(&p[0], &recipes[r]);
            for (int round = 0; round < 2; round++) /* slots are used again, other INRs in them */
                fit_side_by_side(p, &recipes[r], fitter, round);
            pv_fitter_free(fitter);
        }
    }
    for (int i = 0; i < MOST; i++)
        drop(&p[i]);
}

static void objects_with_coordinates_of_their_own_fit_side_by_side(void **state)
{
    (void)state;
    const shape s = {2, 1, 2, {13, 32}, 300};
    problem p[] = {make(&s, 1), make(&s, 2)};
    float row[INRS_PARAMS], alone[INRS_PARAMS];
    for (int i = 0; i < 2 * s.n; i++)
        p[1].coords[i] *= 1e5f; /* phases beyond the quick sine, for this object only */
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        for (int r = 0; r < RECIPES; r++) {
            pv_fitter *fitter;
            assert_int_equal(pv_fitter_new(&p->arch, s.n, NULL, &recipes[r], &fitter), PV_OK);
            for (int i = 0; i < 2; i++)
                pv_fitter_start(fitter, i, p[i].row, p[i].coords, p[i].values, key_of(i));
            while (!pv_fitter_done(fitter, 0) || !pv_fitter_done(fitter, 1))
                pv_fitter_advance(fitter, 2, 3);
            for (int i = 0; i < 2; i++) {
                pv_fit_result result;
                assert_int_equal(pv_fitter_finish(fitter, i, row, &result), PV_OK);
                const pv_fit_result truth = fit_alone(&p[i], &recipes[r], key_of(i), alone);
                assert_memory_equal(row, alone, sizeof row);
                assert_true(result.mse == truth.mse && result.steps == truth.steps);
            }
            pv_fitter_free(fitter);
        }
    }
    drop(&p[0]);
    drop(&p[1]);
}

static void every_instruction_set_reaches_the_same_psnr(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 3);
    float row[1185];
    double first = NAN;
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        const pv_fit_opts opts = {.steps = 300, .lr = 5e-4};
        const double psnr = pv_psnr(fit_alone(&p, &opts, no_key, row).mse);
        if (isnan(first)) first = psnr;
        if (!(fabs(psnr - first) < 0.05))
            fail_msg("%s: %.3f dB, not %.3f", pv_isa_name((pv_isa)isa), psnr, first);
        assert_true(psnr > 25);
    }
    drop(&p);
}

static void every_precision_reaches_about_the_same_psnr(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 3);
    float row[1185];
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        pv_fit_opts opts = {.steps = 300, .lr = 5e-4};
        const double whole = pv_psnr(fit_alone(&p, &opts, no_key, row).mse);
        for (int precision = PV_PRECISION_BFLOAT16; precision <= PV_PRECISION_INT16; precision++) {
            opts.precision = (pv_precision)precision;
            const double psnr = pv_psnr(fit_alone(&p, &opts, no_key, row).mse);
            if (!(fabs(psnr - whole) < 0.3))
                fail_msg("%s: %.3f dB, not %.3f", pv_precision_name(opts.precision), psnr, whole);
        }
    }
    drop(&p);
}

static void the_last_steps_are_polished_in_float32(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 3);
    float whole[1185], narrow[1185], polished[1185];
    pv_fit_opts opts = {.steps = 20, .lr = 5e-4};
    choose(PV_ISA_PORTABLE);
    fit_alone(&p, &opts, no_key, whole);
    for (int precision = PV_PRECISION_BFLOAT16; precision <= PV_PRECISION_INT16; precision++) {
        opts.precision = (pv_precision)precision;
        opts.polish = 0;
        fit_alone(&p, &opts, no_key, narrow);
        opts.polish = 6;
        fit_alone(&p, &opts, no_key, polished);
        assert_memory_not_equal(narrow, whole, sizeof whole);
        assert_memory_not_equal(polished, narrow, sizeof whole);
        assert_memory_not_equal(polished, whole, sizeof whole);
        for (opts.polish = 20; opts.polish <= 21; opts.polish++) {
            fit_alone(&p, &opts, no_key, polished);
            assert_memory_equal(polished, whole, sizeof whole);
        }
    }
    drop(&p);
}

static void what_is_not_finite_is_an_error_of_its_slot_only(void **state)
{
    (void)state;
    const shape s = {2, 1, 2, {8, 8}, 50};
    for (int k = 0; k < 3 * PV_ISA_COUNT; k++) {
        if (!choose(k / 3)) continue;
        const pv_fit_opts opts = {.steps = 1000, .lr = 5e-4, .precision = (pv_precision)(k % 3)};
        problem p = make(&s, 4);
        pv_fitter *fitter = new_fitter(&p, &opts);
        float row[105];
        pv_fit_result result;
        pv_fitter_start(fitter, 1, p.row, NULL, p.values, no_key);
        p.values[17] = NAN;
        pv_fitter_start(fitter, 0, p.row, NULL, p.values, no_key);
        p.values[17] = 0;
        p.row[3] = INFINITY;
        pv_fitter_start(fitter, 2, p.row, NULL, p.values, no_key);
        pv_fitter_advance(fitter, 3, 3);
        assert_int_equal(pv_fitter_finish(fitter, 0, row, &result), PV_ERR_NUMERIC);
        assert_true(isnan(result.mse) && result.end == PV_FIT_NOT_FINITE && result.steps == 0);
        assert_int_equal(pv_fitter_finish(fitter, 2, row, &result), PV_ERR_NUMERIC);
        assert_int_equal(pv_fitter_finish(fitter, 1, row, &result), PV_OK);
        assert_true(result.end == PV_FIT_RUNNING && result.steps == 3);
        pv_fitter_free(fitter);
        drop(&p);
    }
}

static void the_work_of_a_step_is_counted(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 1);
    pv_fitter *fitter = new_fitter(&p, &plain);
    assert_true(pv_fitter_step_flops(fitter) == 2.0 * 784 * (2 * 64 + 3 * (1024 + 32)));
    assert_true(pv_fitter_step_activations(fitter) == 784 * 64);
    pv_fitter_free(fitter);
    pv_fitter_free(NULL);
    drop(&p);
    p = make_case(SHAPES, 1);
    if (choose(PV_ISA_AVX2)) { /* a sine of a sum is made of those of its parts */
        fitter = new_fitter(&p, &plain);
        assert_true(pv_fitter_step_flops(fitter) == 2.0 * 784 * ((4 + 2) * 32 + 3 * (1024 + 32)));
        assert_true(pv_fitter_step_activations(fitter) == (28 + 28) * 32 + 784 * 32);
        pv_fitter_free(fitter);
    }
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_that_of_plain_loops),
        cmocka_unit_test(gradients_with_operands_of_16_bits_are_near),
        cmocka_unit_test(the_largest_sums_of_whole_numbers_fit),
        cmocka_unit_test(a_fit_follows_plain_loops),
        cmocka_unit_test(a_fit_does_not_depend_on_slot_neighbours_or_cuts),
        cmocka_unit_test(objects_with_coordinates_of_their_own_fit_side_by_side),
        cmocka_unit_test(every_instruction_set_reaches_the_same_psnr),
        cmocka_unit_test(every_precision_reaches_about_the_same_psnr),
        cmocka_unit_test(the_last_steps_are_polished_in_float32),
        cmocka_unit_test(what_is_not_finite_is_an_error_of_its_slot_only),
        cmocka_unit_test(the_work_of_a_step_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
