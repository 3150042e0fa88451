/* Matrix products: the one place of the nn room that knows BLAS. */
#ifndef PV_BLAS_H
#define PV_BLAS_H

#include "nn/pv_real.h"

#include <cblas.h>
#include <stdint.h>

typedef enum pv_op { PV_AS_IS = CblasNoTrans, PV_TRANSPOSED = CblasTrans } pv_op;

/* c = alpha op(a) op(b) + beta c.
 * Shapes   op(a) [m][k], op(b) [k][n], c [m][n]; all row-major without gaps.  Empty products are left alone.
 */
static inline void pv_gemm(pv_op op_a, pv_op op_b, int64_t m, int64_t n, int64_t k, double alpha,
                           const pv_real *a, const pv_real *b, double beta, pv_real *c)
{
    if (m == 0 || n == 0 || k == 0) return;
    const int lda = (int)(op_a == PV_AS_IS ? k : m), ldb = (int)(op_b == PV_AS_IS ? n : k);
    const CBLAS_TRANSPOSE ta = (CBLAS_TRANSPOSE)op_a, tb = (CBLAS_TRANSPOSE)op_b;
#ifdef PV_NN_DOUBLE
    cblas_dgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, alpha, a, lda, b, ldb, beta, c, (int)n);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, (float)alpha, a, lda, b, ldb, (float)beta, c,
                (int)n);
#endif
}

#endif
