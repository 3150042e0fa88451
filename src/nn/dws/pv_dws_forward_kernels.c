/* The sweeps forward: activation and pooling, the product with what is spread over the entries, and what
 * holds a maximum. */
#include "pv_dws_panels.h"

#include <math.h>

/* ---- activation and pooling */

/* How a panel of features is activated: one or two vectors, the last of `lanes`. */
typedef struct recipe {
    pv_vector scale[PV_TILE_VECTORS], shift[PV_TILE_VECTORS], keep;
    const uint16_t *bits;
    int words;
} recipe;

/* Some rows of one sample: their margins stay in registers, the columns' in the first-level cache.  `bits` is
 * of the first entry. */
PV_INLINE void pool_rows(int rows, int vectors, int lanes, bool max, bool make, bool drop, int cols,
                         int64_t f, bool fresh, const recipe *how, const uint16_t *bits,
                         const pv_real *restrict y, pv_real *restrict x, pv_real *restrict row,
                         pv_real *restrict col)
{
    const pv_vector start = (pv_vector){0} + (max ? (pv_real)-INFINITY : 0), zero = {0};
    const int64_t line = cols * f;
    const recipe h = *how;
    pv_tile of_row;
    pv_tile_fill(rows, vectors, start, of_row);
    for (const pv_real *end = y + line; y < end; y += f, col += f) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int n = pv_tile_lanes(v, vectors, lanes);
            pv_vector best = start;
            if (!fresh) best = pv_vector_load_first(n, col + v * PV_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * line + v * PV_LANES;
                pv_vector value = pv_vector_load_first(n, y + at);
                if (make) {
                    fetch(v, y + at + rows * line);
                    value = pv_vector_max(zero, value * h.scale[v] + h.shift[v]);
                    if (drop)
                        value = pv_vector_keep(pv_mask_of_bits(bits[(int64_t)r * cols * h.words + v]),
                                               value * h.keep);
                    pv_vector_store_first(n, x + at, value);
                }
                of_row[r][v] = join(max, of_row[r][v], value);
                best = join(max, best, value);
            }
            pv_vector_store_first(n, col + v * PV_LANES, best);
        }
        if (make) x += f;
        if (drop) bits += h.words;
    }
    pv_tile_store(rows, vectors, lanes, of_row, row, f);
}

PV_INLINE void pool_panel(int vectors, int lanes, bool max, bool make, bool drop, const pv_dws_block *b,
                          const recipe *how, const pv_real *y, pv_real *x, pv_dws_values pooled)
{
    const int64_t line = (int64_t)b->cols * b->f;
    const uint16_t *bits = how->bits;
    for (int s = 0; s < b->count; s++, pooled.col += line, pooled.all += b->f) {
        int r = 0;
#define ROWS_OF(height)                                                                                      \
    for (; r + (height) <= b->rows; r += (height)) {                                                         \
        pool_rows(height, vectors, lanes, max, make, drop, b->cols, b->f, r == 0, how, bits, y, x,           \
                  pooled.row, pooled.col);                                                                   \
        y += (height)*line;                                                                                  \
        if (make) x += (height)*line;                                                                        \
        pooled.row += (height)*b->f;                                                                         \
        if (drop) bits += (int64_t)(height)*b->cols * how->words;                                            \
    }
        ROWS_OF(ROWS)
        ROWS_OF(1)
#undef ROWS_OF
        join_columns(vectors, lanes, max, b, pooled.col, pooled.all);
    }
}

PV_INLINE void pool_panel_as(int vectors, int lanes, bool make, const pv_dws_block *b, const recipe *how,
                             const pv_real *y, pv_real *x, pv_dws_values pooled)
{
    if (b->max && !how->bits)
        pool_panel(vectors, lanes, true, make, false, b, how, y, x, pooled);
    else if (b->max)
        pool_panel(vectors, lanes, true, make, make, b, how, y, x, pooled);
    else if (!how->bits)
        pool_panel(vectors, lanes, false, make, false, b, how, y, x, pooled);
    else
        pool_panel(vectors, lanes, false, make, make, b, how, y, x, pooled);
}

static recipe recipe_of(const pv_dws_activation *how, int f, int k, int vectors, int lanes)
{
    recipe r = {.bits = how->bits ? how->bits + k / PV_LANES : NULL, .words = (f + PV_LANES - 1) / PV_LANES};
    r.keep += how->keep;
    for (int v = 0; v < vectors; v++) {
        const int n = pv_tile_lanes(v, vectors, lanes);
        r.scale[v] += 1;
        if (how->scale) r.scale[v] = pv_vector_load_first(n, how->scale + k + v * PV_LANES);
        if (how->shift) r.shift[v] = pv_vector_load_first(n, how->shift + k + v * PV_LANES);
    }
    return r;
}

