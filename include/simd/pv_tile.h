/* Vectors of the instruction set a kernel file is compiled for, and the register tiles of matrix products made
 * of them.  For kernel files (*_kernels.c) only. */
#ifndef PV_TILE_H
#define PV_TILE_H

#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* The tile is what the registers of the instruction set hold. */
#if defined(__AVX512F__)
enum { PV_VECTOR_BYTES = 64, PV_TILE_ROWS = 8 };
#elif defined(__AVX2__)
enum { PV_VECTOR_BYTES = 32, PV_TILE_ROWS = 6 };
#else
enum { PV_VECTOR_BYTES = 16, PV_TILE_ROWS = 4 };
#endif
enum { PV_LANES = PV_VECTOR_BYTES / (int)sizeof(pv_real), PV_TILE_VECTORS = 2 };
typedef pv_real pv_vector __attribute__((vector_size(PV_VECTOR_BYTES), aligned(sizeof(pv_real)), may_alias));
typedef pv_vector pv_tile[PV_TILE_ROWS][PV_TILE_VECTORS];

#define PV_INLINE static inline __attribute__((always_inline))

PV_INLINE pv_vector pv_vector_load(const pv_real *x)
{
    return *(const pv_vector *)x;
}

PV_INLINE void pv_vector_store(pv_real *x, pv_vector v)
{
    *(pv_vector *)x = v;
}

/* What C has no operator for: comparisons give a mask, which chooses lane by lane. */
#ifdef PV_REAL_IS_DOUBLE
typedef int64_t pv_lane;
#else
typedef int32_t pv_lane;
#endif
typedef pv_lane pv_lanes __attribute__((vector_size(PV_VECTOR_BYTES)));

#if defined(__AVX512F__)
#ifdef PV_REAL_IS_DOUBLE
typedef __mmask8 pv_mask;
#define PV_COMPARE(a, b, how) _mm512_cmp_pd_mask((__m512d)(a), (__m512d)(b), how)
#define PV_BLEND(m, a, b)     (pv_vector) _mm512_mask_blend_pd(m, (__m512d)(b), (__m512d)(a))
#define PV_KEEP(m, a)         (pv_vector) _mm512_maskz_mov_pd(m, (__m512d)(a))
#define PV_MAX(a, b)          (pv_vector) _mm512_max_pd((__m512d)(a), (__m512d)(b))
#else
typedef __mmask16 pv_mask;
#define PV_COMPARE(a, b, how) _mm512_cmp_ps_mask((__m512)(a), (__m512)(b), how)
#define PV_BLEND(m, a, b)     (pv_vector) _mm512_mask_blend_ps(m, (__m512)(b), (__m512)(a))
#define PV_KEEP(m, a)         (pv_vector) _mm512_maskz_mov_ps(m, (__m512)(a))
#define PV_MAX(a, b)          (pv_vector) _mm512_max_ps((__m512)(a), (__m512)(b))
#endif
PV_INLINE pv_vector pv_vector_max(pv_vector a, pv_vector b)
{
    return PV_MAX(a, b);
}
PV_INLINE pv_mask pv_vector_greater(pv_vector a, pv_vector b)
{
    return PV_COMPARE(a, b, _CMP_GT_OQ);
}
PV_INLINE pv_mask pv_vector_equal(pv_vector a, pv_vector b)
{
    return PV_COMPARE(a, b, _CMP_EQ_OQ);
}
PV_INLINE pv_vector pv_vector_choose(pv_mask m, pv_vector a, pv_vector b)
{
    return PV_BLEND(m, a, b);
}
/* a where the mask is set, else 0. */
PV_INLINE pv_vector pv_vector_keep(pv_mask m, pv_vector a)
{
    return PV_KEEP(m, a);
}
#else
typedef pv_lanes pv_mask;
PV_INLINE pv_mask pv_vector_greater(pv_vector a, pv_vector b)
{
    return a > b;
}
PV_INLINE pv_mask pv_vector_equal(pv_vector a, pv_vector b)
{
    return a == b;
}
PV_INLINE pv_vector pv_vector_choose(pv_mask m, pv_vector a, pv_vector b)
{
    return (pv_vector)(((pv_lanes)a & m) | ((pv_lanes)b & ~m));
}
PV_INLINE pv_vector pv_vector_keep(pv_mask m, pv_vector a)
{
    return (pv_vector)((pv_lanes)a & m);
}
#if defined(__AVX2__) && defined(PV_REAL_IS_DOUBLE)
#define PV_MAX(a, b) (pv_vector) _mm256_max_pd((__m256d)(a), (__m256d)(b))
#elif defined(__AVX2__)
#define PV_MAX(a, b) (pv_vector) _mm256_max_ps((__m256)(a), (__m256)(b))
#elif defined(__x86_64__) && defined(PV_REAL_IS_DOUBLE)
#define PV_MAX(a, b) (pv_vector) _mm_max_pd((__m128d)(a), (__m128d)(b))
#elif defined(__x86_64__)
#define PV_MAX(a, b) (pv_vector) _mm_max_ps((__m128)(a), (__m128)(b))
#else
#define PV_MAX(a, b) pv_vector_choose(pv_vector_greater(a, b), a, b)
#endif
PV_INLINE pv_vector pv_vector_max(pv_vector a, pv_vector b)
{
    return PV_MAX(a, b);
}
#endif

