/* The sweeps over words, a group of features at a time. */
#include "nn/dws/pv_dws_narrow_kernels.h"

#ifdef PV_REAL_IS_DOUBLE
const pv_dws_narrow_kernels PV_ISA_TABLE(pv_dws_narrow_kernels) = {0};
#else

#include "nn/core/pv_words_kernels.h"
#include "simd/pv_amx.h"
#include "simd/pv_words.h"

#include <string.h>

/* A group of features is HALF words: vector i of them holds the vectors i of features 0.. and HALF.. . */
enum { SIDE = PV_AMX_SIDE, GROUP = PV_WORDS_GROUP, HALF = GROUP / 2, PARTS = HALF / PV_LANES };
enum { STRIP = 2 * SIDE, ENOUGH = 128 }; /* columns multiplied together; entries summed before double */

typedef pv_both both;

PV_INLINE both load(const float *x)
{
    return (both){pv_vector_load(x), pv_vector_load(x + HALF)};
}

PV_INLINE void store(float *x, both v)
{
    pv_vector_store(x, v.low);
    pv_vector_store(x + HALF, v.high);
}

PV_INLINE both unpack(pv_vector words)
{
    return pv_words_unpack(words);
}

PV_INLINE pv_vector pack(both v)
{
    return pv_words_pack(v.low, v.high);
}

PV_INLINE both plus(both a, both b)
{
    return (both){a.low + b.low, a.high + b.high};
}

/* The greater of both numbers of a word; none is negative. */
PV_INLINE pv_vector most(pv_vector a, pv_vector b)
{
#if defined(__x86_64__)
    typedef __typeof__(PV_X86_PASTE(PV_X86_BITS, set1, epi16)(0)) words;
    return (pv_vector)PV_X86_PASTE(PV_X86_BITS, max, epi16)((words)a, (words)b);
#else
    const pv_whole x = (pv_whole)a, y = (pv_whole)b, upper = (pv_whole)((pv_bits){0} + UINT32_C(0xffff0000));
    const pv_whole high = (x & upper) > (y & upper), low = (x << 16) > (y << 16);
    const pv_whole from_x = (high & upper) | (low & ~upper);
    return (pv_vector)((x & from_x) | (y & ~from_x));
#endif
}

/* Where the lower, or the upper, number of a word is 0. */
PV_INLINE pv_mask no_bits(pv_bits words, uint32_t of)
{
#if defined(__AVX512F__)
    return _mm512_testn_epi32_mask((__m512i)words, _mm512_set1_epi32((int)of));
#else
    return (pv_mask)((words & of) == 0);
#endif
}

typedef struct masks {
    pv_mask low, high;
} masks;

PV_INLINE masks none(pv_bits words)
{
    return (masks){no_bits(words, 0xffff), no_bits(words, UINT32_C(0xffff0000))};
}

/* v + w where the masks are set. */
PV_INLINE both add_where(masks m, both v, both w)
{
    return (both){pv_vector_choose(m.low, v.low + w.low, v.low),
                  pv_vector_choose(m.high, v.high + w.high, v.high)};
}

PV_INLINE both choose(masks m, both a, both b)
{
    return (both){pv_vector_choose(m.low, a.low, b.low), pv_vector_choose(m.high, a.high, b.high)};
}

/* Asks for what is read, or written, so many entries later: it comes from the third-level cache, and the
 * processor does not look as far ahead by itself. */
enum { AHEAD = 32, ROOM = 8 };
PV_INLINE void fetch(const float *x, int64_t line)
{
    __builtin_prefetch(x + AHEAD * line);
}

PV_INLINE void make_room(float *x, int64_t line)
{
    __builtin_prefetch(x + ROOM * line, 1);
}

/* Margins from a feature on. */
PV_INLINE pv_dws_values from(const pv_dws_values *values, int feature)
{
    return (pv_dws_values){values->row + feature, values->col + feature, values->all + feature};
}

/* ---- activation and pooling */

typedef struct recipe {
    both scale, shift;
    pv_vector keep;
    const uint16_t *bits; /* of the first entry's lower vector */
    int words;
} recipe;

static recipe recipe_of(const pv_dws_activation *how, int f, int k)
{
    const pv_vector one = pv_vector_splat(1), zero = {0};
    recipe r = {.scale = {one, one}, .shift = {zero, zero}, .keep = pv_vector_splat(how->keep)};
    r.words = f / PV_LANES;
    if (how->scale) r.scale = load(how->scale + k);
    if (how->shift) r.shift = load(how->shift + k);
    if (how->bits) r.bits = how->bits + k / PV_LANES;
    return r;
}

