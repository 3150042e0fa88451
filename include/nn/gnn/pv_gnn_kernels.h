/* The dense loops of transformers around the matrix products, one table an instruction set (base/pv_cpu.h).
 *
 * Counts of numbers, and the lengths of rows, are multiples of the numbers of a vector (pv_nn_kernels.lanes).
 * Heads lie interleaved: channel c belongs to head c % heads, `heads` being a power of two, and what there is one of a
 * head is kept in groups of `width` numbers, a multiple of `heads` and of a vector, in which it is repeated: so sums
 * over a head's channels and factors of a head are plain vector operations. */
#ifndef PV_GNN_KERNELS_H
#define PV_GNN_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* The edges that leave one node, for attention with modulated queries, keys and values. */
typedef struct pv_gnn_row {
    int nodes, channels, heads, width;
    int edge_stride, node_stride; /* numbers from one edge, node to the next */
    int modulated;                /* values are multiplied by edges' factors */
    pv_real scale;                /* of the logits */
    const pv_real *query;         /* [channels], the node's */
    const pv_real *keys, *values; /* [nodes][channels] at node_stride */
} pv_gnn_row;

typedef struct pv_gnn_kernels {
    /* y = x Phi(x), exact to rounding; slope = its derivative.  x and y may be the same. */
    void (*gelu)(int64_t n, const pv_real *x, pv_real *y);
    void (*gelu_slope)(int64_t n, const pv_real *x, pv_real *y, pv_real *slope);
    /* y = x / (1 + exp(-x)), and its derivative. */
    void (*silu_slope)(int64_t n, const pv_real *x, pv_real *y, pv_real *slope);
    /* y *= x */
    void (*multiply)(int64_t n, const pv_real *x, pv_real *y);
    /* y += x */
    void (*add)(int64_t n, const pv_real *x, pv_real *y);

    /* LayerNorm over the first `width` of `padded` numbers of every row, eps 1e-5; x is 0 beyond. y may be x. */
    void (*norm)(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                 const pv_real *bias, pv_real *y);
    /* dy becomes the gradient of x; beyond `width` it is of no meaning. */
    void (*norm_backward)(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                          pv_real *dy, pv_real *dweight, pv_real *dbias);

    /* y[rows][2 * waves] = sin and cos of 2 pi x[rows][in] b[in][waves]; rows of x are `stride` numbers apart. */
    void (*fourier)(int64_t rows, int in, int stride, int waves, const pv_real *x, const pv_real *b,
                    pv_real *y);
    /* dx[rows][in] from dy[rows][2 * waves] and y. */
    void (*fourier_backward)(int64_t rows, int in, int stride, int waves, const pv_real *y, const pv_real *b,
                             const pv_real *dy, pv_real *dx);

    /* Rows of edges are [query][key][factor] of `channels` each, the last only if modulated.
     * share[nodes][width] = softmax over nodes of scale <query + edge query, key + edge key>. */
    void (*attend)(const pv_gnn_row *row, const pv_real *edges, pv_real *share);
    /* out[channels] += sum over nodes of share * value * factor. */
    void (*gather)(const pv_gnn_row *row, const pv_real *edges, const pv_real *share, pv_real *out);
    /* On entry dshare is what the share's gradient has from elsewhere.  Edges are replaced by their gradients;
     * dquery, dkeys and dvalues (at node_stride) are added to. */
    void (*attend_backward)(const pv_gnn_row *row, const pv_real *share, const pv_real *dout, pv_real *dshare,
                            pv_real *edges, pv_real *dquery, pv_real *dkeys, pv_real *dvalues);

    /* The values that edges add, pooled over nodes first: out[c] += sum over k < in of weight[k][c] pooled[k][c % width].
     */
    void (*spread_pooled)(const pv_gnn_row *row, int in, const pv_real *weight, const pv_real *pooled,
                          pv_real *out);
    /* dweight[k][c] += dout[c] pooled[k][c % width]; dpooled[k][head] = the sum over a head's channels of
     * weight[k][c] dout[c], and its transpose with every head once. Shapes   dpooled [in][width], flipped [width][in] */
    void (*spread_pooled_backward)(const pv_gnn_row *row, int in, const pv_real *weight,
                                   const pv_real *pooled, const pv_real *dout, pv_real *dweight,
                                   pv_real *dpooled, pv_real *flipped);
} pv_gnn_kernels;

PV_ISA_DECLARE(pv_gnn_kernels);

#endif