/* Whether the mask is set anywhere. */
PV_INLINE bool pv_mask_any(pv_mask m)
{
#if defined(__AVX512F__)
    return m != 0;
#elif defined(__AVX2__)
    return !_mm256_testz_si256((__m256i)m, (__m256i)m);
#else
    pv_lane any = 0;
    for (int i = 0; i < PV_LANES; i++)
        any |= m[i];
    return any != 0;
#endif
}

/* The first n lanes; with n = PV_LANES constant, the whole vector.  Lanes not loaded are 0. */
#if defined(__AVX512F__)
PV_INLINE pv_vector pv_part_load(int n, const pv_real *x)
{
    if (n == PV_LANES) return pv_vector_load(x);
#ifdef PV_REAL_IS_DOUBLE
    return (pv_vector)_mm512_maskz_loadu_pd((pv_mask)((1u << n) - 1), x);
#else
    return (pv_vector)_mm512_maskz_loadu_ps((pv_mask)((1u << n) - 1), x);
#endif
}

PV_INLINE void pv_part_store(int n, pv_real *x, pv_vector v)
{
    if (n == PV_LANES) {
        pv_vector_store(x, v);
        return;
    }
#ifdef PV_REAL_IS_DOUBLE
    _mm512_mask_storeu_pd(x, (pv_mask)((1u << n) - 1), (__m512d)v);
#else
    _mm512_mask_storeu_ps(x, (pv_mask)((1u << n) - 1), (__m512)v);
#endif
}
#else
PV_INLINE pv_vector pv_part_load(int n, const pv_real *x)
{
    if (n == PV_LANES) return pv_vector_load(x);
    pv_vector v = {0};
    for (int i = 0; i < n; i++)
        v[i] = x[i];
    return v;
}

PV_INLINE void pv_part_store(int n, pv_real *x, pv_vector v)
{
    if (n == PV_LANES) {
        pv_vector_store(x, v);
        return;
    }
    for (int i = 0; i < n; i++)
        x[i] = v[i];
}
#endif

/* The first and the second halves of a and b, lane by lane in turn: a[0], b[0], a[1], b[1], ... */
PV_INLINE void pv_vector_interleave(pv_vector a, pv_vector b, pv_vector *first, pv_vector *second)
{
#if defined(__AVX512F__) && !defined(PV_REAL_IS_DOUBLE)
    *first = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *second = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif defined(__AVX512F__) || (defined(__AVX2__) && !defined(PV_REAL_IS_DOUBLE))
    *first = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    *second = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif defined(__AVX2__) || !defined(PV_REAL_IS_DOUBLE)
    *first = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    *second = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#else
    *first = __builtin_shufflevector(a, b, 0, 2);
    *second = __builtin_shufflevector(a, b, 1, 3);
#endif
}

/* y = x^T for a square of PV_LANES rows: each of log2(PV_LANES) rounds interleaves the rows of both halves. */
PV_INLINE void pv_tile_transpose(const pv_real *x, int64_t ldx, pv_real *y, int64_t ldy)
{
    pv_vector rows[PV_LANES], turned[PV_LANES];
#pragma GCC unroll 16
    for (int i = 0; i < PV_LANES; i++)
        rows[i] = pv_vector_load(x + i * ldx);
#pragma GCC unroll 4
    for (int round = 1; round < PV_LANES; round *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < PV_LANES / 2; i++)
            pv_vector_interleave(rows[i], rows[i + PV_LANES / 2], &turned[2 * i], &turned[2 * i + 1]);
#pragma GCC unroll 16
        for (int i = 0; i < PV_LANES; i++)
            rows[i] = turned[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < PV_LANES; i++)
        pv_vector_store(y + i * ldy, rows[i]);
}

/* sum[r][v] += the products over p of a[r * row + p * step] and vector v of b[p * ldb]: with `rows`, `vectors`
 * and `lanes` (of the last vector) constant, the sums stay in registers. */
PV_INLINE void pv_tile_multiply(int rows, int vectors, int lanes, int64_t k, const pv_real *a, int64_t row,
                                int64_t step, const pv_real *b, int64_t ldb, pv_tile sum)
{
    for (int64_t p = 0; p < k; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            const pv_vector of_b =
                pv_part_load(v == vectors - 1 ? lanes : PV_LANES, b + p * ldb + v * PV_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                sum[r][v] += a[r * row + p * step] * of_b;
        }
}

#endif
