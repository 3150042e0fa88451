/* What the network over a graph adds to a transformer, one table an instruction set (base/pv_cpu.h).  Layout
 * and heads are those of nn/core/pv_transformer_kernels.h. */
#ifndef PV_GNN_KERNELS_H
#define PV_GNN_KERNELS_H

#include "nn/core/pv_transformer_kernels.h"

typedef struct pv_gnn_kernels {
    /* y[rows][2 * waves] = sin and cos of 2 pi x[rows][in] b[in][waves]; rows of x are `stride` numbers
     * apart. */
    void (*fourier)(int64_t rows, int in, int stride, int waves, const pv_real *x, const pv_real *b,
                    pv_real *y);
    /* dx[rows][in] from dy[rows][2 * waves] and y. */
    void (*fourier_backward)(int64_t rows, int in, int stride, int waves, const pv_real *y, const pv_real *b,
                             const pv_real *dy, pv_real *dx);

    /* The values that edges add, pooled over nodes first: out[c] += sum over k < in of weight[k][c]
     * pooled[k][c % width].
     */
    void (*spread_pooled)(const pv_attention_row *row, int in, const pv_real *weight, const pv_real *pooled,
                          pv_real *out);
    /* dweight[k][c] += dout[c] pooled[k][c % width]; dpooled[k][head] = the sum over a head's channels of
     * weight[k][c] dout[c], and its transpose with every head once. Shapes   dpooled [in][width], flipped
     * [width][in] */
    void (*spread_pooled_backward)(const pv_attention_row *row, int in, const pv_real *weight,
                                   const pv_real *pooled, const pv_real *dout, pv_real *dweight,
                                   pv_real *dpooled, pv_real *flipped);
} pv_gnn_kernels;

PV_ISA_DECLARE(pv_gnn_kernels);

#endif
