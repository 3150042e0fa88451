/* Matrices of bfloat16 that are kept, in pairs, and their products with sums of float32 (simd/pv_amx.h); one
 * table an instruction set.
 *
 * A matrix [rows][width] of words has PV_WORDS_GROUP numbers in half as many words: word i of a group is the
 * pair of numbers i and i + 16.  Widths are multiples of a group.  What is summed over rows has two other
 * forms, with rows up to the next multiple of a group, those behind the last 0:
 *     pairs   [rows / 2][width]: word i of 16 rows holds rows i and i + 16 of a group of rows
 *     turned  [width][rows / 2]: the same transposed
 * Of what is multiplied row by row, reading goes on to the next multiple of 16 rows: there has to be memory,
 * whatever is in it.  `own`: by the processor's squares, between pv_narrow_kernels.begin and end; else in
 * plain arithmetic, with the same bits. */
#ifndef PV_WORDS_KERNELS_H
#define PV_WORDS_KERNELS_H

#include "base/pv_cpu.h"
#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_WORDS_GROUP = 32, PV_WORDS_SPARE = 16 /* rows behind the last that are read */ };

/* Numbers, rounded up to a whole group. */
static inline int64_t pv_words_whole(int64_t n)
{
    return (n + PV_WORDS_GROUP - 1) / PV_WORDS_GROUP * PV_WORDS_GROUP;
}

/* One term a b of a sum of products: a [rows][k], b [k][n] as pairs. */
typedef struct pv_words_term {
    const pv_real *a, *b;
    int k;
} pv_words_term;

typedef struct pv_words_kernels {
    /* n numbers, of whole groups, as words. */
    void (*pack)(int64_t n, const pv_real *x, pv_real *words);
    /* x [rows][width] of floats as pairs. */
    void (*pack_pairs)(int rows, int width, const pv_real *x, pv_real *pairs);
    /* Words [rows][width] as pairs, and turned. */
    void (*pair)(int64_t rows, int width, const pv_real *words, pv_real *pairs);
    void (*turn)(int64_t rows, int width, const pv_real *words, pv_real *turned);
    /* c[rows][n] = the sum of the terms, added to c if `add`. */
    void (*product)(bool own, int64_t rows, int n, int count, const pv_words_term *terms, bool add,
                    pv_real *c);
    /* c[m][n] += a^T b, a turned and b as pairs of `rows` rows; by way of words, however many they are. */
    void (*outer)(bool own, int m, int n, int64_t rows, const pv_real *turned, const pv_real *pairs,
                  pv_real *c);
    void (*outer_words)(bool own, int m, int n, int64_t rows, const pv_real *a, const pv_real *b, pv_real *c);
} pv_words_kernels;

PV_ISA_DECLARE(pv_words_kernels);

#endif
