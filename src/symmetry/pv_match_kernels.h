/* The dense loop of weight matching, compiled once an instruction set. */
#ifndef PV_MATCH_KERNELS_H
#define PV_MATCH_KERNELS_H

#include "base/pv_cpu.h"

enum { PV_MATCH_LANES = 16 };

typedef struct pv_match_kernels {
    /* out [n][n] = a [n][k] b [k][stride], of which the first n columns count; stride is a multiple of the lanes. */
    void (*product)(int n, int k, int stride, const float *a, const float *b, float *out);
} pv_match_kernels;
PV_ISA_DECLARE(pv_match_kernels);

#endif
