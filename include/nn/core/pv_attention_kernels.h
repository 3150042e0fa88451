/* The dense loops of attention over a set, one table an instruction set (base/pv_cpu.h).
 *
 * Matrices are held transposed, [channels][np]: positions of the set are the fastest axis, padded to np, a
 * multiple of `lanes`, so that all queries move together and no sum runs across a vector. */
#ifndef PV_ATTENTION_KERNELS_H
#define PV_ATTENTION_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdint.h>

typedef struct pv_attention_kernels {
    int lanes;
    /* s[keys][np] becomes e = exp(scale (s - its greatest)) of every query, and share[np] one over the sum of
     * these: softmax(scale s) is e share.  No sweep over s goes into that product: it is due where e has been
     * summed over. */
    void (*softmax)(int keys, int np, pv_real scale, pv_real *s, pv_real *share);
    /* dp, the gradient of e share = softmax(scale s), becomes that of s. */
    void (*softmax_backward)(int keys, int np, pv_real scale, const pv_real *e, const pv_real *share,
                             pv_real *dp);
    /* y[m][np] = y share [+ q]; q may be NULL. */
    void (*add_shares)(int m, int np, const pv_real *q, const pv_real *share, pv_real *y);
    /* y[m][n] = bias[m]. */
    void (*fill_rows)(int m, int n, const pv_real *bias, pv_real *y);
    /* y = o + max(z, 0). */
    void (*add_relu)(int64_t n, const pv_real *o, const pv_real *z, pv_real *y);
    /* y = z > 0 ? x : 0. */
    void (*where_positive)(int64_t n, const pv_real *z, const pv_real *x, pv_real *y);
} pv_attention_kernels;

PV_ISA_DECLARE(pv_attention_kernels);

#endif
