/* Vectors of pv_real as wide as the instruction set that a kernel file is compiled for, by GNU's vector
 * extensions; here is what C has no operator for.  For kernel files (*_kernels.c) only. */
#ifndef PV_VECTOR_H
#define PV_VECTOR_H

#include "simd/pv_real.h"

#include <math.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define PV_INLINE static inline __attribute__((always_inline))

#ifdef PV_REAL_IS_DOUBLE
#define PV_REAL_BYTES  8
#define PV_SUFFIX      pd
#define PV_MASK_SUFFIX pd_mask
typedef int64_t pv_integer;
typedef uint64_t pv_word;
#else
#define PV_REAL_BYTES  4
#define PV_SUFFIX      ps
#define PV_MASK_SUFFIX ps_mask
typedef int32_t pv_integer;
typedef uint32_t pv_word;
#endif

/* PV_X86(max) is the intrinsic of that name for these vectors, like _mm512_max_ps. */
#define PV_X86_PASTE_(bits, name, suffix) _mm##bits##_##name##_##suffix
#define PV_X86_PASTE(bits, name, suffix)  PV_X86_PASTE_(bits, name, suffix)
#define PV_X86(name)                      PV_X86_PASTE(PV_X86_BITS, name, PV_SUFFIX)
#define PV_X86_MASK(name)                 PV_X86_PASTE(PV_X86_BITS, name, PV_MASK_SUFFIX)

#if defined(__AVX512F__)
#define PV_VECTOR_BYTES 64
#define PV_X86_BITS     512
#elif defined(__AVX2__)
#define PV_VECTOR_BYTES 32
#define PV_X86_BITS     256
#else
#define PV_VECTOR_BYTES 16
#define PV_X86_BITS
#endif
#define PV_LANES (PV_VECTOR_BYTES / PV_REAL_BYTES)

typedef pv_real pv_vector __attribute__((vector_size(PV_VECTOR_BYTES), may_alias));
typedef pv_vector pv_vector_anywhere __attribute__((aligned(PV_REAL_BYTES)));
/* The bits of a vector's numbers, or as many whole ones. */
typedef pv_word pv_bits __attribute__((vector_size(PV_VECTOR_BYTES), may_alias));

/* What a comparison gives: a bit, or a word of ones, for every lane where it holds. */
#if defined(__AVX512F__) && defined(PV_REAL_IS_DOUBLE)
typedef __mmask8 pv_mask;
#elif defined(__AVX512F__)
typedef __mmask16 pv_mask;
#else
typedef pv_integer pv_mask __attribute__((vector_size(PV_VECTOR_BYTES), may_alias));
#endif
#if defined(__x86_64__)
typedef __typeof__(PV_X86(setzero)()) pv_x86; /* __m512d, ... __m128 */
#endif

/* ---- between memory and registers ---- */

PV_INLINE pv_vector pv_vector_splat(pv_real value)
{
    return value - (pv_vector){0}; /* not +, which would make 0 of -0 */
}

PV_INLINE pv_vector pv_vector_load(const pv_real *x)
{
    return *(const pv_vector_anywhere *)x;
}

PV_INLINE void pv_vector_store(pv_real *x, pv_vector v)
{
    *(pv_vector_anywhere *)x = v;
}

/* The vector at x, to be changed where it lies. */
PV_INLINE pv_vector_anywhere *pv_vector_at(pv_real *x)
{
    return (pv_vector_anywhere *)x;
}

/* The same where x is a multiple of a vector's size: narrow instruction sets then read it as an operand. */
PV_INLINE pv_vector *pv_vector_aligned(pv_real *x)
{
    return (pv_vector *)x;
}

PV_INLINE pv_vector pv_vector_load_aligned(const pv_real *x)
{
    return *(const pv_vector *)x;
}

/* The first n lanes; with n = PV_LANES constant, the whole vector.  Lanes not loaded are 0. */
PV_INLINE pv_vector pv_vector_load_first(int n, const pv_real *x)
{
    if (n == PV_LANES) return pv_vector_load(x);
#if defined(__AVX512F__)
    return (pv_vector)PV_X86(maskz_loadu)((pv_mask)((1u << n) - 1), x);
#else
    pv_vector v = {0};
    for (int i = 0; i < n; i++)
        v[i] = x[i];
    return v;
#endif
}

