/* Matrix products: the one place of the nn room that knows BLAS. */
#ifndef PV_BLAS_H
#define PV_BLAS_H

#include "nn/core/pv_nn_kernels.h"
#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>

/* c = alpha op(a) op(b) + beta c, op transposing if asked.
 * Shapes   op(a) [m][k], op(b) [k][n], c [m][n]; all row-major without gaps.  Empty products leave c alone.
 * The long thin products of a weight-space layer go to the room's own kernels, the others to BLAS. */
void pv_gemm(const pv_nn_kernels *kernels, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
             int64_t k, double alpha, const pv_real *a, const pv_real *b, double beta, pv_real *c);

#endif
