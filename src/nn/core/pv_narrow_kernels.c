/* Products of matrices that are rounded to bfloat16 as they are read, in squares (simd/pv_amx.h). */
#include "nn/core/pv_narrow_kernels.h"

#ifdef PV_REAL_IS_DOUBLE
const pv_narrow_kernels PV_ISA_TABLE(pv_narrow_kernels) = {0};
#else

#include "simd/pv_amx.h"
#include "simd/pv_tile.h"
#include "simd/pv_words.h"

#include <string.h>

/* A square is SIDE words wide and DEEP numbers deep: word i of its depth is the pair of numbers i and
 * i + SIDE.  Blocks of squares are copied to where the caches have them: DEPTH squares deep, and BLOCK rows
 * or columns. */
enum { SIDE = PV_AMX_SIDE, DEEP = 2 * SIDE, DEPTH = 8, BLOCK = 128 };
enum { WORDS = DEPTH * SIDE };

PV_INLINE int least(int64_t a, int b)
{
    return a < b ? (int)a : b;
}

static int squares(int n, int side)
{
    return (n + side - 1) / side;
}

/* Pairs of the lanes at x and `apart` numbers behind, of which `low` and `high` numbers are there. */
PV_INLINE pv_vector pair(int low, int high, const float *x, int64_t apart)
{
    if (low >= PV_LANES && high >= PV_LANES)
        return pv_words_pack(pv_vector_load(x), pv_vector_load(x + apart));
    low = low < 0 ? 0 : low > PV_LANES ? PV_LANES : low;
    high = high < 0 ? 0 : high > PV_LANES ? PV_LANES : high;
    pv_vector a = {0}, b = {0};
    if (low > 0) a = pv_vector_load_first(low, x);
    if (high > 0) b = pv_vector_load_first(high, x + apart);
    return pv_words_pack(a, b);
}

/* Rows whose depth lies in memory, side by side: words [squares(rows) * SIDE][ldy] of x [rows][k]. */
static void pack_rows(int rows, int k, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    for (int r = 0; r < rows; r++, x += ldx, y += ldy)
        for (int p = 0; p < k; p += DEEP)
            for (int i = 0; i < SIDE; i += PV_LANES)
                pv_vector_store(y + p / 2 + i, pair(k - p - i, k - p - i - SIDE, x + p + i, SIDE));
    for (int r = rows; r % SIDE; r++, y += ldy)
        memset(y, 0, sizeof *y * (size_t)(squares(k, DEEP) * SIDE));
}

/* Rows that lie across the depth: words [squares(k) * SIDE][ldy] of x [k][n]. */
static void pack_depth(int k, int n, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    const int whole = squares(k, DEEP) * SIDE, width = squares(n, SIDE) * SIDE;
    for (int p = 0; p < whole; p++, y += ldy) {
        const int low = p / SIDE * DEEP + p % SIDE;
        for (int j = 0; j < width; j += PV_LANES)
            pv_vector_store(
                y + j, pair(low < k ? n - j : 0, low + SIDE < k ? n - j : 0, x + low * ldx + j, SIDE * ldx));
    }
}

/* The same, turned: words [squares(n) * SIDE][ldy] of x [k][n]. */
static void pack_turned(int k, int n, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    _Alignas(64) float square[SIDE * SIDE];
    for (int j = 0; j < n; j += SIDE)
        for (int p = 0; p < k; p += DEEP) {
            pack_depth(least(k - p, DEEP), least(n - j, SIDE), x + p * ldx + j, ldx, square, SIDE);
            pv_tile_transpose_all(SIDE, SIDE, square, SIDE, y + j * ldy + p / 2, ldy);
        }
}

/* What is to be summed over, DEPTH squares of all terms behind each other. */
typedef struct stretch {
    int term, at, squares;
} stretch;

/* The words of rows first.. of a, and of columns column.. of b, over a stretch from `from` on; returns where
 * the next begins, whose `squares` are 0 at the end. */
