/* Adds outer products of features to the values of pairs of units, a block of values at a time. */
#include "pv_match_kernels.h"

#include "simd/pv_vector.h"

/* A block stays in registers: ROWS x 2 vectors. */
#if defined(__AVX512F__)
enum { ROWS = 8 };
#else
enum { ROWS = 4 };
#endif
_Static_assert(PV_MATCH_LANES % (2 * PV_LANES) == 0, "blocks fill the rows");

/* `rows` of ROWS rows count; the others repeat the last. */
PV_INLINE void add_block(int rows, int stride, int features, const float *a, int terms,
                         const pv_match_term *term, int column, bool anew, float *values)
{
    const pv_vector zero = {0};
    pv_vector left[ROWS], right[ROWS];
    const float *mine[ROWS];
    for (int r = 0; r < ROWS; r++) {
        const int row = r < rows ? r : rows - 1;
        mine[r] = a + (int64_t)row * features;
        left[r] = anew ? zero : pv_vector_load(values + (int64_t)row * stride + column);
        right[r] = anew ? zero : pv_vector_load(values + (int64_t)row * stride + column + PV_LANES);
    }
    for (int t = 0; t < terms; t++) {
        const float *const theirs = term[t].theirs + column;
        const pv_vector one = term[t].factor * pv_vector_load(theirs),
                        two = term[t].factor * pv_vector_load(theirs + PV_LANES);
        for (int r = 0; r < ROWS; r++) {
            left[r] += mine[r][term[t].mine] * one;
            right[r] += mine[r][term[t].mine] * two;
        }
    }
    for (int r = 0; r < rows; r++) {
        pv_vector_store(values + (int64_t)r * stride + column, left[r]);
        pv_vector_store(values + (int64_t)r * stride + column + PV_LANES, right[r]);
    }
}

static void add(int n, int stride, int features, const float *a, int terms, const pv_match_term *term,
                bool anew, float *values)
{
    for (int column = 0; column < stride; column += 2 * PV_LANES)
        for (int i = 0; i < n; i += ROWS)
            if (n - i >= ROWS)
                add_block(ROWS, stride, features, a + (int64_t)i * features, terms, term, column, anew,
                          values + (int64_t)i * stride);
            else
                add_block(n - i, stride, features, a + (int64_t)i * features, terms, term, column, anew,
                          values + (int64_t)i * stride);
}

const pv_match_kernels PV_ISA_TABLE(pv_match_kernels) = {.add = add};