static void activate(const pv_dws_block *b, const pv_dws_activation *how, const pv_real *y, pv_real *x,
                     const pv_dws_values *pooled)
{
#define PANEL(at, vectors, lanes)                                                                            \
    do {                                                                                                     \
        const recipe r = recipe_of(how, b->f, at, vectors, lanes);                                           \
        pool_panel_as(vectors, lanes, true, b, &r, y + (at), x + (at), from(pooled, at));                    \
    } while (0)
    FOR_PANELS(b->f);
#undef PANEL
}

/* A row of numbers, its columns in the lanes: its margin, while those of the columns take it up. */
PV_INLINE pv_real pool_line(int cols, bool max, bool fresh, const pv_real *x, pv_real *col)
{
    pv_real best = max ? (pv_real)-INFINITY : 0;
    int c = 0;
    if (cols >= PV_LANES) {
        pv_vector all = pv_vector_splat(best);
        for (; c + PV_LANES <= cols; c += PV_LANES) {
            const pv_vector value = pv_vector_load(x + c);
            pv_vector_store(col + c, fresh ? value : join(max, pv_vector_load(col + c), value));
            all = join(max, all, value);
        }
        for (int l = 0; l < PV_LANES; l++)
            best = max ? (all[l] > best ? all[l] : best) : best + all[l];
    }
    for (; c < cols; c++) {
        col[c] = fresh ? x[c] : max ? (x[c] > col[c] ? x[c] : col[c]) : col[c] + x[c];
        best = max ? (x[c] > best ? x[c] : best) : best + x[c];
    }
    return best;
}

/* Of one feature a panel would be a vector of one number. */
PV_INLINE void pool_numbers(bool max, const pv_dws_block *b, const pv_real *x, pv_dws_values pooled)
{
    for (int s = 0; s < b->count; s++, pooled.col += b->cols, pooled.all++) {
        for (int r = 0; r < b->rows; r++, x += b->cols)
            *pooled.row++ = pool_line(b->cols, max, r == 0, x, pooled.col);
        join_columns(1, 1, max, b, pooled.col, pooled.all);
    }
}

static void pool(const pv_dws_block *b, const pv_real *x, const pv_dws_values *pooled)
{
    if (b->f == 1 && b->max) {
        pool_numbers(true, b, x, *pooled);
        return;
    }
    if (b->f == 1) {
        pool_numbers(false, b, x, *pooled);
        return;
    }
    const recipe none = {.bits = NULL};
#define PANEL(at, vectors, lanes)                                                                            \
    pool_panel_as(vectors, lanes, false, b, &none, x + (at), NULL, from(pooled, at))
    FOR_PANELS(b->f);
#undef PANEL
}

/* ---- the product over entries, with what is spread over them and the sums that batch norm wants */

typedef struct moments {
    pv_vector centre[PV_TILE_VECTORS], sum[PV_TILE_VECTORS], square[PV_TILE_VECTORS];
    int count;
} moments;

static void settle(int vectors, int lanes, moments *m, double *sum, double *square)
{
    const double count = m->count;
    for (int v = 0; v < vectors; v++)
        for (int i = 0; i < (pv_tile_lanes(v, vectors, lanes)); i++) {
            const double c = (double)m->centre[v][i], s = (double)m->sum[v][i];
            sum[v * PV_LANES + i] += s + count * c;
            square[v * PV_LANES + i] += (double)m->square[v][i] + 2 * c * s + count * c * c;
        }
    m->count = 0;
}

PV_INLINE void combine_tile(int rows, int vectors, int lanes, int f, int k, const pv_real *x,
                            const pv_real *w, const pv_real *row, const pv_real *col, bool add, pv_real *y,
                            moments *m)
{
    pv_tile sum;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int n = pv_tile_lanes(v, vectors, lanes), at = r * f + v * PV_LANES;
            sum[r][v] = pv_vector_load_first(n, row + v * PV_LANES) + pv_vector_load_first(n, col + at);
            if (add) sum[r][v] += pv_vector_load_first(n, y + at);
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        __builtin_prefetch(y + (2 * rows + r) * f, 1); /* what is written has to be there first */
    pv_tile_multiply(rows, vectors, lanes, k, x, k, 1, w, f, sum);
    pv_tile_store(rows, vectors, lanes, sum, y, f);
    if (!m) return;
    if (m->count == 0)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            m->centre[v] = sum[0][v];
            m->sum[v] = m->square[v] = (pv_vector){0};
        }
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        pv_vector s = m->sum[v], q = m->square[v];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const pv_vector d = sum[r][v] - m->centre[v];
            s += d;
            q += d * d;
        }
        m->sum[v] = s;
        m->square[v] = q;
    }
    m->count += rows;
}

