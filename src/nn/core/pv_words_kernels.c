/* Words made of numbers, turned, and multiplied. */
#include "nn/core/pv_words_kernels.h"

#ifdef PV_REAL_IS_DOUBLE
const pv_words_kernels PV_ISA_TABLE(pv_words_kernels) = {0};
#else

#include "simd/pv_amx.h"
#include "simd/pv_tile.h"
#include "simd/pv_words.h"

#include <string.h>

enum { SIDE = PV_AMX_SIDE, GROUP = PV_WORDS_GROUP, BLOCK = PV_AMX_MOST * SIDE };
_Static_assert((int)GROUP == 2 * (int)SIDE && (int)PV_WORDS_SPARE == (int)SIDE, "a square takes a group");

static void pack(int64_t n, const float *x, float *words)
{
    for (int64_t g = 0; g < n; g += GROUP, x += GROUP, words += SIDE)
        for (int i = 0; i < SIDE; i += PV_LANES)
            pv_vector_store(words + i, pv_words_pack(pv_vector_load(x + i), pv_vector_load(x + SIDE + i)));
}

static void pack_pairs(int rows, int width, const float *x, float *pairs)
{
    const pv_vector zero = {0};
    for (int g = 0; g < rows; g += GROUP)
        for (int r = g; r < g + SIDE; r++, pairs += width)
            for (int j = 0; j < width; j += PV_LANES)
                pv_vector_store(
                    pairs + j,
                    pv_words_pack(r < rows ? pv_vector_load(x + r * width + j) : zero,
                                  r + SIDE < rows ? pv_vector_load(x + (r + SIDE) * width + j) : zero));
}

/* Group of columns j, rows r and r + SIDE, into two rows of words `apart` from each other. */
PV_INLINE void regroup(int64_t rows, int64_t r, int64_t line, const float *words, float *pairs, int apart)
{
    const pv_vector zero = {0};
    for (int i = 0; i < SIDE; i += PV_LANES) {
        const pv_vector first = r < rows ? pv_vector_load(words + r * line + i) : zero,
                        second = r + SIDE < rows ? pv_vector_load(words + (r + SIDE) * line + i) : zero;
        pv_vector low, high;
        pv_dot_regroup(first, second, &low, &high);
        pv_vector_store(pairs + i, low);
        pv_vector_store(pairs + apart + i, high);
    }
}

/* A group of columns of words whose rows are `line` apart, as pairs or turned. */
PV_INLINE void pair_group(int64_t rows, int line, const float *words, float *pairs, int64_t ld)
{
    for (int64_t g = 0; g < rows; g += GROUP)
        for (int64_t r = g; r < g + SIDE; r++, pairs += ld)
            regroup(rows, r, line, words, pairs, SIDE);
}

PV_INLINE void turn_group(int64_t rows, int line, const float *words, float *turned, int64_t ld)
{
    _Alignas(64) float square[2][SIDE * SIDE];
    for (int64_t g = 0; g < rows; g += GROUP, turned += SIDE) {
        for (int r = 0; r < SIDE; r++)
            regroup(rows, g + r, line, words, square[0] + r * SIDE, SIDE * SIDE);
        pv_tile_transpose_all(SIDE, SIDE, square[0], SIDE, turned, ld);
        pv_tile_transpose_all(SIDE, SIDE, square[1], SIDE, turned + SIDE * ld, ld);
    }
}

static void pair(int64_t rows, int width, const float *words, float *pairs)
{
    for (int j = 0; j < width; j += GROUP)
        pair_group(rows, width / 2, words + j / 2, pairs + j, width);
}

static void turn(int64_t rows, int width, const float *words, float *turned)
{
    const int64_t ld = pv_words_whole(rows) / 2;
    for (int j = 0; j < width; j += GROUP)
        turn_group(rows, width / 2, words + j / 2, turned + j * ld, ld);
}

/* Up to BLOCK rows and columns. */
PV_INLINE void product_block(bool own, int down, int across, int n, int count, const pv_words_term *terms,
                             int64_t row, int column, bool add, float *c, int64_t c_row)
{
    pv_amx_product p = {.b_row = n,
                        .start = add ? c : NULL,
                        .start_row = c_row,
                        .start_across = SIDE,
                        .c = c,
                        .c_row = c_row};
    pv_amx_start(own, down, across, p);
    for (int i = 0; i < count; i++, p.start = c) {
        p.depth = terms[i].k / GROUP;
        p.a_row = terms[i].k / 2;
        p.a = terms[i].a + row * p.a_row;
        p.b = terms[i].b + column;
        pv_amx_add(own, down, across, p);
    }
    pv_amx_store(own, down, across, p);
}

