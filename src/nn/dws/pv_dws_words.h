/* What the sweeps over words share: a group of features as vectors, products, and what is asked for ahead.
 * Of float. */
#ifndef PV_DWS_WORDS_H
#define PV_DWS_WORDS_H

#include "nn/dws/pv_dws_narrow_kernels.h"

#include "nn/core/pv_words_kernels.h"
#include "simd/pv_amx.h"
#include "simd/pv_words.h"

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

#endif
