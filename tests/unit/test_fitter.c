#include "base/pv_cpu.h"
#include "base/pv_mem.h"
#include "pv_siren_witness.h"
#include "siren/pv_fitter.h"
#include "siren/pv_siren_kernels.h"

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
    {2, 1, 2, {130, 255}, 301},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static problem make(const shape *s, uint64_t seed)
{
    int hidden[7];
    memcpy(hidden, s->hidden, sizeof hidden);
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = (unsigned)s->count, .w0 = 30, .offset = 0.5};
    problem p = {.n = s->n};
    assert_int_equal(pv_arch_make(&opts, s->inputs, s->outputs, &p.arch), PV_OK);
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
    pv_siren_init(&p.arch, PV_SIREN_DWSNETS, &rng, p.row);
    for (int i = 0; i < p.params; i++)
        if (p.row[i] == 0) p.row[i] = (float)pv_rng_range(&rng, -0.05, 0.05);
    return p;
}

static void drop(problem *p)
{
    free(p->coords);
    free(p->values);
    free(p->row);
}

static pv_fitter *new_fitter(const problem *p)
{
    pv_fitter *fitter;
    assert_int_equal(pv_fitter_new(&p->arch, p->n, p->coords, &fitter), PV_OK);
    assert_true(pv_fitter_slots(fitter) >= 1);
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

/* The kernels' gradient over all tiles, summed into `gradient`. */
static void kernel_gradient(const problem *p, float *gradient)
{
    const pv_siren_kernels *kernels = PV_ISA_CHOOSE(pv_siren_kernels);
    const int inputs = p->arch.dims[0], outputs = p->arch.dims[p->arch.layers];
    pv_siren_net net;
    assert_int_equal(pv_siren_net_open(&p->arch, p->n, &net), PV_OK);
    net.reach = 1;
    const int tiles = pv_siren_net_tiles(&net, p->n);
    float *coords = pv_alloc((int64_t)tiles * inputs * net.stride, sizeof *coords);
    float *values = pv_alloc((int64_t)tiles * outputs * net.stride, sizeof *values);
    pv_siren_net_lay_out(&net, p->n, inputs, p->coords, coords);
    pv_siren_net_lay_out(&net, p->n, outputs, p->values, values);
    kernels->load(&net, p->row);
    memset(gradient, 0, (size_t)p->params * sizeof *gradient);
    for (int t = 0; t < tiles; t++) {
        const int left = p->n - t * net.tile;
        kernels->gradient(&net, coords + (int64_t)t * inputs * net.stride,
                          values + (int64_t)t * outputs * net.stride, left < net.tile ? left : net.tile,
                          2.0f / (float)(p->n * outputs), gradient);
    }
    pv_siren_net_close(&net);
    free(coords);
    free(values);
}

static void the_gradient_is_that_of_plain_loops(void **state)
{
    (void)state;
    for (int k = 0; k < SHAPES; k++) {
        problem p = make(&shapes[k], 1);
        double *row = malloc((size_t)p.params * sizeof *row);
        double *truth = malloc((size_t)p.params * sizeof *truth);
        float *gradient = malloc((size_t)p.params * sizeof *gradient);
        for (int i = 0; i < p.params; i++)
            row[i] = (double)p.row[i];
        pv_witness_gradient(&p.arch, row, p.n, p.coords, p.values, truth);
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            if (!choose(isa)) continue;
            kernel_gradient(&p, gradient);
            pv_arch_tensor tensors[2 * PV_SIREN_MAX_LAYERS];
            for (int i = pv_arch_layout(&p.arch, tensors) - 1; i >= 0; i--) {
                const int first = tensors[i].offset;
                const double distance =
                    relative_l2(tensors[i].rows * tensors[i].cols, gradient + first, truth + first);
                if (!(distance < 2e-5))
                    fail_msg("shape %d, %s, %s: %g away", k, pv_isa_name((pv_isa)isa), tensors[i].name,
                             distance);
            }
        }
        free(row);
        free(truth);
        free(gradient);
        drop(&p);
    }
}

