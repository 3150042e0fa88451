#include "nn/core/pv_matrix_kernels.h"

#include "simd/pv_tile.h"

enum { OUTER_BLOCK = 96 }; /* rows of both operands that the first-level cache holds */

PV_INLINE void product_tile(int rows, int vectors, int lanes, int n, int count, const pv_product_term *terms,
                            int64_t first, int column, int add, pv_real *c)
{
    pv_tile sum;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add ? pv_vector_load_first(v == vectors - 1 ? lanes : PV_LANES,
                                           c + (first + r) * n + column + v * PV_LANES)
                            : (pv_vector){0};
    for (int i = 0; i < count; i++)
        pv_tile_multiply(rows, vectors, lanes, terms[i].k, terms[i].a + first * terms[i].lda, terms[i].lda, 1,
                         terms[i].b + column, terms[i].ldb, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store_first(v == vectors - 1 ? lanes : PV_LANES, c + (first + r) * n + column + v * PV_LANES,
                          sum[r][v]);
}

PV_INLINE void product_columns(int vectors, int lanes, int64_t m, int n, int count,
                               const pv_product_term *terms, int column, int add, pv_real *c)
{
    int64_t i = 0;
    for (; i + PV_TILE_ROWS <= m; i += PV_TILE_ROWS)
        product_tile(PV_TILE_ROWS, vectors, lanes, n, count, terms, i, column, add, c);
    for (; i + PV_TILE_ROWS / 2 <= m; i += PV_TILE_ROWS / 2)
        product_tile(PV_TILE_ROWS / 2, vectors, lanes, n, count, terms, i, column, add, c);
    for (; i < m; i++)
        product_tile(1, vectors, lanes, n, count, terms, i, column, add, c);
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

PV_INLINE void outer_tile(int rows, int vectors, int lanes, int m, int n, int64_t k, pv_real alpha,
                          const pv_real *a, const pv_real *b, pv_real *c)
{
    pv_tile sum;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = (pv_vector){0};
    pv_tile_multiply(rows, vectors, lanes, k, a, 1, m, b, n, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int part = v == vectors - 1 ? lanes : PV_LANES;
            pv_real *at = c + (int64_t)r * n + v * PV_LANES;
            pv_vector_store_first(part, at, pv_vector_load_first(part, at) + alpha * sum[r][v]);
        }
}

PV_INLINE void outer_columns(int vectors, int lanes, int m, int n, int64_t k, pv_real alpha, const pv_real *a,
                             const pv_real *b, pv_real *c)
{
    int i = 0;
    for (; i + PV_TILE_ROWS <= m; i += PV_TILE_ROWS)
        outer_tile(PV_TILE_ROWS, vectors, lanes, m, n, k, alpha, a + i, b, c + (int64_t)i * n);
    for (; i < m; i++)
        outer_tile(1, vectors, lanes, m, n, k, alpha, a + i, b, c + (int64_t)i * n);
}

/* In blocks of k that the first-level cache holds, for the tiles read them again and again. */
static void outer(int m, int n, int64_t k, pv_real alpha, const pv_real *a, const pv_real *b, pv_real *c)
{
    for (int64_t p = 0; p < k; p += OUTER_BLOCK, a += OUTER_BLOCK * m, b += OUTER_BLOCK * n) {
        const int64_t depth = k - p < OUTER_BLOCK ? k - p : OUTER_BLOCK;
        int column = 0;
        for (; column + 2 * PV_LANES <= n; column += 2 * PV_LANES)
            outer_columns(2, PV_LANES, m, n, depth, alpha, a, b + column, c + column);
        for (; column + PV_LANES <= n; column += PV_LANES)
            outer_columns(1, PV_LANES, m, n, depth, alpha, a, b + column, c + column);
        if (column < n) outer_columns(1, n - column, m, n, depth, alpha, a, b + column, c + column);
    }
}

static void transpose(int m, int n, pv_real alpha, const pv_real *x, pv_real *restrict y, int64_t ldy)
{
    enum { BLOCK = 16 };
    for (int first = 0; first < m; first += BLOCK) {
        const int end = first + BLOCK < m ? first + BLOCK : m;
        for (int c = 0; c < n; c++)
            for (int r = first; r < end; r++)
                y[c * ldy + r] = alpha * x[(int64_t)r * n + c];
    }
}

const pv_matrix_kernels PV_ISA_TABLE(pv_matrix_kernels) = {
    .product = product,
    .outer = outer,
    .transpose = transpose,
};
