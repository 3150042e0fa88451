/* Matrix products whose operands lie in caches, one table an instruction set (base/pv_cpu.h).
 *
 * Every element is summed over its products in order, whatever the number of rows: a row's result does not
 * depend on its neighbours. */
#ifndef PV_MATRIX_KERNELS_H
#define PV_MATRIX_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* One term a b of a sum of products: a [m][k] with rows `lda` apart, b [k][n] with rows `ldb` apart. */
typedef struct pv_product_term {
    const pv_real *a, *b;
    int64_t lda, ldb;
    int k;
} pv_product_term;

typedef struct pv_matrix_kernels {
    /* c[m][n] = the sum of the terms, added to c if `add`; ldc = n.  The sums stay in registers over all terms. */
    void (*product)(int64_t m, int n, int count, const pv_product_term *terms, int add, pv_real *c);
    /* c[m][n] += alpha a[k][m]^T b[k][n], k being long; no gaps. */
    void (*outer)(int m, int n, int64_t k, pv_real alpha, const pv_real *a, const pv_real *b, pv_real *c);
    /* y[n][m] = alpha x[m][n]^T, with rows of y `ldy` apart. */
    void (*transpose)(int m, int n, pv_real alpha, const pv_real *x, pv_real *y, int64_t ldy);
} pv_matrix_kernels;

PV_ISA_DECLARE(pv_matrix_kernels);

#endif