/* A vector of words of all entries of a sample. */
PV_INLINE void activate_sample(bool drop, const pv_dws_block *b, const recipe *how, const uint16_t *bits,
                               const float *restrict y, float *restrict x, pv_dws_values pooled)
{
    const pv_vector zero = {0};
    const recipe h = *how;
    const int64_t f = b->f, line = f / 2;
    for (int r = 0; r < b->rows; r++) {
        pv_vector of_row = zero;
        for (int c = 0; c < b->cols; c++, y += line, x += line) {
            fetch(y, line);
            both v = unpack(pv_vector_load(y));
            v.low = pv_vector_max(zero, v.low * h.scale.low + h.shift.low);
            v.high = pv_vector_max(zero, v.high * h.scale.high + h.shift.high);
            if (drop) {
                v.low = pv_vector_keep(pv_mask_of_bits(bits[0]), v.low * h.keep);
                v.high = pv_vector_keep(pv_mask_of_bits(bits[PARTS]), v.high * h.keep);
                bits += h.words;
            }
            const pv_vector word = pack(v);
            pv_vector_store(x, word);
            of_row = most(of_row, word);
            float *const col = pooled.col + c * f; /* as words, until all rows have passed */
            pv_vector_store(col, r == 0 ? word : most(word, pv_vector_load(col)));
        }
        store(pooled.row + r * f, unpack(of_row));
    }
    pv_vector of_all = zero;
    for (int c = 0; c < b->cols; c++) {
        const pv_vector word = pv_vector_load(pooled.col + c * f);
        of_all = most(of_all, word);
        store(pooled.col + c * f, unpack(word));
    }
    store(pooled.all, unpack(of_all));
}

static void activate(const pv_dws_block *b, const pv_dws_activation *how, const float *y, float *x,
                     const pv_dws_values *pooled)
{
    const int64_t entries = (int64_t)b->rows * b->cols;
    for (int s = 0; s < b->count; s++)
        for (int g = 0; g < b->f; g += GROUP)
            for (int i = 0; i < HALF; i += PV_LANES) {
                const recipe h = recipe_of(how, b->f, g + i);
                const int64_t at = s * entries * b->f / 2 + g / 2 + i;
                const pv_dws_values of = {pooled->row + (int64_t)s * b->rows * b->f + g + i,
                                          pooled->col + (int64_t)s * b->cols * b->f + g + i,
                                          pooled->all + (int64_t)s * b->f + g + i};
                if (how->bits)
                    activate_sample(true, b, &h, h.bits + s * entries * h.words, y + at, x + at, of);
                else
                    activate_sample(false, b, &h, NULL, y + at, x + at, of);
            }
}

/* ---- products, a strip of a row's columns at a time */

/* Features g.. of up to STRIP entries from `entry` on. */
PV_INLINE void multiply(bool own, const pv_dws_narrow_product *p, int64_t entry, int columns, int f, int g,
                        float *strip)
{
    if (p->w) {
        pv_amx_multiply(own, columns > SIDE ? 2 : 1, 2,
                        (pv_amx_product){.depth = p->terms / GROUP,
                                         .a = p->x + entry * (p->terms / 2),
                                         .a_row = p->terms / 2,
                                         .b = p->w + g,
                                         .b_row = f,
                                         .c = strip,
                                         .c_row = GROUP});
        return;
    }
    const float *x = p->few_x + entry * p->few;
    for (int c = 0; c < columns; c++, strip += GROUP)
        for (int i = 0; i < GROUP; i += PV_LANES) {
            pv_vector sum = {0};
            for (int t = 0; t < p->few; t++)
                sum += x[c * p->few + t] * pv_vector_load(p->few_w + t * f + g + i);
            pv_vector_store(strip + i, sum);
        }
}

/* ---- forward: with what is spread over entries, and the sums that batch norm wants */

typedef struct moments {
    both centre[PARTS], sum[PARTS], square[PARTS];
    int count;
} moments;

