/* Softmax of the logits of a set, its gradient, and the loops around the set's products. */
#include "nn/core/pv_nn_kernels.h"

#include "simd/pv_functions.h"

enum { TOGETHER = 2 }; /* vectors of queries that move together, for every sum is a chain */

PV_INLINE void softmax_columns(int vectors, int keys, int np, pv_real scale, pv_real *s, pv_real *share)
{
    pv_vector most[TOGETHER], sum[TOGETHER];
    for (int v = 0; v < vectors; v++) {
        most[v] = pv_vector_load(s + v * PV_LANES);
        sum[v] = (pv_vector){0};
    }
    for (int j = 1; j < keys; j++)
        for (int v = 0; v < vectors; v++)
            most[v] = pv_vector_max(most[v], pv_vector_load(s + (int64_t)j * np + v * PV_LANES));
    for (int j = 0; j < keys; j++)
        for (int v = 0; v < vectors; v++) {
            pv_real *at = s + (int64_t)j * np + v * PV_LANES;
            const pv_vector e = pv_vector_exp_below((pv_vector_load(at) - most[v]) * scale);
            sum[v] += e;
            pv_vector_store(at, e);
        }
    for (int v = 0; v < vectors; v++)
        pv_vector_store(share + v * PV_LANES, 1 / sum[v]);
}

static void softmax(int keys, int np, pv_real scale, pv_real *s, pv_real *share)
{
    int i = 0;
    for (; i + 2 * PV_LANES <= np; i += 2 * PV_LANES)
        softmax_columns(2, keys, np, scale, s + i, share + i);
    if (i < np) softmax_columns(1, keys, np, scale, s + i, share + i);
}

PV_INLINE void softmax_backward_columns(int vectors, int keys, int np, pv_real scale, const pv_real *e,
                                        const pv_real *share, pv_real *dp)
{
    pv_vector dot[TOGETHER], part[TOGETHER];
    for (int v = 0; v < vectors; v++) {
        dot[v] = (pv_vector){0};
        part[v] = pv_vector_load(share + v * PV_LANES);
    }
    for (int j = 0; j < keys; j++)
        for (int v = 0; v < vectors; v++) {
            const int64_t at = (int64_t)j * np + v * PV_LANES;
            dot[v] += pv_vector_load(e + at) * pv_vector_load(dp + at);
        }
    for (int v = 0; v < vectors; v++) {
        dot[v] *= part[v];
        part[v] *= scale;
    }
    for (int j = 0; j < keys; j++)
        for (int v = 0; v < vectors; v++) {
            const int64_t at = (int64_t)j * np + v * PV_LANES;
            pv_vector_store(dp + at, pv_vector_load(e + at) * part[v] * (pv_vector_load(dp + at) - dot[v]));
        }
}

static void softmax_backward(int keys, int np, pv_real scale, const pv_real *e, const pv_real *share,
                             pv_real *dp)
{
    int i = 0;
    for (; i + 2 * PV_LANES <= np; i += 2 * PV_LANES)
        softmax_backward_columns(2, keys, np, scale, e + i, share + i, dp + i);
    if (i < np) softmax_backward_columns(1, keys, np, scale, e + i, share + i, dp + i);
}

static void add_shares(int m, int np, const pv_real *q, const pv_real *share, pv_real *y)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < np; j += PV_LANES) {
            const int64_t at = (int64_t)i * np + j;
            pv_vector sum = pv_vector_load(y + at) * pv_vector_load(share + j);
            if (q) sum += pv_vector_load(q + at);
            pv_vector_store(y + at, sum);
        }
}

static void fill_rows(int m, int n, const pv_real *bias, pv_real *restrict y)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            y[(int64_t)i * n + j] = bias[i];
}

const pv_attention_kernels PV_ISA_TABLE(pv_attention_kernels) = {
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .add_shares = add_shares,
    .fill_rows = fill_rows,
};
