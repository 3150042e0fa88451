/* Pairs of bfloat16 that floats are kept as: a word holds one number in its lower half and one in its upper.
 * For kernel files (*_kernels.c) only, of float. */
#ifndef PV_WORDS_H
#define PV_WORDS_H

#include "simd/pv_dot.h"

/* The two vectors that a vector of words is. */
typedef struct pv_both {
    pv_vector low, high;
} pv_both;

PV_INLINE pv_both pv_words_unpack(pv_vector words)
{
    const pv_bits w = (pv_bits)words;
    return (pv_both){(pv_vector)(w << 16), (pv_vector)(w & UINT32_C(0xffff0000))};
}

/* Rounded to nearest; what is as near to two goes away from 0, for that takes less than half the
 * instructions of going to the even one (pv_dot.h), and happens to one number in 65 536. */
PV_INLINE pv_vector pv_words_pack(pv_vector low, pv_vector high)
{
    const pv_bits a = (pv_bits)low + 0x8000, b = (pv_bits)high + 0x8000;
    return (pv_vector)((a >> 16) | (b & UINT32_C(0xffff0000)));
}

#endif