static void settle(moments *m, double *sum, double *square)
{
    const double count = m->count;
    for (int i = 0; i < PARTS; i++)
        for (int half = 0; half < 2; half++)
            for (int l = 0; l < PV_LANES; l++) {
                const double c = (double)(half ? m->centre[i].high : m->centre[i].low)[l],
                             s = (double)(half ? m->sum[i].high : m->sum[i].low)[l],
                             q = (double)(half ? m->square[i].high : m->square[i].low)[l];
                const int at = half * HALF + i * PV_LANES + l;
                sum[at] += s + count * c;
                square[at] += q + 2 * c * s + count * c * c;
            }
    m->count = 0;
}

PV_INLINE void combine_strip(int i, int columns, int64_t f, const float *strip, both row,
                             const float *restrict col, float *restrict y, moments *m)
{
    both sum = m->sum[i], square = m->square[i], centre = m->centre[i];
    for (int c = 0; c < columns; c++, col += f, y += f / 2) {
        const both v = plus(load(strip + c * GROUP + i * PV_LANES), plus(row, load(col)));
        if (m->count == 0 && c == 0) {
            centre = v;
            sum = square = (both){{0}, {0}};
        }
        const both d = {v.low - centre.low, v.high - centre.high};
        sum = plus(sum, d);
        square.low += d.low * d.low;
        square.high += d.high * d.high;
        make_room(y, f / 2);
        pv_vector_store(y, pack(v));
    }
    m->sum[i] = sum;
    m->square[i] = square;
    m->centre[i] = centre;
}

PV_INLINE void combine_group(bool own, const pv_dws_block *b, const pv_dws_narrow_product *product, int g,
                             pv_dws_values spread, float *y, double *sum, double *square)
{
    float strip[STRIP * GROUP];
    moments m = {.count = 0};
    int64_t entry = 0;
    for (int s = 0; s < b->count; s++, spread.col += (int64_t)b->cols * b->f) {
        for (int r = 0; r < b->rows; r++, spread.row += b->f)
            for (int c = 0; c < b->cols; c += STRIP) {
                const int columns = b->cols - c < STRIP ? b->cols - c : STRIP;
                multiply(own, product, entry, columns, b->f, g, strip);
                for (int i = 0; i < PARTS; i++) {
                    const int at = i * PV_LANES;
                    combine_strip(i, columns, b->f, strip, load(spread.row + at),
                                  spread.col + (int64_t)c * b->f + at, y + entry * b->f / 2 + at, &m);
                }
                m.count += columns;
                entry += columns;
                if (m.count < ENOUGH && r < b->rows - 1) continue;
                if (sum)
                    settle(&m, sum, square);
                else
                    m.count = 0;
            }
        m.count = 0;
    }
}

static void combine(const pv_dws_block *b, const pv_dws_narrow_product *product, const pv_dws_values *spread,
                    float *y, double *sum, double *square)
{
    for (int g = 0; g < b->f; g += GROUP) {
        double *const to_sum = sum ? sum + g : NULL, *const to_square = sum ? square + g : NULL;
        if (product->own)
            combine_group(true, b, product, g, from(spread, g), y + g / 2, to_sum, to_square);
        else
            combine_group(false, b, product, g, from(spread, g), y + g / 2, to_sum, to_square);
    }
}

/* ---- what holds a maximum */

static void find(const pv_dws_block *b, const float *x, float *best, int32_t *holder)
{
    const int entries = b->rows * b->cols;
    for (int s = 0; s < b->count; s++, best += b->f, holder += b->f, x += (int64_t)entries * b->f / 2)
        for (int g = 0; g < b->f; g += GROUP)
            for (int i = 0; i < HALF; i += PV_LANES) {
                float *const of[2] = {best + g + i, best + g + HALF + i};
                int32_t *const to[2] = {holder + g + i, holder + g + HALF + i};
                const pv_vector zero = {0};
                both left = load(best + g + i); /* 0 where there is nothing, or nothing more, to find */
                for (int l = 0; l < PV_LANES; l++)
                    to[0][l] = to[1][l] = -1;
                for (int e = 0; e < entries; e++) {
                    const both v = unpack(pv_vector_load(x + (int64_t)e * b->f / 2 + g / 2 + i));
                    const masks here = {pv_vector_equal(v.low, left.low) & pv_vector_greater(left.low, zero),
                                        pv_vector_equal(v.high, left.high) &
                                            pv_vector_greater(left.high, zero)};
                    const uint64_t bits[2] = {pv_mask_bits(here.low), pv_mask_bits(here.high)};
                    if (!(bits[0] | bits[1])) continue;
                    for (int half = 0; half < 2; half++)
                        for (int l = 0; l < PV_LANES; l++)
                            if (bits[half] >> l & 1) to[half][l] = e;
                    left = choose(here, (both){zero, zero}, left);
                }
                pv_vector_store(of[0], left.low);
                pv_vector_store(of[1], left.high);
            }
}