PV_INLINE void pv_vector_store_first(int n, pv_real *x, pv_vector v)
{
    if (n == PV_LANES) {
        pv_vector_store(x, v);
        return;
    }
#if defined(__AVX512F__)
    PV_X86(mask_storeu)(x, (pv_mask)((1u << n) - 1), (pv_x86)v);
#else
    for (int i = 0; i < n; i++)
        x[i] = v[i];
#endif
}

/* ---- comparisons, and what is chosen by them ---- */

#if defined(__AVX512F__)
#define PV_COMPARE(a, operator, b, code) PV_X86_MASK(cmp)((pv_x86)(a), (pv_x86)(b), code)
#else
#define PV_COMPARE(a, operator, b, code) ((pv_mask)((a) operator(b)))
#endif

PV_INLINE pv_mask pv_vector_less(pv_vector a, pv_vector b)
{
    return PV_COMPARE(a, <, b, _CMP_LT_OQ);
}

PV_INLINE pv_mask pv_vector_greater(pv_vector a, pv_vector b)
{
    return PV_COMPARE(a, >, b, _CMP_GT_OQ);
}

PV_INLINE pv_mask pv_vector_equal(pv_vector a, pv_vector b)
{
    return PV_COMPARE(a, ==, b, _CMP_EQ_OQ);
}

/* a where the mask is set, else b. */
PV_INLINE pv_vector pv_vector_choose(pv_mask m, pv_vector a, pv_vector b)
{
#if defined(__AVX512F__)
    return (pv_vector)PV_X86(mask_blend)(m, (pv_x86)b, (pv_x86)a);
#elif defined(__AVX2__)
    return (pv_vector)PV_X86(blendv)((pv_x86)b, (pv_x86)a, (pv_x86)m);
#else
    return (pv_vector)(((pv_mask)a & m) | ((pv_mask)b & ~m));
#endif
}

/* a where the mask is set, else 0. */
PV_INLINE pv_vector pv_vector_keep(pv_mask m, pv_vector a)
{
#if defined(__AVX512F__)
    return (pv_vector)PV_X86(maskz_mov)(m, (pv_x86)a);
#else
    return (pv_vector)((pv_mask)a & m);
#endif
}

/* a < b ? a : b and a > b ? a : b: of numbers that are no number, and of two zeros, b. */
PV_INLINE pv_vector pv_vector_min(pv_vector a, pv_vector b)
{
#if defined(__x86_64__)
    return (pv_vector)PV_X86(min)((pv_x86)a, (pv_x86)b);
#else
    return pv_vector_choose(pv_vector_less(a, b), a, b);
#endif
}

PV_INLINE pv_vector pv_vector_max(pv_vector a, pv_vector b)
{
#if defined(__x86_64__)
    return (pv_vector)PV_X86(max)((pv_x86)a, (pv_x86)b);
#else
    return pv_vector_choose(pv_vector_greater(a, b), a, b);
#endif
}

/* 0, 1, 2, ... */
#if PV_LANES == 16
static const pv_bits pv_lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif PV_LANES == 8
static const pv_bits pv_lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7};
#elif PV_LANES == 4
static const pv_bits pv_lane_numbers = {0, 1, 2, 3};
#else
static const pv_bits pv_lane_numbers = {0, 1};
#endif

/* Lane i as bit i, and back. */
PV_INLINE uint64_t pv_mask_bits(pv_mask m)
{
#if defined(__AVX512F__)
    return m;
#elif defined(__x86_64__)
    return (uint64_t)PV_X86(movemask)((pv_x86)m);
#else
    uint64_t bits = 0;
    for (int i = 0; i < PV_LANES; i++)
        bits |= (uint64_t)(m[i] & 1) << i;
    return bits;
#endif
}

PV_INLINE pv_mask pv_mask_of_bits(uint64_t bits)
{
#if defined(__AVX512F__)
    return (pv_mask)bits;
#else
    const pv_bits lane = ((pv_bits){0} + 1) << pv_lane_numbers;
    return (pv_mask)(((pv_word)bits & lane) == lane);
#endif
}

/* ---- functions of numbers ---- */

/* v as it is, but taken for changed: a product is rounded before it is added, and is not made twice into
 * one. */
#if defined(__x86_64__)
#define PV_OPAQUE(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define PV_OPAQUE(v) __asm__("" : "+w"(v))
#else
#define PV_OPAQUE(v) __asm__("" : "+m"(v))
#endif

