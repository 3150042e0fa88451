#include "nn/core/pv_attention_kernels.h"

#include "simd/pv_functions.h"
#include "simd/pv_tile.h"

#include <string.h>

PV_INLINE void multiply_tile(int rows, int vectors, int np, int k, pv_strided a, const pv_real *b, int add,
                             pv_real *c)
{
    pv_tile sum;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add ? pv_vector_load(c + r * np + v * PV_LANES) : (pv_vector){0};
    pv_tile_multiply(rows, vectors, PV_LANES, k, a.values, a.row, a.step, b, np, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store(c + r * np + v * PV_LANES, sum[r][v]);
}

/* Heads are 4 or 8 channels wide as a rule, so there is a tile of half the rows. */
PV_INLINE void multiply_columns(int vectors, int m, int np, int k, pv_strided a, const pv_real *b, int add,
                                pv_real *c)
{
    int i = 0;
    for (; i + PV_TILE_ROWS <= m; i += PV_TILE_ROWS, a.values += PV_TILE_ROWS * a.row)
        multiply_tile(PV_TILE_ROWS, vectors, np, k, a, b, add, c + (int64_t)i * np);
    for (; i + PV_TILE_ROWS / 2 <= m; i += PV_TILE_ROWS / 2, a.values += PV_TILE_ROWS / 2 * a.row)
        multiply_tile(PV_TILE_ROWS / 2, vectors, np, k, a, b, add, c + (int64_t)i * np);
    for (; i < m; i++, a.values += a.row)
        multiply_tile(1, vectors, np, k, a, b, add, c + (int64_t)i * np);
}

static void multiply(int m, int np, int k, pv_strided a, const pv_real *b, int add, pv_real *c)
{
    int column = 0;
    for (; column + 2 * PV_LANES <= np; column += 2 * PV_LANES)
        multiply_columns(2, m, np, k, a, b + column, add, c + column);
    if (column < np) multiply_columns(1, m, np, k, a, b + column, add, c + column);
}

static void transpose_rest(int rows, int cols, const pv_real *x, int64_t ldx, pv_real *restrict y,
                           int64_t ldy)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            y[c * ldy + r] = x[r * ldx + c];
}

static void transpose(int rows, int cols, const pv_real *x, int64_t ldx, pv_real *restrict y, int64_t ldy)
{
    const int whole_rows = rows / PV_LANES * PV_LANES, whole_cols = cols / PV_LANES * PV_LANES;
    for (int c = 0; c < whole_cols; c += PV_LANES)
        for (int r = 0; r < whole_rows; r += PV_LANES)
            pv_tile_transpose(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
    transpose_rest(whole_rows, cols - whole_cols, x + whole_cols, ldx, y + whole_cols * ldy, ldy);
    transpose_rest(rows - whole_rows, cols, x + whole_rows * ldx, ldx, y + whole_rows, ldy);
    for (int c = 0; c < cols && rows < ldy; c++)
        memset(y + c * ldy + rows, 0, sizeof *y * (size_t)(ldy - rows));
}

/* `vectors` of queries together, for every sum is a chain. */
PV_INLINE void softmax_columns(int vectors, int keys, int np, pv_real scale, pv_real *s, pv_real *share)
{
    pv_vector most[PV_TILE_VECTORS], sum[PV_TILE_VECTORS];
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
    pv_vector dot[PV_TILE_VECTORS], part[PV_TILE_VECTORS];
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

static void add_relu(int64_t n, const pv_real *o, const pv_real *z, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = o[i] + (z[i] > 0 ? z[i] : 0);
}

static void where_positive(int64_t n, const pv_real *z, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = z[i] > 0 ? x[i] : 0;
}

const pv_attention_kernels PV_ISA_TABLE(pv_attention_kernels) = {
    .lanes = PV_LANES,
    .multiply = multiply,
    .transpose = transpose,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .add_shares = add_shares,
    .fill_rows = fill_rows,
    .add_relu = add_relu,
    .where_positive = where_positive,
};
