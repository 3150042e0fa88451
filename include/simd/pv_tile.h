/* The tile of a matrix that the registers of an instruction set hold.  For kernel files (*_kernels.c)
 * only. */
#ifndef PV_TILE_H
#define PV_TILE_H

#include "simd/pv_vector.h"

#if defined(__AVX512F__)
enum { PV_TILE_ROWS = 8 };
#elif defined(__AVX2__)
enum { PV_TILE_ROWS = 6 };
#else
enum { PV_TILE_ROWS = 4 };
#endif
enum { PV_TILE_VECTORS = 2 };
typedef pv_vector pv_tile[PV_TILE_ROWS][PV_TILE_VECTORS];

/* How many of the rows that are left the next tile takes.  Two sums are added to at once, and each waits for
 * what was added to it before: of a tile of one row there are too few. */
PV_INLINE int pv_tile_height(int64_t left)
{
    enum { HALF = 4 };
    if (left >= PV_TILE_ROWS && (PV_TILE_ROWS % HALF == 0 || left != 2 * HALF)) return PV_TILE_ROWS;
    return left >= HALF ? HALF : left >= 2 ? 2 : 1;
}

/* For all rows from 0 to `count`: TILE(first, height), with the height known to the compiler. */
#define PV_TILES(count, TILE)                                                                                \
    for (int64_t first_ = 0, height_; first_ < (count); first_ += height_) {                                 \
        height_ = pv_tile_height((count)-first_);                                                            \
        if (height_ == PV_TILE_ROWS)                                                                         \
            TILE(first_, PV_TILE_ROWS);                                                                      \
        else if (height_ == 4)                                                                               \
            TILE(first_, 4);                                                                                 \
        else if (height_ == 2)                                                                               \
            TILE(first_, 2);                                                                                 \
        else                                                                                                 \
            TILE(first_, 1);                                                                                 \
    }

/* Lanes of vector v, if the last of the `vectors` has `lanes`. */
PV_INLINE int pv_tile_lanes(int v, int vectors, int lanes)
{
    return v == vectors - 1 ? lanes : PV_LANES;
}

PV_INLINE void pv_tile_fill(int rows, int vectors, pv_vector value, pv_tile tile)
{
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            tile[r][v] = value;
}

PV_INLINE void pv_tile_load(int rows, int vectors, int lanes, const pv_real *x, int64_t ldx, pv_tile tile)
{
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            tile[r][v] = pv_vector_load_first(pv_tile_lanes(v, vectors, lanes), x + r * ldx + v * PV_LANES);
}

PV_INLINE void pv_tile_store(int rows, int vectors, int lanes, pv_tile tile, pv_real *x, int64_t ldx)
{
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store_first(pv_tile_lanes(v, vectors, lanes), x + r * ldx + v * PV_LANES, tile[r][v]);
}

/* Turns PV_LANES rows into columns. */
#if defined(__AVX2__) && !defined(__AVX512F__) && !defined(PV_REAL_IS_DOUBLE)
/* By numbers, by pairs and by halves, so that all but the last stay in their half of a vector. */
PV_INLINE void pv_tile_turn(pv_vector rows[PV_LANES])
{
    static const pv_bits low[3] = {
        {0, 8, 1, 9, 4, 12, 5, 13}, {0, 1, 8, 9, 4, 5, 12, 13}, {0, 1, 2, 3, 8, 9, 10, 11}};
    static const pv_bits high[3] = {
        {2, 10, 3, 11, 6, 14, 7, 15}, {2, 3, 10, 11, 6, 7, 14, 15}, {4, 5, 6, 7, 12, 13, 14, 15}};
    pv_vector turned[PV_LANES];
#pragma GCC unroll 3
    for (int round = 0; round < 3; round++) {
        const int apart = 1 << round;
#pragma GCC unroll 8
        for (int i = 0; i < PV_LANES; i++)
            turned[i] = i & apart ? pv_vector_shuffle(rows[i - apart], rows[i], high[round])
                                  : pv_vector_shuffle(rows[i], rows[i + apart], low[round]);
#pragma GCC unroll 8
        for (int i = 0; i < PV_LANES; i++)
            rows[i] = turned[i];
    }
    for (int i = 1; i < PV_LANES; i += PV_LANES / 2) { /* the second number was taken before the third */
        const pv_vector third = rows[i];
        rows[i] = rows[i + 1];
        rows[i + 1] = third;
    }
}
#else
/* Each of log2(PV_LANES) rounds interleaves the rows of both halves. */
PV_INLINE void pv_tile_turn(pv_vector rows[PV_LANES])
{
    pv_vector turned[PV_LANES];
#pragma GCC unroll 4
    for (int round = 1; round < PV_LANES; round *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < PV_LANES / 2; i++)
            pv_vector_interleave(rows[i], rows[i + PV_LANES / 2], &turned[2 * i], &turned[2 * i + 1]);
#pragma GCC unroll 16
        for (int i = 0; i < PV_LANES; i++)
            rows[i] = turned[i];
    }
}
#endif

/* y = x^T for a square of PV_LANES rows. */
PV_INLINE void pv_tile_transpose(const pv_real *x, int64_t ldx, pv_real *y, int64_t ldy)
{
    pv_vector rows[PV_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < PV_LANES; i++)
        rows[i] = pv_vector_load(x + i * ldx);
    pv_tile_turn(rows);
#pragma GCC unroll 16
    for (int i = 0; i < PV_LANES; i++)
        pv_vector_store(y + i * ldy, rows[i]);
}

PV_INLINE void pv_tile_transpose_rest(int rows, int cols, const pv_real *restrict x, int64_t ldx,
                                      pv_real *restrict y, int64_t ldy)
{
    for (int c = 0; c < cols; c++)
        for (int r = 0; r < rows; r++)
            y[c * ldy + r] = x[r * ldx + c];
}

/* y[cols][ldy] = x[rows][ldx] transposed: squares, and what is left of them. */
PV_INLINE void pv_tile_transpose_all(int rows, int cols, const pv_real *x, int64_t ldx, pv_real *y,
                                     int64_t ldy)
{
    const int whole_rows = rows / PV_LANES * PV_LANES, whole_cols = cols / PV_LANES * PV_LANES;
    for (int c = 0; c < whole_cols; c += PV_LANES)
        for (int r = 0; r < whole_rows; r += PV_LANES)
            pv_tile_transpose(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
    pv_tile_transpose_rest(whole_rows, cols - whole_cols, x + whole_cols, ldx, y + whole_cols * ldy, ldy);
    pv_tile_transpose_rest(rows - whole_rows, cols, x + whole_rows * ldx, ldx, y + whole_rows, ldy);
}

/* sum[r][v] += the products over p of a[r * row + p * step] and vector v of b[p * ldb]: with `rows`,
 * `vectors` and `lanes` (of the last vector) constant, the sums stay in registers.  Beside them are the
 * vectors of b and one number of a at a time: narrow instruction sets have no more. */
PV_INLINE void pv_tile_multiply(int rows, int vectors, int lanes, int64_t k, const pv_real *a, int64_t row,
                                int64_t step, const pv_real *b, int64_t ldb, pv_tile sum)
{
    for (int64_t p = 0; p < k; p++) {
        pv_vector of_b[PV_TILE_VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            of_b[v] = pv_vector_load_first(pv_tile_lanes(v, vectors, lanes), b + p * ldb + v * PV_LANES);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const pv_vector of_a = pv_vector_splat(a[r * row + p * step]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[r][v] += of_a * of_b[v];
        }
    }
}

#endif
