/* The loops that pv_limits_measure() times, compiled once for every instruction set.  Private to the room. */
#ifndef PV_LIMITS_KERNELS_H
#define PV_LIMITS_KERNELS_H

#include "base/pv_cpu.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_limits_kernels {
    /* Does `rounds` rounds of `round_flops` operations in registers; the result depends on all of them.  The
     * others multiply pairs of operands, twice as many a round, by the processor's own instruction or, where
     * the set has none or for want of it, as plain arithmetic does. */
    float (*multiply_adds)(int64_t rounds);
    float (*bfloat16)(int64_t rounds, bool own), (*bfloat16_amx)(int64_t rounds, bool own),
        (*int16)(int64_t rounds, bool own);
    double round_flops;
    /* Sines and cosines of x [n], in radians, n a multiple of 16, by libmvec; NULL where there is none. */
    void (*sincos_libmvec)(int n, const float *x, float *sine, float *cosine);
} pv_limits_kernels;

PV_ISA_DECLARE(pv_limits_kernels);

#endif