/* ---- backward: through batch norm */

typedef struct slopes {
    both a, b, c;
} slopes;

PV_INLINE void back_sample(bool wide, const pv_dws_block *b, const slopes *of, const float *restrict y,
                           const float *restrict dz, float *restrict dy, pv_dws_values pooled)
{
    const slopes s = *of;
    const int64_t f = b->f, line = f / 2;
    for (int r = 0; r < b->rows; r++) {
        both of_row = {{0}, {0}};
        for (int c = 0; c < b->cols; c++, y += line, dz += line, dy += wide ? f : line) {
            fetch(y, line);
            fetch(dz, line);
            const both of_y = unpack(pv_vector_load(y)), of_dz = unpack(pv_vector_load(dz));
            const both v = {s.a.low * of_dz.low + (s.b.low * of_y.low + s.c.low),
                            s.a.high * of_dz.high + (s.b.high * of_y.high + s.c.high)};
            if (wide)
                store(dy, v);
            else
                pv_vector_store(dy, pack(v));
            of_row = plus(of_row, v);
            store(pooled.col + c * f, r == 0 ? v : plus(v, load(pooled.col + c * f)));
        }
        store(pooled.row + r * f, of_row);
    }
    both of_all = load(pooled.col);
    for (int c = 1; c < b->cols; c++)
        of_all = plus(of_all, load(pooled.col + c * f));
    store(pooled.all, of_all);
}

static void normalise_back(const pv_dws_block *b, const pv_dws_norm_back *how, const float *y,
                           const float *dz, bool wide, float *dy, const pv_dws_values *pooled)
{
    const int64_t values = (int64_t)b->rows * b->cols * b->f;
    for (int s = 0; s < b->count; s++)
        for (int g = 0; g < b->f; g += GROUP)
            for (int i = 0; i < HALF; i += PV_LANES) {
                const int k = g + i;
                const both mean = load(how->mean + k);
                slopes of = {load(how->a + k), load(how->b + k), load(how->c + k)};
                of.c.low -= of.b.low * mean.low;
                of.c.high -= of.b.high * mean.high;
                const int64_t at = s * values / 2 + g / 2 + i;
                const pv_dws_values to = {pooled->row + (int64_t)s * b->rows * b->f + k,
                                          pooled->col + (int64_t)s * b->cols * b->f + k,
                                          pooled->all + (int64_t)s * b->f + k};
                if (wide)
                    back_sample(true, b, &of, y + at, dz + at, dy + s * values + k, to);
                else
                    back_sample(false, b, &of, y + at, dz + at, dy + at, to);
            }
}

/* ---- backward: through ReLU and pooling */

/* What the gate knows of a row, and the sums that it takes. */
typedef struct passage {
    both row[PARTS], mean[PARTS], sum[PARTS], dot[PARTS];
    pv_vector best[PARTS], keep; /* best as words */
} passage;

PV_INLINE void gate_strip(int i, bool collect, int columns, int64_t f, const float *strip,
                          const float *restrict x, const float *restrict y, const float *restrict best,
                          float *restrict col, float *restrict dx, passage *p)
{
    const both zero = {{0}, {0}};
    const pv_bits in_row = (pv_bits)p->best[i];
    both row = p->row[i], sum = p->sum[i], dot = p->dot[i];
    const both mean = p->mean[i];
    const pv_vector factor = p->keep;
    for (int c = 0; c < columns; c++, x += f / 2, dx += f / 2, best += f / 2, col += f) {
        const pv_bits word = (pv_bits)pv_vector_load(x);
        const pv_bits in_col = (pv_bits)pv_vector_load(best);
        const masks of_row = none(word ^ in_row), of_col = none(word ^ in_col), off = none(word);
        const both share = load(col);
        both g = add_where(of_row, load(strip + c * GROUP + i * PV_LANES), row);
        g = add_where(of_col, g, share);
        row = choose(of_row, zero, row);
        store(col, choose(of_col, zero, share));
        g = choose(off, zero, (both){g.low * factor, g.high * factor});
        make_room(dx, f / 2);
        pv_vector_store(dx, pack(g));
        if (!collect) continue;
        fetch(y, f / 2);
        const both of_y = unpack(pv_vector_load(y));
        y += f / 2;
        sum = plus(sum, g);
        dot.low += g.low * (of_y.low - mean.low);
        dot.high += g.high * (of_y.high - mean.high);
    }
    p->row[i] = row;
    p->sum[i] = sum;
    p->dot[i] = dot;
}

