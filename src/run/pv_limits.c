/* Measures what a core can do at most. */
#include "run/pv_limits.h"

#include "base/pv_clock.h"
#include "pv_limits_kernels.h"
#include "inr/pv_inr.h"

#include <math.h>

enum {
    BATCHES = 512, /* at most; a batch, of some ten microseconds, is timed on its own */
    ROUNDS = 8192, /* of multiply-adds in a batch */
    PHASES = 1024, /* floats: with their sines and slopes well inside the first cache */
    PASSES = 64,   /* over the phases in a batch */
};

/* Rounds of the precision's multiply-adds. */
static float multiply_adds(const pv_limits_kernels *kernels, pv_precision precision)
{
    if (precision == PV_PRECISION_BFLOAT16) return kernels->bfloat16(ROUNDS, pv_cpu_multiplies_bfloat16());
    if (precision == PV_PRECISION_BFLOAT16_AMX)
        return kernels->bfloat16_amx(ROUNDS, pv_cpu_multiplies_squares());
    if (precision == PV_PRECISION_INT16) return kernels->int16(ROUNDS, pv_cpu_multiplies_int16());
    return kernels->multiply_adds(ROUNDS);
}

static double measure_gflops(double seconds, pv_precision precision)
{
    const pv_limits_kernels *kernels = PV_ISA_CHOOSE(pv_limits_kernels);
    const double flops = kernels->round_flops * (precision == PV_PRECISION_FLOAT32 ? 1 : 2);
    double took[BATCHES], before = pv_thread_seconds();
    const double start = before;
    volatile float sink = 0;
    int batches = 0;
    while (batches < BATCHES && (batches == 0 || before - start < seconds)) {
        sink = sink + multiply_adds(kernels, precision);
        const double now = pv_thread_seconds();
        took[batches++] = now - before;
        before = now;
    }
    return ROUNDS * flops / pv_median(batches, took) * 1e-9;
}

static double measure_activation_ns(pv_inr_activate *loop, double seconds)
{
    float z[PHASES] __attribute__((aligned(64))), value[PHASES] __attribute__((aligned(64))),
        slope[PHASES] __attribute__((aligned(64)));
    for (int i = 0; i < PHASES; i++)
        z[i] = 16 * ((float)i / PHASES - 0.5f);
    double took[BATCHES], before = pv_thread_seconds();
    const double start = before;
    int batches = 0;
    while (batches < BATCHES && (batches == 0 || before - start < seconds)) {
        for (int pass = 0; pass < PASSES; pass++)
            loop(PHASES, z, value, slope);
        const double now = pv_thread_seconds();
        took[batches++] = now - before;
        before = now;
    }
    return pv_median(batches, took) / ((double)PASSES * PHASES) * 1e9;
}

static void measure_activation(double seconds, const pv_activation *activation, pv_limits *limits)
{
    pv_inr_activate *libmvec = PV_ISA_CHOOSE(pv_limits_kernels)->sincos_libmvec;
    if (activation->loop != PV_LOOP_SINE) libmvec = NULL;
    limits->activation_own_ns = measure_activation_ns(pv_inr_activation_loop(activation), 0.7 * seconds);
    limits->sincos_libmvec_ns = libmvec ? measure_activation_ns(libmvec, 0.3 * seconds) : (double)NAN;
    limits->activation_ns = fmin(limits->activation_own_ns, limits->sincos_libmvec_ns);
}

void pv_limits_measure(double seconds, pv_precision precision, const pv_activation *activation,
                       pv_limits *limits)
{
    const double share = precision == PV_PRECISION_FLOAT32 ? 0.4 : 0.2; /* of the seconds */
    *limits = (pv_limits){0};
    limits->fma_gflops = limits->narrow_gflops = measure_gflops(share * seconds, PV_PRECISION_FLOAT32);
    if (precision != PV_PRECISION_FLOAT32) limits->narrow_gflops = measure_gflops(share * seconds, precision);
    if (activation) measure_activation(0.6 * seconds, activation, limits);
}

double pv_limits_seconds(const pv_limits *limits, double flops, double narrow, double activations)
{
    return ((flops - narrow) / limits->fma_gflops + narrow / limits->narrow_gflops) * 1e-9 +
           activations * limits->activation_ns * 1e-9;
}