PV_INLINE void product(bool own, int64_t rows, int n, int count, const pv_words_term *terms, bool add,
                       float *c)
{
    _Alignas(64) float part[SIDE * BLOCK];
    for (int column = 0; column < n; column += BLOCK) {
        const int across = n - column < BLOCK ? 1 : 2;
        int64_t row = 0;
        for (; row + BLOCK <= rows; row += BLOCK)
            product_block(own, 2, across, n, count, terms, row, column, add, c + row * n + column, n);
        for (; row + SIDE <= rows; row += SIDE)
            product_block(own, 1, across, n, count, terms, row, column, add, c + row * n + column, n);
        const size_t bytes = sizeof *c * (size_t)(across * SIDE);
        float *const to = c + row * n + column;
        for (int64_t r = 0; add && r < rows - row; r++)
            memcpy(part + r * BLOCK, to + r * n, bytes);
        if (row < rows) product_block(own, 1, across, n, count, terms, row, column, add, part, BLOCK);
        for (int64_t r = 0; r < rows - row; r++)
            memcpy(to + r * n, part + r * BLOCK, bytes);
    }
}

/* Of squares. */
PV_INLINE void add_outer(bool own, int down, int across, int depth, const float *turned, int64_t turned_row,
                         const float *pairs, int64_t pairs_row, float *c, int64_t c_row)
{
    pv_amx_multiply_all(own, down, across,
                        (pv_amx_product){.depth = depth,
                                         .a = turned,
                                         .a_row = turned_row,
                                         .b = pairs,
                                         .b_row = pairs_row,
                                         .start = c,
                                         .start_row = c_row,
                                         .start_across = SIDE,
                                         .c = c,
                                         .c_row = c_row});
}

PV_INLINE void outer(bool own, int m, int n, int64_t rows, const float *turned, const float *pairs, float *c)
{
    const int64_t whole = pv_words_whole(rows);
    add_outer(own, m / SIDE, n / SIDE, (int)(whole / GROUP), turned, whole / 2, pairs, n, c, n);
}

/* Some rows at a time, of a group of columns of both. */
PV_INLINE void outer_words(bool own, int m, int n, int64_t rows, const float *a, const float *b, float *c)
{
    enum { TOGETHER = 8 * GROUP, HALF = TOGETHER / 2 };
    _Alignas(64) float turned[GROUP * HALF], pairs[HALF * GROUP];
    for (int64_t left = rows; left > 0; left -= TOGETHER) {
        const int64_t some = left < TOGETHER ? left : TOGETHER;
        const int depth = (int)(pv_words_whole(some) / GROUP);
        for (int i = 0; i < m; i += GROUP) {
            turn_group(some, m / 2, a + i / 2, turned, HALF);
            for (int j = 0; j < n; j += GROUP) {
                pair_group(some, n / 2, b + j / 2, pairs, GROUP);
                add_outer(own, 2, 2, depth, turned, HALF, pairs, GROUP, c + (int64_t)i * n + j, n);
            }
        }
        a += some * m / 2;
        b += some * n / 2;
    }
}

/* With `own` known, neither looks for the other's squares. */
#define EITHER(call, ...) own ? call(true, __VA_ARGS__) : call(false, __VA_ARGS__)
static void product_either(bool own, int64_t rows, int n, int count, const pv_words_term *terms, bool add,
                           float *c)
{
    EITHER(product, rows, n, count, terms, add, c);
}
static void outer_either(bool own, int m, int n, int64_t rows, const float *turned, const float *pairs,
                         float *c)
{
    EITHER(outer, m, n, rows, turned, pairs, c);
}
static void outer_words_either(bool own, int m, int n, int64_t rows, const float *a, const float *b, float *c)
{
    EITHER(outer_words, m, n, rows, a, b, c);
}

const pv_words_kernels PV_ISA_TABLE(pv_words_kernels) = {
    .pack = pack,
    .pack_pairs = pack_pairs,
    .pair = pair,
    .turn = turn,
    .product = product_either,
    .outer = outer_either,
    .outer_words = outer_words_either,
};
#endif
