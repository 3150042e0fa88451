/* The sweeps over words forward. */
#include "nn/dws/pv_dws_narrow_kernels.h"

#ifdef PV_REAL_IS_DOUBLE
const pv_dws_narrow_kernels PV_ISA_TABLE(pv_dws_narrow_kernels) = {0};
#else

#include "pv_dws_words.h"

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
    _Alignas(64) float strip[STRIP * GROUP];
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

const pv_dws_narrow_kernels PV_ISA_TABLE(pv_dws_narrow_kernels) = {
    .activate = activate,
    .combine = combine,
    .find = find,
};
#endif
