/* Products of small matrices in tiles that stay in registers, and transposes. */
#include "nn/core/pv_nn_kernels.h"

#include "simd/pv_tile.h"

#include <string.h>

PV_INLINE void product_tile(int rows, int vectors, int lanes, int n, int count, const pv_product_term *terms,
                            int64_t first, int column, int add, pv_real *c)
{
    pv_tile sum;
    if (add)
        pv_tile_load(rows, vectors, lanes, c + first * n + column, n, sum);
    else
        pv_tile_fill(rows, vectors, (pv_vector){0}, sum);
    for (int i = 0; i < count; i++)
        pv_tile_multiply(rows, vectors, lanes, terms[i].k, terms[i].a + first * terms[i].row, terms[i].row,
                         terms[i].step, terms[i].b + column, terms[i].ldb, sum);
    pv_tile_store(rows, vectors, lanes, sum, c + first * n + column, n);
}

PV_INLINE void product_columns(int vectors, int lanes, int64_t m, int n, int count,
                               const pv_product_term *terms, int column, int add, pv_real *c)
{
#define TILE(first, height) product_tile(height, vectors, lanes, n, count, terms, first, column, add, c)
    PV_TILES(m, TILE);
#undef TILE
}

static void product(int64_t m, int n, int count, const pv_product_term *terms, int add, pv_real *c)
{
    int column = 0;
    for (; column + 2 * PV_LANES <= n; column += 2 * PV_LANES)
        product_columns(2, PV_LANES, m, n, count, terms, column, add, c);
    for (; column + PV_LANES <= n; column += PV_LANES)
        product_columns(1, PV_LANES, m, n, count, terms, column, add, c);
    if (column < n) product_columns(1, n - column, m, n, count, terms, column, add, c);
}

/* Whether the product with alpha is rounded before it is added to what ends a row of c.  That is an accident
 * of how AVX2 was once compiled, written down so that trainings go on with the same bits. */
#define ROUNDS_TWICE(rows, lanes) (PV_VECTOR_BYTES == 32 && (rows) > 1 && (lanes) < PV_LANES)

PV_INLINE void outer_tile(int rows, int vectors, int lanes, int m, int n, int64_t k, pv_real alpha,
                          const pv_real *a, const pv_real *b, pv_real *c)
{
    pv_tile sum;
    pv_tile_fill(rows, vectors, (pv_vector){0}, sum);
    pv_tile_multiply(rows, vectors, lanes, k, a, 1, m, b, n, sum);
    PV_OPAQUE(alpha); /* its vector, made before, would take a register from the loop above */
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int width = pv_tile_lanes(v, vectors, lanes);
            pv_real *at = c + (int64_t)r * n + v * PV_LANES;
            const pv_vector before = pv_vector_load_first(width, at);
            if (width < PV_LANES) PV_OPAQUE(sum[r][v]); /* multiplied where it is added, by one instruction */
            pv_vector product = alpha * sum[r][v];
            if (ROUNDS_TWICE(rows, width)) PV_OPAQUE(product);
            pv_vector_store_first(width, at, before + product);
        }
}

PV_INLINE void outer_columns(int vectors, int lanes, int m, int n, int64_t k, pv_real alpha, const pv_real *a,
                             const pv_real *b, pv_real *c)
{
#define TILE(first, height) outer_tile(height, vectors, lanes, m, n, k, alpha, a + (first), b, c + (first)*n)
    if (lanes == PV_LANES) {
        PV_TILES(m, TILE);
        return;
    }
    int64_t i = 0; /* other heights would round otherwise */
    for (; i + PV_TILE_ROWS <= m; i += PV_TILE_ROWS)
        TILE(i, PV_TILE_ROWS);
    for (; i < m; i++)
        TILE(i, 1);
#undef TILE
}

static void outer(int m, int n, int64_t k, int block, pv_real alpha, const pv_real *a, const pv_real *b,
                  pv_real *c)
{
    for (int64_t p = 0; p < k; p += block, a += (int64_t)block * m, b += (int64_t)block * n) {
        const int64_t depth = k - p < block ? k - p : block;
        int column = 0;
        for (; column + 2 * PV_LANES <= n; column += 2 * PV_LANES)
            outer_columns(2, PV_LANES, m, n, depth, alpha, a, b + column, c + column);
        for (; column + PV_LANES <= n; column += PV_LANES)
            outer_columns(1, PV_LANES, m, n, depth, alpha, a, b + column, c + column);
        if (column < n) outer_columns(1, n - column, m, n, depth, alpha, a, b + column, c + column);
    }
}

static void transpose(int rows, int cols, const pv_real *x, int64_t ldx, pv_real *restrict y, int64_t ldy)
{
    pv_tile_transpose_all(rows, cols, x, ldx, y, ldy);
    for (int c = 0; c < cols && rows < ldy; c++)
        memset(y + c * ldy + rows, 0, sizeof *y * (size_t)(ldy - rows));
}

const pv_matrix_kernels PV_ISA_TABLE(pv_matrix_kernels) = {
    .product = product,
    .outer = outer,
    .transpose = transpose,
};
