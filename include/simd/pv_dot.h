/* Products of two operands in a lane: each lane holds a pair of 16-bit numbers, whose products are added to a
 * sum of 32 bits.  For kernel files (*_kernels.c) only. */
#ifndef PV_DOT_H
#define PV_DOT_H

#include "simd/pv_functions.h"

#include <stdbool.h>
#include <string.h>

/* How operands are kept and multiplied.  bfloat16: the upper half of a float, rounded to nearest; the
 * products are exact and the sum is a float, rounded after the upper pair and again after the lower.  int16:
 * whole numbers after a scale that the caller knows; sums are exact.  Those of x86 are the processor's own
 * instructions (AVX512-BF16, AVX512-VNNI), the others the same in plain arithmetic: int16 to the bit,
 * bfloat16 to the bit but for operands, and sums, below the smallest normal float, which the instruction
 * takes for 0. */
typedef enum pv_dot {
    PV_DOT_FLOAT32, /* no pairs: one float in a lane */
    PV_DOT_BFLOAT16,
    PV_DOT_BFLOAT16_X86,
    PV_DOT_INT16,
    PV_DOT_INT16_X86,
} pv_dot;

PV_INLINE bool pv_dot_is_whole(pv_dot kind)
{
    return kind == PV_DOT_INT16 || kind == PV_DOT_INT16_X86;
}

/* The operand at x in every lane. */
PV_INLINE pv_vector pv_dot_splat(pv_dot kind, const float *x)
{
    pv_word word;
    if (kind == PV_DOT_FLOAT32) return pv_vector_splat(*x);
    memcpy(&word, x, sizeof word);
    return (pv_vector)((pv_bits){0} + word);
}

/* Pairs of the lanes of `low` and `high`; `scale` is of whole numbers, which are to be below 2^15. */
PV_INLINE pv_vector pv_dot_pair(pv_dot kind, float scale, pv_vector low, pv_vector high)
{
    if (pv_dot_is_whole(kind)) {
        const pv_bits a = (pv_bits)(low * scale + PV_SHIFT), b = (pv_bits)(high * scale + PV_SHIFT);
        return (pv_vector)((a & 0xffff) | (b << 16));
    }
#if defined(__AVX512F__)
    if (kind == PV_DOT_BFLOAT16_X86) {
        const pv_bits turns = pv_lane_numbers | (pv_lane_numbers + PV_LANES) << 16;
        __m512i halves; /* all of low, then all of high */
        __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(low), "v"(high));
        return (pv_vector)_mm512_permutexvar_epi16((__m512i)turns, halves);
    }
#endif
    const pv_bits a = (pv_bits)low, b = (pv_bits)high;
    return (pv_vector)(((a + 0x7fff + ((a >> 16) & 1)) >> 16) |
                       ((b + 0x7fff + ((b >> 16) & 1)) & UINT32_C(0xffff0000)));
}

/* Of the pairs (a, b) of two vectors the pairs of both a, and of both b. */
PV_INLINE void pv_dot_regroup(pv_vector first, pv_vector second, pv_vector *a, pv_vector *b)
{
    const pv_bits x = (pv_bits)first, y = (pv_bits)second;
    *a = (pv_vector)((x & 0xffff) | (y << 16));
    *b = (pv_vector)((x >> 16) | (y & UINT32_C(0xffff0000)));
}

typedef int32_t pv_whole __attribute__((vector_size(PV_VECTOR_BYTES), may_alias));

PV_INLINE pv_vector pv_dot_whole(pv_vector sum, pv_vector a, pv_vector b)
{
#if defined(__x86_64__)
    typedef __typeof__(PV_X86_PASTE(PV_X86_BITS, set1, epi16)(0)) words;
    return (pv_vector)((pv_whole)sum + (pv_whole)PV_X86_PASTE(PV_X86_BITS, madd, epi16)((words)a, (words)b));
#else
    const pv_whole x = (pv_whole)a, y = (pv_whole)b;
    return (pv_vector)((pv_whole)sum + (x >> 16) * (y >> 16) +
                       ((pv_whole)((pv_bits)x << 16) >> 16) * ((pv_whole)((pv_bits)y << 16) >> 16));
#endif
}

PV_INLINE pv_vector pv_dot_bfloat16(pv_vector sum, pv_vector a, pv_vector b)
{
    const pv_bits x = (pv_bits)a, y = (pv_bits)b, upper = (pv_bits){0} + UINT32_C(0xffff0000);
    sum += (pv_vector)(x & upper) * (pv_vector)(y & upper);
    return sum + (pv_vector)(x << 16) * (pv_vector)(y << 16);
}

/* sum + a . b in every lane. */
PV_INLINE pv_vector pv_dot_add(pv_dot kind, pv_vector sum, pv_vector a, pv_vector b)
{
    if (kind == PV_DOT_FLOAT32) return sum + a * b;
#if defined(__AVX512F__)
    if (kind == PV_DOT_BFLOAT16_X86) {
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
        return sum;
    }
    if (kind == PV_DOT_INT16_X86) {
        __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
        return sum;
    }
#endif
    return pv_dot_is_whole(kind) ? pv_dot_whole(sum, a, b) : pv_dot_bfloat16(sum, a, b);
}

/* The sum as floats. */
PV_INLINE pv_vector pv_dot_sum(pv_dot kind, pv_vector sum)
{
    return pv_dot_is_whole(kind) ? __builtin_convertvector((pv_whole)sum, pv_vector) : sum;
}

#endif