PV_INLINE void combine_panel(int vectors, int lanes, const pv_dws_block *b, int k, const pv_real *x,
                             const pv_real *w, pv_dws_values spread, bool add, pv_real *y, double *sum,
                             double *square)
{
    moments m = {.count = 0};
    moments *const collected = sum ? &m : NULL;
    for (int s = 0; s < b->count; s++) {
        for (int r = 0; r < b->rows; r++) {
            const pv_real *row = spread.row + (int64_t)r * b->f;
#define TILE(first, height)                                                                                  \
    combine_tile(height, vectors, lanes, b->f, k, x + (first)*k, w, row, spread.col + (first)*b->f, add,     \
                 y + (first)*b->f, collected)
            PV_TILES(b->cols, TILE);
#undef TILE
            x += (int64_t)b->cols * k;
            y += (int64_t)b->cols * b->f;
            if (m.count >= GROUP) settle(vectors, lanes, &m, sum, square);
        }
        if (m.count) settle(vectors, lanes, &m, sum, square);
        spread.row += (int64_t)b->rows * b->f;
        spread.col += (int64_t)b->cols * b->f;
    }
}

static void combine(const pv_dws_block *b, int terms, const pv_real *x, const pv_real *w,
                    const pv_dws_values *spread, bool add, pv_real *y, double *sum, double *square)
{
    if (terms == 0) x = w = y; /* neither is read; a pointer to nowhere cannot be moved */
#define PANEL(at, vectors, lanes)                                                                            \
    combine_panel(vectors, lanes, b, terms, x, w + (at), from(spread, at), add, y + (at),                    \
                  sum ? sum + (at) : NULL, square ? square + (at) : NULL)
    FOR_PANELS(b->f);
#undef PANEL
}

/* ---- what holds a maximum */

PV_INLINE pv_mask holds(int n, const pv_real *x, const pv_real *best)
{
    const pv_vector zero = {0}, most = pv_vector_load_first(n, best);
    return pv_vector_equal(pv_vector_load_first(n, x), most) & pv_vector_greater(most, zero);
}

static bool holds_any(int f, const pv_real *x, const pv_real *best)
{
    pv_mask any = holds(f < PV_LANES ? f : PV_LANES, x, best);
#define STRIPE(at, n) any |= holds(n, x + (at), best + (at))
    FOR_STRIPES(f);
#undef STRIPE
    return pv_mask_bits(any) != 0;
}

/* Notes entry e where x holds a maximum, and takes that away, so that later ones find none. */
static void take(int f, int e, const pv_real *x, pv_real *best, int32_t *holder)
{
    for (int i = 0; i < f; i++)
        if (best[i] > 0 && x[i] == best[i]) {
            holder[i] = e;
            best[i] = 0;
        }
}

static void find(const pv_dws_block *b, const pv_real *x, pv_real *best, int32_t *holder)
{
    const int entries = b->rows * b->cols;
    for (int s = 0; s < b->count; s++, best += b->f, holder += b->f) {
        for (int i = 0; i < b->f; i++)
            holder[i] = -1;
        for (int e = 0; e < entries; e++, x += b->f)
            if (holds_any(b->f, x, best)) take(b->f, e, x, best, holder);
    }
}

/* A word of n <= PV_LANES bits. */
PV_INLINE uint16_t pack_word(int n, const uint16_t *draws, uint32_t keep)
{
#if defined(__AVX512F__)
    if (keep == 0) return 0;
    const __mmask16 lanes = (__mmask16)((1u << n) - 1);
    return _mm256_mask_cmple_epu16_mask(lanes, _mm256_maskz_loadu_epi16(lanes, draws),
                                        _mm256_set1_epi16((short)(keep - 1)));
#else
    uint32_t word = 0;
    for (int l = 0; l < n; l++)
        word |= (uint32_t)(draws[l] < keep) << l;
    return (uint16_t)word;
#endif
}

static void pack_bits(int64_t entries, int f, const uint16_t *draws, uint32_t keep, uint16_t *bits)
{
    for (int64_t i = 0; i < entries; i++, draws += f) {
#define STRIPE(at, n) *bits++ = pack_word(n, draws + (at), keep)
        FOR_STRIPES(f);
#undef STRIPE
    }
}

const pv_dws_kernels PV_ISA_TABLE(pv_dws_kernels) = {
    .lanes = PV_LANES,
    .activate = activate,
    .pool = pool,
    .combine = combine,
    .find = find,
    .pack_bits = pack_bits,
};