static void settle_back(passage *p, double *sum, double *dot)
{
    for (int i = 0; i < PARTS; i++) {
        for (int half = 0; half < 2; half++)
            for (int l = 0; l < PV_LANES; l++) {
                const int at = half * HALF + i * PV_LANES + l;
                sum[at] += (double)(half ? p->sum[i].high : p->sum[i].low)[l];
                dot[at] += (double)(half ? p->dot[i].high : p->dot[i].low)[l];
            }
        p->sum[i] = p->dot[i] = (both){{0}, {0}};
    }
}

/* Features g.. of the picks among some entries, 0 elsewhere; moves on to the first behind them. */
static void scatter(const pv_dws_picks *picks, int64_t *pick, int64_t entry, int columns, int f, int g,
                    float *strip)
{
    memset(strip, 0, sizeof *strip * (size_t)(columns * GROUP));
    for (; *pick < picks->count && picks->entry[*pick] < entry + columns; ++*pick)
        memcpy(strip + (picks->entry[*pick] - entry) * GROUP, picks->dy + *pick * f + g,
               sizeof *strip * GROUP);
}

PV_INLINE void gate_group(bool own, bool collect, const pv_dws_block *b, const pv_dws_narrow_product *product,
                          const pv_dws_picks *picks, const pv_dws_gate *gate, int g, pv_dws_values spread,
                          float *dx)
{
    const int f = b->f;
    pv_dws_values best = from(&gate->best, g / 2);
    float strip[STRIP * GROUP];
    int64_t entry = 0, pick = 0;
    passage p = {.keep = pv_vector_splat(gate->keep)};
    for (int i = 0; collect && i < PARTS; i++)
        p.mean[i] = load(gate->mean + g + i * PV_LANES);
    for (int s = 0; s < b->count; s++) {
        int pending = 0;
        for (int r = 0; r < b->rows; r++, spread.row += f, best.row += f / 2) {
            for (int i = 0; i < PARTS; i++) {
                p.row[i] = load(spread.row + i * PV_LANES);
                p.best[i] = pv_vector_load(best.row + i * PV_LANES);
            }
            for (int c = 0; c < b->cols; c += STRIP) {
                const int columns = b->cols - c < STRIP ? b->cols - c : STRIP;
                if (picks)
                    scatter(picks, &pick, entry, columns, f, g, strip);
                else
                    multiply(own, product, entry, columns, f, g, strip);
                for (int i = 0; i < PARTS; i++) {
                    const int64_t at = entry * f / 2 + g / 2 + i * PV_LANES,
                                  of = (int64_t)c * f + i * PV_LANES,
                                  of_words = (int64_t)c * f / 2 + i * PV_LANES;
                    gate_strip(i, collect, columns, f, strip, gate->x + at, collect ? gate->y + at : NULL,
                               best.col + of_words, spread.col + of, dx + at, &p);
                }
                entry += columns;
                pending += columns;
            }
            if (!collect || (pending < ENOUGH && r < b->rows - 1)) continue;
            settle_back(&p, gate->sum + g, gate->dot + g);
            pending = 0;
        }
        spread.col += (int64_t)b->cols * f;
        best.col += (int64_t)b->cols * f / 2;
    }
}

static void deactivate(const pv_dws_block *b, const pv_dws_narrow_product *product, const pv_dws_picks *picks,
                       const pv_dws_gate *gate, const pv_dws_values *spread, float *dx)
{
    for (int g = 0; g < b->f; g += GROUP) {
        const pv_dws_values of = from(spread, g);
        if (product->own && gate->sum)
            gate_group(true, true, b, product, picks, gate, g, of, dx);
        else if (product->own)
            gate_group(true, false, b, product, picks, gate, g, of, dx);
        else if (gate->sum)
            gate_group(false, true, b, product, picks, gate, g, of, dx);
        else
            gate_group(false, false, b, product, picks, gate, g, of, dx);
    }
}

const pv_dws_narrow_kernels PV_ISA_TABLE(pv_dws_narrow_kernels) = {
    .activate = activate,
    .combine = combine,
    .find = find,
    .normalise_back = normalise_back,
    .deactivate = deactivate,
};
#endif