/* From here on what is below the smallest normal number (1.2e-38 of floats) is taken for 0, and becomes 0:
 * processors take a hundred cycles and more for a product with such numbers.  Returns the mode before, for
 * pv_mode_restore().  What is computed between the two is to be in a function that is not inlined: compilers
 * do not know that it depends on the mode. */
PV_INLINE unsigned pv_mode_without_denormals(void)
{
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr(), flush_to_zero = 0x8000, denormals_are_zero = 0x40;
    _mm_setcsr(before | flush_to_zero | denormals_are_zero);
    return before;
#else
    return 0;
#endif
}

PV_INLINE void pv_mode_restore(unsigned before)
{
#if defined(__x86_64__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

PV_INLINE pv_vector pv_vector_sqrt(pv_vector v)
{
#if defined(__x86_64__)
    return (pv_vector)PV_X86(sqrt)((pv_x86)v);
#else
    for (int i = 0; i < PV_LANES; i++)
        v[i] = PV_REAL_BYTES == 4 ? (pv_real)sqrtf((float)v[i]) : (pv_real)sqrt((double)v[i]);
    return v;
#endif
}

/* |v|, but -0 stays. */
PV_INLINE pv_vector pv_vector_abs(pv_vector v)
{
    return pv_vector_choose(pv_vector_less(v, (pv_vector){0}), -v, v);
}

/* ---- lanes moved, and summed ---- */

/* Lane index[i] of a and b, one behind the other. */
PV_INLINE pv_vector pv_vector_shuffle(pv_vector a, pv_vector b, pv_bits index)
{
#if defined(__clang__)
    pv_vector v = a;
    for (int i = 0; i < PV_LANES; i++)
        v[i] = index[i] < PV_LANES ? a[index[i]] : b[index[i] - PV_LANES];
    return v;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

/* Every lane with the one `by` before or behind it, a power of two: so many swaps bring all lanes
 * together. */
PV_INLINE pv_vector pv_vector_swap(pv_vector v, int by)
{
    return pv_vector_shuffle(v, v, pv_lane_numbers ^ (pv_word)by);
}

/* Lane i + by, modulo their number. */
PV_INLINE pv_vector pv_vector_rotate(pv_vector v, int by)
{
    return pv_vector_shuffle(v, v, (pv_lane_numbers + (pv_word)by) & (PV_LANES - 1));
}

/* In every lane the sum of those that are `apart` from each other, a power of two. */
PV_INLINE pv_vector pv_vector_fold(pv_vector v, int apart)
{
    for (int by = apart; by < PV_LANES; by *= 2)
        v += pv_vector_rotate(v, by);
    return v;
}

/* In every lane the sum of all. */
PV_INLINE pv_vector pv_vector_total(pv_vector v)
{
#pragma GCC unroll 4
    for (int by = PV_LANES / 2; by >= 1; by /= 2)
        v += pv_vector_rotate(v, by);
    return v;
}

/* row[k] and row[k + by] into one, for k below `by`: in the lanes of each the sums of two `by` apart. */
PV_INLINE void pv_vector_fold_rows(pv_vector *row, int by)
{
    const pv_bits behind = (pv_lane_numbers & (pv_word)by) * (pv_word)(PV_LANES / by);
    for (int k = 0; k < by; k++)
        row[k] = pv_vector_shuffle(row[k], row[k + by], pv_lane_numbers + behind) +
                 pv_vector_shuffle(row[k], row[k + by], (pv_lane_numbers ^ (pv_word)by) + behind);
}

/* In lane i the sum of row[i]'s lanes; the PV_LANES rows are consumed.  Written out, not as a loop, so that
 * the compiler keeps the rows in registers. */
PV_INLINE pv_vector pv_vector_sums(pv_vector *row)
{
    if (PV_LANES > 8) pv_vector_fold_rows(row, 8);
    if (PV_LANES > 4) pv_vector_fold_rows(row, 4);
    if (PV_LANES > 2) pv_vector_fold_rows(row, 2);
    pv_vector_fold_rows(row, 1);
    return row[0];
}

/* The first and the second halves of a and b, lane by lane in turn: a[0], b[0], a[1], b[1], ... */
PV_INLINE void pv_vector_interleave(pv_vector a, pv_vector b, pv_vector *first, pv_vector *second)
{
    const pv_bits index = (pv_lane_numbers >> 1) + (pv_lane_numbers & 1) * PV_LANES;
    *first = pv_vector_shuffle(a, b, index);
    *second = pv_vector_shuffle(a, b, index + PV_LANES / 2);
}

#endif
