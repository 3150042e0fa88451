/* The dense loop of weight matching, compiled once an instruction set. */
#ifndef PV_MATCH_KERNELS_H
#define PV_MATCH_KERNELS_H

#include "base/pv_cpu.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_MATCH_LANES = 32 }; /* rows of B are read up to a multiple of these */

/* A feature of A's units with one of B's: an outer product of both is a term of the values. */
typedef struct pv_match_term {
    const float *theirs; /* [stride] of B's units */
    int32_t mine;        /* number of A's feature */
    float factor;
} pv_match_term;

typedef struct pv_match_kernels {
    /* values[i][j] += sum over terms of factor a[i][mine] theirs[j], or = with `anew`.
     * Shapes   a [n][features], values [n][stride]; stride, a multiple of the lanes, >= n. */
    void (*add)(int n, int stride, int features, const float *a, int terms, const pv_match_term *term,
                bool anew, float *values);
} pv_match_kernels;
PV_ISA_DECLARE(pv_match_kernels);

#endif
