/* Matrix products: the room's own kernels where a packed operand fits into a cache, else BLAS. */
#include "nn/core/pv_blas.h"

#include <cblas.h>

enum { SMALL = 4096 }; /* numbers of a matrix that stays in the first-level cache */

static void blas(bool transpose_a, bool transpose_b, int m, int n, int k, double alpha, const pv_real *a,
                 const pv_real *b, double beta, pv_real *c)
{
    const CBLAS_TRANSPOSE ta = transpose_a ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE tb = transpose_b ? CblasTrans : CblasNoTrans;
    const int lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
#ifdef PV_REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, n);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, (float)alpha, a, lda, b, ldb, (float)beta, c, n);
#endif
}

/* alpha op(b) as [k][n]. */
static void pack(bool transpose, int n, int k, double alpha, const pv_real *b, pv_real *packed)
{
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++)
            packed[i * n + j] = (pv_real)alpha * b[transpose ? j * k + i : i * n + j];
}

void pv_gemm(const pv_nn_kernels *kernels, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
             int64_t k, double alpha, const pv_real *a, const pv_real *b, double beta, pv_real *c)
{
    if (m == 0 || n == 0 || k == 0) return;
    const bool fits = n % kernels->lanes == 0 && (beta == 0 || beta == 1);
    if (fits && !transpose_a && n * k <= SMALL) {
        pv_real packed[SMALL];
        pack(transpose_b, (int)n, (int)k, alpha, b, packed);
        const pv_product_term term = pv_product_of(a, packed, (int)n, (int)k);
        kernels->matrix->product(m, (int)n, 1, &term, beta == 1, c);
    } else if (fits && transpose_a && !transpose_b && beta == 1 && m * n <= SMALL) {
        kernels->matrix->outer((int)m, (int)n, k, PV_OUTER_BLOCK, (pv_real)alpha, a, b, c);
    } else {
        blas(transpose_a, transpose_b, (int)m, (int)n, (int)k, alpha, a, b, beta, c);
    }
}
