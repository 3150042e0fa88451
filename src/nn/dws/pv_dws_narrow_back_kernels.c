/* The sweeps over words backward. */
#include "nn/dws/pv_dws_narrow_kernels.h"

#ifdef PV_REAL_IS_DOUBLE
const pv_dws_narrow_back_kernels PV_ISA_TABLE(pv_dws_narrow_back_kernels) = {0};
#else

#include "pv_dws_words.h"

#include <string.h>

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
    _Alignas(64) float strip[STRIP * GROUP];
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

const pv_dws_narrow_back_kernels PV_ISA_TABLE(pv_dws_narrow_back_kernels) = {
    .normalise_back = normalise_back,
    .deactivate = deactivate,
};
#endif
