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

typedef void sincos_loop(int n, const float *t, float *sine, float *cosine);

/* Rounds of the precision's multiply-adds. */
static float multiply_adds(const pv_limits_kernels *kernels, pv_precision precision)
{
    if (precision == PV_PRECISION_BFLOAT16) return kernels->bfloat16(ROUNDS, pv_cpu_multiplies_bfloat16());
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

static double measure_pair_ns(sincos_loop *loop, double seconds)
{
    float t[PHASES] __attribute__((aligned(64))), sine[PHASES] __attribute__((aligned(64))),
        cosine[PHASES] __attribute__((aligned(64)));
    for (int i = 0; i < PHASES; i++)
        t[i] = 16 * ((float)i / PHASES - 0.5f);
    double took[BATCHES], before = pv_thread_seconds();
    const double start = before;
    int batches = 0;
    while (batches < BATCHES && (batches == 0 || before - start < seconds)) {
        for (int pass = 0; pass < PASSES; pass++)
            loop(PHASES, t, sine, cosine);
        const double now = pv_thread_seconds();
        took[batches++] = now - before;
        before = now;
    }
    return pv_median(batches, took) / ((double)PASSES * PHASES) * 1e9;
}

void pv_limits_measure(double seconds, pv_precision precision, pv_limits *limits)
{
    sincos_loop *libmvec = PV_ISA_CHOOSE(pv_limits_kernels)->sincos_libmvec;
    const double share = precision == PV_PRECISION_FLOAT32 ? 0.4 : 0.2; /* of the seconds */
    limits->fma_gflops = limits->narrow_gflops = measure_gflops(share * seconds, PV_PRECISION_FLOAT32);
    if (precision != PV_PRECISION_FLOAT32) limits->narrow_gflops = measure_gflops(share * seconds, precision);
    limits->sincos_own_ns = measure_pair_ns(pv_inr_sincos_loop(), 0.4 * seconds);
    limits->sincos_libmvec_ns = libmvec ? measure_pair_ns(libmvec, 0.2 * seconds) : (double)NAN;
    limits->sincos_ns = fmin(limits->sincos_own_ns, limits->sincos_libmvec_ns);
}

double pv_limits_seconds(const pv_limits *limits, double flops, double narrow, double pairs)
{
    return ((flops - narrow) / limits->fma_gflops + narrow / limits->narrow_gflops) * 1e-9 +
           pairs * limits->sincos_ns * 1e-9;
}
