/* A few columns at once, as wide as the instruction set has it: for pv_assign_kernels.c alone. */
#ifndef PV_ASSIGN_LANES_H
#define PV_ASSIGN_LANES_H

#include "pv_assign_kernels.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 8 };
#elif defined(__AVX2__)
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif
_Static_assert(PV_ASSIGN_LANES % LANES == 0, "rows are whole vectors");

typedef double vec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
typedef int64_t mask __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec at(const double *p)
{
    return *(const vec *)p;
}

INLINE void put(double *p, vec v)
{
    *(vec *)p = v;
}

INLINE vec splat(double value)
{
    return (vec){0} + value;
}

/* Lane by lane: the smaller, the larger, and x where a < b, or where the lane's bit is set, else y.  equal_lanes: a bit for
 * every lane where they are equal. */
#if defined(__AVX512F__)
INLINE vec lesser(vec a, vec b)
{
    return (vec)_mm512_min_pd((__m512d)a, (__m512d)b);
}

INLINE vec greater(vec a, vec b)
{
    return (vec)_mm512_max_pd((__m512d)a, (__m512d)b);
}

INLINE vec where_less(vec a, vec b, vec x, vec y)
{
    const __mmask8 less = _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ);
    return (vec)_mm512_mask_blend_pd(less, (__m512d)y, (__m512d)x);
}

INLINE uint64_t equal_lanes(vec a, vec b)
{
    return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_EQ_OQ);
}

INLINE vec where_set(uint64_t bits, vec x, vec y)
{
    return (vec)_mm512_mask_blend_pd((__mmask8)bits, (__m512d)y, (__m512d)x);
}
#elif defined(__AVX2__)
INLINE vec lesser(vec a, vec b)
{
    return (vec)_mm256_min_pd((__m256d)a, (__m256d)b);
}

INLINE vec greater(vec a, vec b)
{
    return (vec)_mm256_max_pd((__m256d)a, (__m256d)b);
}

INLINE vec where_less(vec a, vec b, vec x, vec y)
{
    return (vec)_mm256_blendv_pd((__m256d)y, (__m256d)x, (__m256d)(a < b));
}

INLINE uint64_t equal_lanes(vec a, vec b)
{
    return (uint64_t)_mm256_movemask_pd((__m256d)(a == b));
}

INLINE vec where_set(uint64_t bits, vec x, vec y)
{
    const mask lanes = {1, 2, 4, 8};
    return (vec)_mm256_blendv_pd((__m256d)y, (__m256d)x, (__m256d)(((int64_t)bits & lanes) == lanes));
}
#elif defined(__SSE2__)
INLINE vec lesser(vec a, vec b)
{
    return (vec)_mm_min_pd((__m128d)a, (__m128d)b);
}

INLINE vec greater(vec a, vec b)
{
    return (vec)_mm_max_pd((__m128d)a, (__m128d)b);
}

INLINE vec where_less(vec a, vec b, vec x, vec y)
{
    const mask less = (mask)(a < b);
    return (vec)((less & (mask)x) | (~less & (mask)y));
}

INLINE uint64_t equal_lanes(vec a, vec b)
{
    return (uint64_t)_mm_movemask_pd((__m128d)(a == b));
}
#else
INLINE vec where_less(vec a, vec b, vec x, vec y)
{
    return (vec){a[0] < b[0] ? x[0] : y[0], a[1] < b[1] ? x[1] : y[1]};
}

INLINE vec lesser(vec a, vec b)
{
    return where_less(a, b, a, b);
}

INLINE vec greater(vec a, vec b)
{
    return where_less(a, b, b, a);
}

INLINE uint64_t equal_lanes(vec a, vec b)
{
    return (uint64_t)(a[0] == b[0]) | (uint64_t)(a[1] == b[1]) << 1;
}
#endif

#if !defined(__AVX2__) && !defined(__AVX512F__)
INLINE vec where_set(uint64_t bits, vec x, vec y)
{
    const mask lanes = {1, 2}, set = ((int64_t)bits & lanes) == lanes;
    return (vec)((set & (mask)x) | (~set & (mask)y));
}
#endif

/* Every lane with the one `1`, `2` or `4` away: so many steps reduce all lanes to one. */
#if defined(__AVX512F__)
#define SWAP_1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6)
#define SWAP_2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5)
#define SWAP_4(v) __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3)
#elif defined(__AVX2__)
#define SWAP_1(v) __builtin_shufflevector(v, v, 1, 0, 3, 2)
#define SWAP_2(v) __builtin_shufflevector(v, v, 2, 3, 0, 1)
#else
#define SWAP_1(v) __builtin_shufflevector(v, v, 1, 0)
#endif

/* The smallest of all lanes, in every lane. */
INLINE vec least_of_lanes(vec v)
{
#if defined(SWAP_4)
    v = lesser(v, SWAP_4(v));
#endif
#if defined(SWAP_2)
    v = lesser(v, SWAP_2(v));
#endif
    return lesser(v, SWAP_1(v));
}

/* The two smallest of two pairs, lane by lane. */
INLINE void merge(vec *first, vec *second, vec other_first, vec other_second)
{
    *second = lesser(greater(*first, other_first), lesser(*second, other_second));
    *first = lesser(*first, other_first);
}

/* The two smallest of all pairs, in every lane. */
INLINE void merge_lanes(vec *first, vec *second)
{
#if defined(SWAP_4)
    merge(first, second, SWAP_4(*first), SWAP_4(*second));
#endif
#if defined(SWAP_2)
    merge(first, second, SWAP_2(*first), SWAP_2(*second));
#endif
    merge(first, second, SWAP_1(*first), SWAP_1(*second));
}

#endif