static stretch walk(int count, const pv_product_term *terms, stretch from,
                    void (*pack)(const pv_product_term *term, int at, int k, int word, void *to), void *to)
{
    stretch s = {from.term, from.at, 0};
    while (s.term < count && s.squares < DEPTH) {
        const pv_product_term *term = &terms[s.term];
        const int k = least(term->k - s.at, (DEPTH - s.squares) * DEEP);
        pack(term, s.at, k, s.squares * SIDE, to);
        s.squares += squares(k, DEEP);
        s.at += k;
        if (s.at == term->k) s = (stretch){s.term + 1, 0, s.squares};
    }
    return s;
}

/* A block of a, or of b, on its way. */
typedef struct side {
    int64_t first;
    int n, line; /* rows of a, columns of b; words from a row to the next */
    float *words;
} side;

static void pack_a(const pv_product_term *term, int at, int k, int word, void *to)
{
    const side *b = to;
    const float *x = term->a + b->first * term->row + at * term->step;
    if (term->step == 1)
        pack_rows(b->n, k, x, term->row, b->words + word, b->line);
    else
        pack_turned(k, b->n, x, term->step, b->words + word, b->line);
}

static void pack_b(const pv_product_term *term, int at, int k, int word, void *to)
{
    const side *b = to;
    pack_depth(k, b->n, term->b + at * term->ldb + b->first, term->ldb, b->words + word * b->line, b->line);
}

PV_INLINE void copy(int rows, int n, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    for (int r = 0; r < rows; r++)
        memcpy(y + r * ldy, x + r * ldx, sizeof *y * (size_t)n);
}

/* Some rows of c, by way of whole squares where they are none. */
PV_INLINE void multiply_rows(bool own, int rows, int n, pv_amx_product p)
{
    _Alignas(64) float whole[BLOCK * BLOCK];
    float *const c = p.c;
    const int64_t c_row = p.c_row;
    const bool fits = rows % SIDE == 0 && n % SIDE == 0;
    if (!fits) {
        if (p.start) copy(rows, n, c, c_row, whole, BLOCK);
        p.c = whole;
        p.c_row = BLOCK;
    }
    if (p.start) p.start = p.c;
    p.start_row = p.c_row;
    p.start_across = SIDE;
    pv_amx_multiply_all(own, squares(rows, SIDE), squares(n, SIDE), p);
    if (!fits) copy(rows, n, whole, BLOCK, c, c_row);
}

static void multiply(bool own, int rows, int n, pv_amx_product p)
{
    const int whole = rows - rows % SIDE;
    if (whole > 0) multiply_rows(own, whole, n, p);
    if (whole < rows) {
        if (p.start) p.start += whole * p.c_row;
        p.a += whole * p.a_row;
        p.c += whole * p.c_row;
        multiply_rows(own, rows - whole, n, p);
    }
}

/* Whether a product of so many multiplications is left to floats. */
static bool is_small(int64_t m, int64_t n, int64_t k)
{
    return m < SIDE || n < SIDE || k < SIDE;
}

PV_INLINE void product(bool own, int64_t m, int n, int count, const pv_product_term *terms, int add, float *c)
{
    int64_t k = 0;
    for (int i = 0; i < count; i++)
        k += terms[i].k;
    if (is_small(m, n, k)) {
        PV_ISA_TABLE(pv_matrix_kernels).product(m, n, count, terms, add, c);
        return;
    }
    _Alignas(64) float of_a[BLOCK * WORDS], of_b[WORDS * BLOCK];
    for (int column = 0; column < n; column += BLOCK) {
        side b = {column, least(n - column, BLOCK), squares(least(n - column, BLOCK), SIDE) * SIDE, of_b};
        stretch from = {0, 0, 0};
        for (bool adds = add; from.term < count; adds = true) {
            const stretch next = walk(count, terms, from, pack_b, &b);
            for (int64_t row = 0; row < m; row += BLOCK) {
                side a = {row, least(m - row, BLOCK), next.squares * SIDE, of_a};
                walk(count, terms, from, pack_a, &a);
                float *const to = c + row * n + column;
                multiply(own, a.n, b.n,
                         (pv_amx_product){.depth = next.squares,
                                          .a = of_a,
                                          .a_row = a.line,
                                          .b = of_b,
                                          .b_row = b.line,
                                          .start = adds ? to : NULL,
                                          .c = to,
                                          .c_row = n});
            }
            from = next;
        }
    }
}

