/* The dense loops of the nn room around the matrix products, one table an instruction set (base/pv_cpu.h).
 *
 * f is the number of features, always the fastest axis.  Sums that leave a kernel in double are taken over
 * short blocks in pv_real around a value of the block itself, so that neither length nor mean costs digits.
 */
#ifndef PV_NN_KERNELS_H
#define PV_NN_KERNELS_H

#include "base/pv_cpu.h"
#include "nn/core/pv_matrix_kernels.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* One step of Adam, in the terms of PyTorch. */
typedef struct pv_adam_step {
    pv_real decay;                      /* the factor of decoupled weight decay, 1 - lr wd */
    pv_real l2;                         /* weight decay added to the gradient */
    pv_real beta1, beta2, rest1, rest2; /* rest = 1 - beta, rounded once */
    pv_real rate;                       /* lr / (1 - beta1^t) */
    pv_real scale;                      /* 1 / sqrt(1 - beta2^t) */
    pv_real eps;
} pv_adam_step;

typedef struct pv_nn_kernels {
    int lanes; /* the numbers of a vector */
    /* For products with one side so small that it stays in the first-level cache: what BLAS spends on copying
     * there costs more than the product. */
    const pv_matrix_kernels *matrix;

    /* y[n][f] += alpha * row[f]. */
    void (*add_row)(int64_t n, int f, pv_real alpha, const pv_real *row, pv_real *y);
    /* sum[f] += alpha * the sum of the n rows of x[n][f]. */
    void (*sum_rows)(int64_t n, int f, pv_real alpha, const pv_real *x, pv_real *sum);
    /* y = max(x, 0); x and y may be the same. */
    void (*relu)(int64_t n, const pv_real *x, pv_real *y);
    /* dy = x > 0 ? dy * scale : 0, x being the output of the ReLU. */
    void (*relu_backward)(int64_t n, const pv_real *x, pv_real scale, pv_real *dy);
    /* x *= scale where the 16-bit draw is below `keep`, else 0. */
    void (*dropout)(int64_t n, const uint16_t *draws, uint32_t keep, pv_real scale, pv_real *x);

    /* sum[f] += sum x, square[f] += sum x^2 over x[n][f]. */
    void (*moments)(int64_t n, int f, const pv_real *x, double *sum, double *square);
    /* y = x * scale[f] + shift[f], clipped at 0 if asked. */
    void (*affine_relu)(int64_t n, int f, const pv_real *x, const pv_real *scale, const pv_real *shift,
                        pv_real *y);
    /* sum[f] += sum dz, dot[f] += sum dz (y - mean[f]). */
    void (*norm_backward_sums)(int64_t n, int f, const pv_real *y, const pv_real *mean, const pv_real *dz,
                               double *sum, double *dot);
    /* dz = a[f] dz + b[f] (y - mean[f]) + c[f]. */
    void (*norm_backward)(int64_t n, int f, const pv_real *y, const pv_real *mean, const pv_real *a,
                          const pv_real *b, const pv_real *c, pv_real *dz);

    /* Adam on n parameters; vmax NULL: without AMSGrad. */
    void (*adam)(int64_t n, const pv_adam_step *step, const pv_real *g, pv_real *p, pv_real *m, pv_real *v,
                 pv_real *vmax);
    /* buffer = momentum * buffer + g + l2 p; p -= lr * buffer. */
    void (*sgd)(int64_t n, pv_real lr, pv_real momentum, pv_real l2, const pv_real *g, pv_real *p,
                pv_real *buffer);
} pv_nn_kernels;

PV_ISA_DECLARE(pv_nn_kernels);

#endif
