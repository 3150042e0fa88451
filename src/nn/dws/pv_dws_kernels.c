#include "nn/dws/pv_dws_kernels.h"

#include "simd/pv_tile.h"

#include <math.h>

enum { ROWS = 4, GROUP = 32 }; /* rows that pass together; entries summed in pv_real before double */

/* Views and block seen by one stripe of features. */
static pv_dws_values from(const pv_dws_values *values, int feature)
{
    return (pv_dws_values){values->row + feature, values->col + feature, values->all + feature};
}

/* ---- activation and pooling */

/* How a panel of features is activated: one or two vectors, the last of `lanes`. */
typedef struct recipe {
    pv_vector scale[PV_TILE_VECTORS], shift[PV_TILE_VECTORS], keep;
    const uint16_t *bits;
    int words;
} recipe;

PV_INLINE pv_vector join(bool max, pv_vector a, pv_vector b)
{
    if (max) return pv_vector_max(a, b);
    return a + b;
}

/* Some rows of one sample: their margins stay in registers, the columns' in the first-level cache.  `entry` counts from
 * the block's beginning. */
PV_INLINE void pool_rows(int rows, int vectors, int lanes, bool max, bool make, bool drop,
                         const pv_dws_block *b, bool fresh, int64_t entry, const recipe *how,
                         const pv_real *y, pv_real *x, pv_real *row, pv_real *col)
{
    const pv_vector start = (pv_vector){0} + (max ? (pv_real)-INFINITY : 0), zero = {0};
    const int64_t line = (int64_t)b->cols * b->f;
    pv_vector of_row[ROWS][PV_TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            of_row[r][v] = start;
    for (int c = 0; c < b->cols; c++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int part = v == vectors - 1 ? lanes : PV_LANES;
            pv_real *of_col = col + (int64_t)c * b->f + v * PV_LANES;
            pv_vector best = start;
            if (!fresh) best = pv_vector_load_first(part, of_col);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * line + (int64_t)c * b->f + v * PV_LANES;
                pv_vector value = pv_vector_load_first(part, y + at);
                if (make) {
                    value = pv_vector_max(zero, value * how->scale[v] + how->shift[v]);
                    if (drop)
                        value = pv_vector_keep(
                            pv_mask_of_bits(how->bits[(entry + (int64_t)r * b->cols + c) * how->words + v]),
                            value * how->keep);
                    pv_vector_store_first(part, x + at, value);
                }
                of_row[r][v] = join(max, of_row[r][v], value);
                best = join(max, best, value);
            }
            pv_vector_store_first(part, of_col, best);
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store_first(v == vectors - 1 ? lanes : PV_LANES, row + (int64_t)r * b->f + v * PV_LANES,
                          of_row[r][v]);
}

PV_INLINE void join_columns(int vectors, int lanes, bool max, const pv_dws_block *b, const pv_real *col,
                            pv_real *all)
{
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        const int part = v == vectors - 1 ? lanes : PV_LANES;
        pv_vector best = pv_vector_load_first(part, col + v * PV_LANES);
        for (int c = 1; c < b->cols; c++)
            best = join(max, best, pv_vector_load_first(part, col + (int64_t)c * b->f + v * PV_LANES));
        pv_vector_store_first(part, all + v * PV_LANES, best);
    }
}