/* c[m][n] += alpha sum[BLOCK]. */
static void add_scaled(int m, int n, float alpha, const float *sum, float *c, int64_t ldc)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j += PV_LANES) {
            const int lanes = least(n - j, PV_LANES);
            float *const at = c + i * ldc + j;
            pv_vector_store_first(lanes, at,
                                  pv_vector_load_first(lanes, at) +
                                      alpha * pv_vector_load_first(lanes, sum + i * BLOCK + j));
        }
}

PV_INLINE void outer(bool own, int m, int n, int64_t k, int together, float alpha, const float *a,
                     const float *b, float *c)
{
    if (is_small(m, n, k)) {
        PV_ISA_TABLE(pv_matrix_kernels).outer(m, n, k, together, alpha, a, b, c);
        return;
    }
    _Alignas(64) float of_a[BLOCK * WORDS], of_b[WORDS * BLOCK], sum[BLOCK * BLOCK];
    for (int row = 0; row < m; row += BLOCK)
        for (int column = 0; column < n; column += BLOCK) {
            const int rows = least(m - row, BLOCK), width = least(n - column, BLOCK);
            const int down = squares(rows, SIDE), across = squares(width, SIDE);
            for (int64_t p = 0; p < k; p += DEPTH * DEEP) {
                const int deep = least(k - p, DEPTH * DEEP), depth = squares(deep, DEEP);
                pack_turned(deep, rows, a + p * m + row, m, of_a, depth * SIDE);
                pack_depth(deep, width, b + p * n + column, n, of_b, across * SIDE);
                pv_amx_multiply_all(own, down, across,
                                    (pv_amx_product){.depth = depth,
                                                     .a = of_a,
                                                     .a_row = depth * SIDE,
                                                     .b = of_b,
                                                     .b_row = across * SIDE,
                                                     .start = p ? sum : NULL,
                                                     .start_row = BLOCK,
                                                     .start_across = SIDE,
                                                     .c = sum,
                                                     .c_row = BLOCK});
            }
            add_scaled(rows, width, alpha, sum, c + (int64_t)row * n + column, n);
        }
}

#define PRODUCTS(name, own)                                                                                  \
    static void product_##name(int64_t m, int n, int count, const pv_product_term *terms, int add, float *c) \
    {                                                                                                        \
        product(own, m, n, count, terms, add, c);                                                            \
    }                                                                                                        \
    static void outer_##name(int m, int n, int64_t k, int together, float alpha, const float *a,             \
                             const float *b, float *c)                                                       \
    {                                                                                                        \
        outer(own, m, n, k, together, alpha, a, b, c);                                                       \
    }
PRODUCTS(plain, false)
PRODUCTS(own, true)

static void transpose(int rows, int cols, const float *x, int64_t ldx, float *y, int64_t ldy)
{
    PV_ISA_TABLE(pv_matrix_kernels).transpose(rows, cols, x, ldx, y, ldy);
}

static void begin(void)
{
    pv_amx_begin(true);
}

static void end(void)
{
    pv_amx_end(true);
}

const pv_narrow_kernels PV_ISA_TABLE(pv_narrow_kernels) = {
    .begin = begin,
    .end = end,
    .plain = {product_plain, outer_plain, transpose},
    .own = {product_own, outer_own, transpose},
};
#endif
