/* The dense loops of the nn room, one table of each kind an instruction set (base/pv_cpu.h): small matrix
 * products, what is done to features around them, attention over a set. */
#ifndef PV_NN_KERNELS_H
#define PV_NN_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdint.h>

enum { PV_OUTER_BLOCK = 128 }; /* the usual rows of an outer product that are summed at once */

/* One term a b of a sum of products: element (i, p) of a [m][k] at a[i * row + p * step], b [k][n] with rows
 * `ldb` apart. */
typedef struct pv_product_term {
    const pv_real *a, *b;
    int64_t row, step, ldb;
    int k;
} pv_product_term;

/* Matrix products whose operands lie in caches.  Every element is summed over its products in order, whatever
 * the number of rows: a row's result does not depend on its neighbours. */
typedef struct pv_matrix_kernels {
    /* c[m][n] = the sum of the terms, added to c if `add`; ldc = n.  The sums stay in registers over all
     * terms. */
    void (*product)(int64_t m, int n, int count, const pv_product_term *terms, int add, pv_real *c);
    /* c[m][n] += alpha a[k][m]^T b[k][n], k being long; no gaps.  `block` rows of a and b, which the
     * first-level cache should hold, are summed before their sum is added to c. */
    void (*outer)(int m, int n, int64_t k, int block, pv_real alpha, const pv_real *a, const pv_real *b,
                  pv_real *c);
    /* y[cols][ldy] = x[rows][cols] transposed, with rows of x `ldx` apart; what lies behind the `rows` of y
     * is set to 0 up to ldy. */
    void (*transpose)(int rows, int cols, const pv_real *x, int64_t ldx, pv_real *y, int64_t ldy);
} pv_matrix_kernels;

PV_ISA_DECLARE(pv_matrix_kernels);

/* The term of a [m][k] and b [k][n] without gaps. */
static inline pv_product_term pv_product_of(const pv_real *a, const pv_real *b, int n, int k)
{
    return (pv_product_term){.a = a, .b = b, .row = k, .step = 1, .ldb = n, .k = k};
}

/* One step of Adam, in the terms of PyTorch. */
typedef struct pv_adam_step {
    pv_real decay;                      /* the factor of decoupled weight decay, 1 - lr wd */
    pv_real l2;                         /* weight decay added to the gradient */
    pv_real beta1, beta2, rest1, rest2; /* rest = 1 - beta, rounded once */
    pv_real rate;                       /* lr / (1 - beta1^t) */
    pv_real scale;                      /* 1 / sqrt(1 - beta2^t) */
    pv_real eps;
} pv_adam_step;

/* f is the number of features, always the fastest axis.  Sums that leave a kernel in double are taken over
 * short blocks in pv_real around a value of the block, so that neither length nor mean costs digits. */
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

/* Attention over a set.  Matrices are held transposed, [channels][np]: positions of the set are the fastest
 * axis, padded to np, a multiple of the numbers of a vector, so that all queries move together and no sum
 * runs across a vector. */
typedef struct pv_attention_kernels {
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
} pv_attention_kernels;

PV_ISA_DECLARE(pv_attention_kernels);

#endif