PV_INLINE void pool_panel(int vectors, int lanes, bool max, bool make, bool drop, const pv_dws_block *b,
                          const recipe *how, const pv_real *y, pv_real *x, pv_dws_values pooled)
{
    const int64_t line = (int64_t)b->cols * b->f;
    int64_t entry = 0;
    for (int s = 0; s < b->count; s++, pooled.col += line, pooled.all += b->f) {
        int r = 0;
#define ROWS_OF(height)                                                                                      \
    for (; r + (height) <= b->rows; r += (height)) {                                                         \
        pool_rows(height, vectors, lanes, max, make, drop, b, r == 0, entry, how, y, x, pooled.row,          \
                  pooled.col);                                                                               \
        y += (height)*line;                                                                                  \
        if (make) x += (height)*line;                                                                        \
        pooled.row += (height)*b->f;                                                                         \
        entry += (height)*b->cols;                                                                           \
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

/* Calls PANEL(feature, vectors, lanes) for all features: two vectors at a time, then one, then a part of one. */
#define FOR_PANELS(f)                                                                                        \
    int k = 0;                                                                                               \
    for (; k + 2 * PV_LANES <= (f); k += 2 * PV_LANES)                                                       \
        PANEL(k, 2, PV_LANES);                                                                               \
    for (; k + PV_LANES <= (f); k += PV_LANES)                                                               \
        PANEL(k, 1, PV_LANES);                                                                               \
    if (k < (f)) PANEL(k, 1, (f)-k)

static recipe recipe_of(const pv_dws_activation *how, int f, int k, int vectors, int lanes)
{
    recipe r = {.bits = how->bits ? how->bits + k / PV_LANES : NULL, .words = (f + PV_LANES - 1) / PV_LANES};
    r.keep += how->keep;
    for (int v = 0; v < vectors; v++) {
        const int part = v == vectors - 1 ? lanes : PV_LANES;
        r.scale[v] += 1;
        if (how->scale) r.scale[v] = pv_vector_load_first(part, how->scale + k + v * PV_LANES);
        if (how->shift) r.shift[v] = pv_vector_load_first(part, how->shift + k + v * PV_LANES);
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

static void pool(const pv_dws_block *b, const pv_real *x, const pv_dws_values *pooled)
{
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
        for (int i = 0; i < (v == vectors - 1 ? lanes : PV_LANES); i++) {
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
            const int part = v == vectors - 1 ? lanes : PV_LANES, at = r * f + v * PV_LANES;
            sum[r][v] = pv_vector_load_first(part, row + v * PV_LANES) + pv_vector_load_first(part, col + at);
            if (add) sum[r][v] += pv_vector_load_first(part, y + at);
        }
    pv_tile_multiply(rows, vectors, lanes, k, x, k, 1, w, f, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store_first(v == vectors - 1 ? lanes : PV_LANES, y + r * f + v * PV_LANES, sum[r][v]);
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
            const pv_real *row = spread.row + (int64_t)r * b->f, *col = spread.col;
            int c = 0;
#define TILES(height)                                                                                        \
    for (; c + (height) <= b->cols;                                                                          \
         c += (height), x += (height)*k, col += (height)*b->f, y += (height)*b->f)                           \
    combine_tile(height, vectors, lanes, b->f, k, x, w, row, col, add, y, collected)
            TILES(PV_TILE_ROWS);
            TILES(PV_TILE_ROWS / 2);
            TILES(1);
#undef TILES
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

/* ---- gradients */

/* mean, a, b and c of a panel. */
typedef pv_vector slopes[4][PV_TILE_VECTORS];

PV_INLINE void back_rows(int rows, int vectors, int lanes, const pv_dws_block *b, bool fresh, slopes of,
                         const pv_real *y, const pv_real *dz, pv_real *dy, pv_real *row, pv_real *col)
{
    const int64_t line = (int64_t)b->cols * b->f;
    pv_vector of_row[ROWS][PV_TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            of_row[r][v] = (pv_vector){0};
    for (int c = 0; c < b->cols; c++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const int part = v == vectors - 1 ? lanes : PV_LANES;
            pv_real *of_col = col + (int64_t)c * b->f + v * PV_LANES;
            pv_vector sum = {0};
            if (!fresh) sum = pv_vector_load_first(part, of_col);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const int64_t at = r * line + (int64_t)c * b->f + v * PV_LANES;
                const pv_vector value = of[1][v] * pv_vector_load_first(part, dz + at) +
                                        (of[2][v] * (pv_vector_load_first(part, y + at) - of[0][v]) + of[3][v]);
                pv_vector_store_first(part, dy + at, value);
                of_row[r][v] += value;
                sum += value;
            }
            pv_vector_store_first(part, of_col, sum);
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            pv_vector_store_first(v == vectors - 1 ? lanes : PV_LANES, row + (int64_t)r * b->f + v * PV_LANES,
                          of_row[r][v]);
}

PV_INLINE void back_panel(int vectors, int lanes, const pv_dws_block *b, const pv_dws_norm_back *how, int k,
                          const pv_real *y, const pv_real *dz, pv_real *dy, pv_dws_values pooled)
{
    const pv_real *const vectors_of[4] = {how->mean + k, how->a + k, how->b + k, how->c + k};
    slopes of;
    for (int i = 0; i < 4; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            of[i][v] = pv_vector_load_first(v == vectors - 1 ? lanes : PV_LANES, vectors_of[i] + v * PV_LANES);
    const int64_t line = (int64_t)b->cols * b->f;
    for (int s = 0; s < b->count; s++, pooled.col += line, pooled.all += b->f) {
        int r = 0;
#define ROWS_OF(height)                                                                                      \
    for (; r + (height) <= b->rows; r += (height)) {                                                         \
        back_rows(height, vectors, lanes, b, r == 0, of, y, dz, dy, pooled.row, pooled.col);                 \
        y += (height)*line;                                                                                  \
        dz += (height)*line;                                                                                 \
        dy += (height)*line;                                                                                 \
        pooled.row += (height)*b->f;                                                                         \
    }
        ROWS_OF(ROWS)
        ROWS_OF(1)
#undef ROWS_OF
        join_columns(vectors, lanes, false, b, pooled.col, pooled.all);
    }
}

static void normalise_back(const pv_dws_block *b, const pv_dws_norm_back *how, const pv_real *y,
                           const pv_real *dz, pv_real *dy, const pv_dws_values *pooled)
{
#define PANEL(at, vectors, lanes)                                                                            \
    back_panel(vectors, lanes, b, how, at, y + (at), dz + (at), dy + (at), from(pooled, at))
    FOR_PANELS(b->f);
#undef PANEL
}

PV_INLINE void settle_back(int n, pv_vector *sum, pv_vector *dot, double *all_sum, double *all_dot)
{
    for (int i = 0; i < n; i++) {
        all_sum[i] += (double)(*sum)[i];
        all_dot[i] += (double)(*dot)[i];
    }
    *sum = *dot = (pv_vector){0};
}

/* One stripe of n features at feature k. */
PV_INLINE void gate_stripe(int n, bool max, bool relu, bool collect, const pv_dws_block *b, int k,
                           const pv_dws_gate *gate, pv_dws_values spread, pv_real *dx)
{
    const pv_real *x = gate->x + k, *y = collect ? gate->y + k : NULL;
    const pv_dws_values best = max ? from(&gate->best, k) : (pv_dws_values){0};
    const pv_vector zero = {0}, keep = zero + gate->keep,
                    mean = collect ? pv_vector_load_first(n, gate->mean + k) : zero;
    pv_vector sum = zero, dot = zero;
    int64_t row_at = 0, col_at = 0, at = 0;
    int pending = 0;
    for (int s = 0; s < b->count; s++, col_at += (int64_t)b->cols * b->f) {
        for (int r = 0; r < b->rows; r++, row_at += b->f) {
            pv_vector of_row = pv_vector_load_first(n, spread.row + row_at);
            const pv_vector most = max ? pv_vector_load_first(n, best.row + row_at) : zero;
            for (int c = 0; c < b->cols; c++, at += b->f) {
                const int64_t column = col_at + (int64_t)c * b->f;
                const pv_vector v = pv_vector_load_first(n, x + at), of_col = pv_vector_load_first(n, spread.col + column);
                pv_vector g = pv_vector_load_first(n, dx + at);
                if (max) {
                    const pv_mask in_row = pv_vector_equal(v, most),
                                  in_col = pv_vector_equal(v, pv_vector_load_first(n, best.col + column));
                    g += pv_vector_keep(in_row, of_row) + pv_vector_keep(in_col, of_col);
                    of_row = pv_vector_choose(in_row, zero, of_row);
                    pv_vector_store_first(n, spread.col + column, pv_vector_choose(in_col, zero, of_col));
                } else {
                    g += of_row + of_col;
                }
                if (relu) g = pv_vector_keep(pv_vector_greater(v, zero), g * keep);
                pv_vector_store_first(n, dx + at, g);
                if (collect) {
                    sum += g;
                    dot += g * (pv_vector_load_first(n, y + at) - mean);
                }
            }
            pending += b->cols;
            if (collect && pending >= GROUP) {
                settle_back(n, &sum, &dot, gate->sum + k, gate->dot + k);
                pending = 0;
            }
        }
        if (collect && pending) settle_back(n, &sum, &dot, gate->sum + k, gate->dot + k);
        pending = 0;
    }
}

PV_INLINE void gate_stripe_as(int n, const pv_dws_block *b, int k, const pv_dws_gate *gate,
                              const pv_dws_values *spread, pv_real *dx)
{
    const pv_dws_values of = from(spread, k);
    if (gate->sum && b->max)
        gate_stripe(n, true, true, true, b, k, gate, of, dx + k);
    else if (gate->sum)
        gate_stripe(n, false, true, true, b, k, gate, of, dx + k);
    else if (b->max && gate->relu)
        gate_stripe(n, true, true, false, b, k, gate, of, dx + k);
    else if (b->max)
        gate_stripe(n, true, false, false, b, k, gate, of, dx + k);
    else if (gate->relu)
        gate_stripe(n, false, true, false, b, k, gate, of, dx + k);
    else
        gate_stripe(n, false, false, false, b, k, gate, of, dx + k);
}

static void deactivate(const pv_dws_block *b, const pv_dws_gate *gate, const pv_dws_values *spread,
                       pv_real *dx)
{
    for (int k = 0; k < b->f; k += PV_LANES) {
        if (b->f - k >= PV_LANES)
            gate_stripe_as(PV_LANES, b, k, gate, spread, dx);
        else
            gate_stripe_as(b->f - k, b, k, gate, spread, dx);
    }
}

PV_INLINE void fold_stripe(int n, const pv_dws_block *b, int k, const pv_dws_values *best,
                           const pv_dws_values *spread)
{
    const pv_vector zero = {0};
    for (int s = 0; s < b->count; s++) {
        const int64_t at = (int64_t)s * b->f + k, column = (int64_t)s * b->cols * b->f + k;
        pv_vector rest = pv_vector_load_first(n, spread->all + at);
        const pv_vector most = b->max ? pv_vector_load_first(n, best->all + at) : zero;
        for (int c = 0; c < b->cols; c++) {
            pv_real *col = spread->col + column + (int64_t)c * b->f;
            if (b->max) {
                const pv_mask here =
                    pv_vector_equal(pv_vector_load_first(n, best->col + column + (int64_t)c * b->f), most);
                pv_vector_store_first(n, col, pv_vector_load_first(n, col) + pv_vector_keep(here, rest));
                rest = pv_vector_choose(here, zero, rest);
            } else {
                pv_vector_store_first(n, col, pv_vector_load_first(n, col) + rest);
            }
        }
    }
}

static void fold(const pv_dws_block *b, const pv_dws_values *best, const pv_dws_values *spread)
{
    for (int k = 0; k < b->f; k += PV_LANES) {
        if (b->f - k >= PV_LANES)
            fold_stripe(PV_LANES, b, k, best, spread);
        else
            fold_stripe(b->f - k, b, k, best, spread);
    }
}

#define FOR_STRIPES(f)                                                                                       \
    int k = 0;                                                                                               \
    for (; k + PV_LANES <= (f); k += PV_LANES)                                                               \
        STRIPE(k, PV_LANES);                                                                                 \
    if (k < (f)) STRIPE(k, (f)-k)

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

static void take(int f, const pv_real *x, pv_real *best, const pv_real *due, pv_real keep, pv_real *dy)
{
    const pv_vector zero = {0};
#define STRIPE(at, n)                                                                                        \
    do {                                                                                                     \
        const pv_mask here = holds(n, x + (at), best + (at));                                                \
        pv_vector_store_first(n, dy + (at), pv_vector_keep(here, pv_vector_load_first(n, due + (at)) * keep));               \
        pv_vector_store_first(n, best + (at), pv_vector_choose(here, zero, pv_vector_load_first(n, best + (at))));           \
    } while (0)
    FOR_STRIPES(f);
#undef STRIPE
}

static int64_t pick(const pv_dws_block *b, const pv_real *x, pv_real *best, const pv_real *due, pv_real keep,
                    int64_t *entry, pv_real *dy)
{
    const int64_t entries = (int64_t)b->rows * b->cols;
    int64_t count = 0;
    for (int s = 0; s < b->count; s++, best += b->f, due += b->f)
        for (int64_t e = 0; e < entries; e++, x += b->f) {
            if (!holds_any(b->f, x, best)) continue;
            take(b->f, x, best, due, keep, dy + count * b->f);
            entry[count++] = s * entries + e;
        }
    return count;
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
    .normalise_back = normalise_back,
    .deactivate = deactivate,
    .fold = fold,
    .pick = pick,
    .pack_bits = pack_bits,
};