static void a_fit_follows_plain_loops(void **state)
{
    (void)state;
    enum { STEPS = 15 };
    for (int k = 0; k < SHAPES; k++) {
        problem p = make(&shapes[k], 2);
        double *truth = malloc((size_t)p.params * sizeof *truth), losses[STEPS + 1];
        float *row = malloc((size_t)p.params * sizeof *row);
        pv_witness_fit(&p.arch, p.row, p.n, p.coords, p.values, STEPS, 5e-4, truth, losses);
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            if (!choose(isa)) continue;
            pv_fitter *fitter = new_fitter(&p);
            pv_fitter_start(fitter, 0, p.row, p.values);
            for (int t = 0; t <= STEPS; t++) {
                double mse;
                if (t > 0) pv_fitter_advance(fitter, 1, 1, 5e-4);
                assert_int_equal(pv_fitter_finish(fitter, 0, row, &mse), PV_OK);
                if (!(fabs(mse - losses[t]) < 1e-3 * losses[t] + 1e-9))
                    fail_msg("shape %d, step %d: the loss is %.9g, not %.9g", k, t, mse, losses[t]);
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

/* The bits of a fit of `steps` steps in slot 0 of a fitter of its own. */
static void fit_alone(const problem *p, int steps, float *row, double *mse)
{
    pv_fitter *fitter = new_fitter(p);
    pv_fitter_start(fitter, 0, p->row, p->values);
    pv_fitter_advance(fitter, 1, steps, 5e-4);
    assert_int_equal(pv_fitter_finish(fitter, 0, row, mse), PV_OK);
    pv_fitter_free(fitter);
}

static void a_fit_does_not_depend_on_slot_neighbours_or_cuts(void **state)
{
    (void)state;
    const shape s = {2, 1, 2, {13, 32}, 300};
    enum { STEPS = 24, MOST = 64 };
    problem p[MOST];
    float row[13 * 3 + 32 * 14 + 33], alone[13 * 3 + 32 * 14 + 33];
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        for (int i = 0; i < MOST; i++)
            p[i] = make(&s, (uint64_t)i);
        for (int i = 1; i < MOST; i++) /* every problem over the coordinates of the first */
            memcpy(p[i].coords, p[0].coords, (size_t)(2 * s.n) * sizeof(float));
        pv_fitter *fitter = new_fitter(&p[0]);
        const int slots = pv_fitter_slots(fitter) < MOST ? pv_fitter_slots(fitter) : MOST;
        for (int round = 0; round < 2; round++) { /* slots are used again, other INRs in them */
            for (int i = 0; i < slots; i++)
                pv_fitter_start(fitter, i, p[(i + round) % slots].row, p[(i + round) % slots].values);
            for (int done = 0, cut = 1 + round; done < STEPS; done += cut, cut = (cut % 5) + 1) {
                if (cut > STEPS - done) cut = STEPS - done;
                pv_fitter_advance(fitter, slots, cut, 5e-4);
            }
            for (int i = 0; i < slots; i++) {
                double mse, mse_alone;
                assert_int_equal(pv_fitter_finish(fitter, i, row, &mse), PV_OK);
                fit_alone(&p[(i + round) % slots], STEPS, alone, &mse_alone);
                assert_memory_equal(row, alone, sizeof row);
                assert_true(mse == mse_alone);
            }
        }
        pv_fitter_free(fitter);
        for (int i = 0; i < MOST; i++)
            drop(&p[i]);
    }
}

static void every_instruction_set_reaches_the_same_psnr(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 3);
    float row[1185];
    double first = NAN;
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        double mse;
        if (!choose(isa)) continue;
        fit_alone(&p, 300, row, &mse);
        if (isnan(first)) first = pv_psnr(mse);
        if (!(fabs(pv_psnr(mse) - first) < 0.05))
            fail_msg("%s: %.3f dB, not %.3f", pv_isa_name((pv_isa)isa), pv_psnr(mse), first);
        assert_true(pv_psnr(mse) > 25);
    }
    drop(&p);
}

static void what_is_not_finite_is_an_error_of_its_slot_only(void **state)
{
    (void)state;
    const shape s = {2, 1, 2, {8, 8}, 50};
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        if (!choose(isa)) continue;
        problem p = make(&s, 4);
        pv_fitter *fitter = new_fitter(&p);
        assert_true(pv_fitter_slots(fitter) >= 3);
        float row[105];
        double mse;
        pv_fitter_start(fitter, 1, p.row, p.values);
        p.values[17] = NAN;
        pv_fitter_start(fitter, 0, p.row, p.values);
        p.values[17] = 0;
        p.row[3] = INFINITY;
        pv_fitter_start(fitter, 2, p.row, p.values);
        pv_fitter_advance(fitter, 3, 3, 5e-4);
        assert_int_equal(pv_fitter_finish(fitter, 0, row, &mse), PV_ERR_NUMERIC);
        assert_true(isnan(mse) && isnan(row[0]));
        assert_int_equal(pv_fitter_finish(fitter, 2, row, &mse), PV_ERR_NUMERIC);
        assert_int_equal(pv_fitter_finish(fitter, 1, row, &mse), PV_OK);
        pv_fitter_free(fitter);
        drop(&p);
    }
}

static void the_work_of_a_step_is_counted(void **state)
{
    (void)state;
    problem p = make(&shapes[0], 1);
    pv_fitter *fitter = new_fitter(&p);
    assert_true(pv_fitter_step_flops(fitter) == 2.0 * 784 * (2 * 64 + 3 * (1024 + 32)));
    assert_true(pv_fitter_step_sincos(fitter) == 784 * 64);
    pv_fitter_free(fitter);
    pv_fitter_free(NULL);
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_is_that_of_plain_loops),
        cmocka_unit_test(a_fit_follows_plain_loops),
        cmocka_unit_test(a_fit_does_not_depend_on_slot_neighbours_or_cuts),
        cmocka_unit_test(every_instruction_set_reaches_the_same_psnr),
        cmocka_unit_test(what_is_not_finite_is_an_error_of_its_slot_only),
        cmocka_unit_test(the_work_of_a_step_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
