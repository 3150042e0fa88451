#include "siren/pv_limits.h"

#include "base/pv_log.h"
#include "siren/pv_limits_kernels.h"
#include "siren/pv_siren_kernels.h"

#include <math.h>

enum {
    ROUNDS = 512,  /* of multiply-adds between two looks at the clock: a few microseconds */
    PHASES = 1024, /* floats: with their sines and slopes well inside the first cache */
    PASSES = 8,    /* over the phases between two looks at the clock */
};

typedef void sincos_loop(int n, const float *t, float *sine, float *cosine);

static double measure_gflops(double seconds)
{
    const pv_limits_kernels *kernels = PV_ISA_CHOOSE(pv_limits_kernels);
    volatile float sink = 0;
    const double start = pv_seconds();
    double elapsed, rounds = 0;
    do {
        sink = sink + kernels->multiply_adds(ROUNDS);
        rounds += ROUNDS;
        elapsed = pv_seconds() - start;
    } while (elapsed < seconds);
    return rounds * kernels->round_flops / elapsed * 1e-9;
}

static double measure_pair_ns(sincos_loop *loop, double seconds)
{
    float t[PHASES] __attribute__((aligned(64))), sine[PHASES] __attribute__((aligned(64))),
        cosine[PHASES] __attribute__((aligned(64)));
    for (int i = 0; i < PHASES; i++)
        t[i] = 16 * ((float)i / PHASES - 0.5f);
    const double start = pv_seconds();
    double elapsed, pairs = 0;
    do {
        for (int pass = 0; pass < PASSES; pass++)
            loop(PHASES, t, sine, cosine);
        pairs += (double)PASSES * PHASES;
        elapsed = pv_seconds() - start;
    } while (elapsed < seconds);
    return elapsed / pairs * 1e9;
}

void pv_limits_measure(double seconds, pv_limits *limits)
{
    sincos_loop *libmvec = PV_ISA_CHOOSE(pv_limits_kernels)->sincos_libmvec;
    limits->fma_gflops = measure_gflops(0.4 * seconds);
    limits->sincos_own_ns = measure_pair_ns(PV_ISA_CHOOSE(pv_siren_kernels)->sincos, 0.4 * seconds);
    limits->sincos_libmvec_ns = libmvec ? measure_pair_ns(libmvec, 0.2 * seconds) : (double)NAN;
    limits->sincos_ns = fmin(limits->sincos_own_ns, limits->sincos_libmvec_ns);
}

double pv_limits_seconds(const pv_limits *limits, double flops, double pairs)
{
    return flops / limits->fma_gflops * 1e-9 + pairs * limits->sincos_ns * 1e-9;
}
