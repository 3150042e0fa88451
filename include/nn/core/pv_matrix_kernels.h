/* Matrix products whose operands lie in caches, one table an instruction set (base/pv_cpu.h).
 *
 * Every element is summed over its products in order, whatever the number of rows: a row's result does not
 * depend on its neighbours. */
#ifndef PV_MATRIX_KERNELS_H
#define PV_MATRIX_KERNELS_H

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

#endif
