/* What transformers do between their products, one table an instruction set (base/pv_cpu.h): GELU, LayerNorm,
 * attention.
 *
 * Counts of numbers, and the lengths of rows, are multiples of the numbers of a vector (pv_nn_kernels.lanes).
 * Heads lie interleaved: channel c belongs to head c % heads, `heads` being a power of two, and what there is
 * one of a head is kept in groups of `width` numbers, the larger of `heads` and of a vector, in which it is
 * repeated: so sums over a head's channels and factors of a head are plain vector operations. */
#ifndef PV_TRANSFORMER_KERNELS_H
#define PV_TRANSFORMER_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* Attention of one node to all: the edges that leave it, where there are edges, modulate queries, keys and
 * values. */
typedef struct pv_attention_row {
    int nodes, channels, heads, width;
    int edge_stride, node_stride; /* numbers from one edge, node to the next */
    int modulated;                /* values are multiplied by edges' factors */
    pv_real scale;                /* of the logits */
    const pv_real *query;         /* [channels], the node's */
    const pv_real *keys, *values; /* [nodes][channels] at node_stride */
} pv_attention_row;

typedef struct pv_transformer_kernels {
    /* y = x Phi(x), exact to rounding; slope = its derivative.  x and y may be the same. */
    void (*gelu)(int64_t n, const pv_real *x, pv_real *y);
    void (*gelu_slope)(int64_t n, const pv_real *x, pv_real *y, pv_real *slope);
    /* y = x / (1 + exp(-x)), and its derivative. */
    void (*silu_slope)(int64_t n, const pv_real *x, pv_real *y, pv_real *slope);
    /* y *= x */
    void (*multiply)(int64_t n, const pv_real *x, pv_real *y);
    /* Of x [2][n] and y [2][n]: y[i] = x[i] y[0]. */
    void (*multiply_both)(int64_t n, const pv_real *x, pv_real *y);
    /* y [2][rows][width] = bias + x, bias - x. */
    void (*both_signs)(int64_t rows, int width, const pv_real *x, const pv_real *bias, pv_real *y);
    /* y += x */
    void (*add)(int64_t n, const pv_real *x, pv_real *y);

    /* LayerNorm over the first `width` of `padded` numbers of every row, eps 1e-5; x is 0 beyond. y may be
     * x. */
    void (*norm)(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                 const pv_real *bias, pv_real *y);
    /* dy becomes the gradient of x; beyond `width` it is of no meaning. */
    void (*norm_backward)(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                          pv_real *dy, pv_real *dweight, pv_real *dbias);

    /* Rows of edges are [query][key][factor] of `channels` each, the last only if modulated; NULL: there are
     * none. share[nodes][width] = softmax over nodes of scale <query + edge query, key + edge key>. */
    void (*attend)(const pv_attention_row *row, const pv_real *edges, pv_real *share);
    /* out[channels] += sum over nodes of share * value * factor. */
    void (*gather)(const pv_attention_row *row, const pv_real *edges, const pv_real *share, pv_real *out);
    /* On entry dshare is what the share's gradient has from elsewhere.  Edges are replaced by their
     * gradients; dquery, dkeys and dvalues (at node_stride) are added to. */
    void (*attend_backward)(const pv_attention_row *row, const pv_real *share, const pv_real *dout,
                            pv_real *dshare, pv_real *edges, pv_real *dquery, pv_real *dkeys,
                            pv_real *dvalues);
} pv_transformer_kernels;

PV_ISA_DECLARE(pv_transformer_kernels);

#endif
