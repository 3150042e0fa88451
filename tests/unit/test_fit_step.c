/* A step of Adam in the fit kernels, on every instruction set: what it changes and what it loads. */
#include "inr/pv_inr_kernels.h"
#include "kernel_test.h"
#include "pv_siren_witness.h"

/* Widths that fill no vector, whole blocks, no hidden layer. */
static const int widths[][2] = {{5, 7}, {32, 32}, {33, 64}, {0, 0}};
enum { NETS = sizeof widths / sizeof *widths, SAMPLES = 16 };

/* A row with its step, and the working form of its weights. */
typedef struct stepped {
    pv_arch arch;
    int params;
    pv_inr_net net;
    float *row, *gradient, *m, *v;
} stepped;

static stepped open(int number)
{
    int hidden[2] = {widths[number][0], widths[number][1]};
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = hidden[0] > 0 ? 2 : 0, .w0 = 30};
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, (uint64_t)number, 0);
    stepped s = {0};
    assert_int_equal(pv_arch_make(&opts, 2, 1, 1, &s.arch), PV_OK);
    assert_int_equal(pv_inr_net_open(&s.arch, SAMPLES, 0, &s.net), PV_OK);
    s.params = pv_arch_params(&s.arch);
    float **parts[] = {&s.row, &s.gradient, &s.m, &s.v};
    for (int i = 0; i < 4; i++)
        *parts[i] = calloc((size_t)s.params, sizeof(float));
    for (int i = 0; i < s.params; i++)
        s.row[i] = (float)(pv_rng_range(&rng, 0.1, 1) * (pv_rng_uniform(&rng) < 0.5 ? -1 : 1));
    return s;
}

static void drop(stepped *s)
{
    pv_inr_net_close(&s->net);
    free(s->row);
    free(s->gradient);
    free(s->m);
    free(s->v);
}

/* The first step: m = g / 10 and v = g^2 / 1000, so that weights move by a tenth of the rate. */
static void moves_and_loads(void)
{
    const pv_inr_kernels *kernels = PV_ISA_CHOOSE(pv_inr_kernels);
    for (int k = 0; k < NETS; k++) {
        stepped s = open(k), same = open(k);
        memcpy(s.gradient, s.row, (size_t)s.params * sizeof *s.row);
        kernels->adam(&s.net, (pv_inr_adam){5e-3f, sqrtf(1000)}, s.gradient, s.m, s.v, s.row);
        for (int i = 0; i < s.params; i++)
            assert_true(fabsf(s.row[i] - (same.row[i] - copysignf(5e-4f, same.row[i]))) < 1e-6f);
        kernels->load(&same.net, s.row);
        for (int l = 0; l < s.arch.layers; l++) {
            const size_t units = (size_t)s.arch.dims[l + 1], size = units * (size_t)s.arch.dims[l];
            assert_memory_equal(s.net.weight[l], same.net.weight[l], size * sizeof(float));
            assert_memory_equal(s.net.transposed[l], same.net.transposed[l], size * sizeof(float));
            assert_memory_equal(s.net.bias[l], same.net.bias[l], units * sizeof(float));
            assert_int_equal(s.net.apart[l], same.net.apart[l]);
        }
        drop(&s);
        drop(&same);
    }
}

static void a_step_moves_weights_and_loads_them(void **state)
{
    (void)state;
    on_every_isa(moves_and_loads);
}

/* Where the gradient is 0, nothing is left below the smallest normal number, on processors that are told so;
 * what comes after the kernels computes with such numbers again. */
static void drops_only_its_own(void)
{
    const pv_inr_kernels *kernels = PV_ISA_CHOOSE(pv_inr_kernels);
    const float coords[2 * SAMPLES] = {0}, values[SAMPLES] = {0};
    volatile float tiny = 2e-39f;
    stepped s = open(1);
    for (int i = 0; i < s.params; i++)
        s.m[i] = tiny;
    kernels->adam(&s.net, (pv_inr_adam){5e-4f, 1}, s.gradient, s.m, s.v, s.row);
#if defined(__x86_64__)
    for (int i = 0; i < s.params; i++)
        assert_true(s.m[i] == 0);
#endif
    pv_kernel_gradient(NULL, PV_PRECISION_FLOAT32, &s.arch, s.row, SAMPLES, coords, values, s.gradient);
    assert_true(tiny / 2 > 0);
    drop(&s);
}

static void numbers_that_are_almost_zero_are_dropped_inside_alone(void **state)
{
    (void)state;
    on_every_isa(drops_only_its_own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_moves_weights_and_loads_them),
        cmocka_unit_test(numbers_that_are_almost_zero_are_dropped_inside_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
