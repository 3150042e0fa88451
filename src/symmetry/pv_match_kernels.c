#include "pv_match_kernels.h"

/* A block of the values stays in registers: ROWS x 2 vectors. */
#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 8 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 4 };
#else
enum { LANES = 4, ROWS = 4 };
#endif
_Static_assert(PV_MATCH_LANES % (2 * LANES) == 0, "blocks fill the rows");

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static inline __attribute__((always_inline)) vec at(const float *p)
{
    return *(const vec *)p;
}

static inline __attribute__((always_inline)) void put(float *p, vec v)
{
    *(vec *)p = v;
}

/* `rows` of ROWS rows count; the others repeat the last. */
static inline __attribute__((always_inline)) void add_block(int rows, int stride, int features,
                                                            const float *a, int terms,
                                                            const pv_match_term *term, int column, bool anew,
                                                            float *values)
{
    const vec zero = {0};
    vec left[ROWS], right[ROWS];
    const float *mine[ROWS];
    for (int r = 0; r < ROWS; r++) {
        const int row = r < rows ? r : rows - 1;
        mine[r] = a + (int64_t)row * features;
        left[r] = anew ? zero : at(values + (int64_t)row * stride + column);
        right[r] = anew ? zero : at(values + (int64_t)row * stride + column + LANES);
    }
    for (int t = 0; t < terms; t++) {
        const float *const theirs = term[t].theirs + column;
        const vec one = term[t].factor * at(theirs), two = term[t].factor * at(theirs + LANES);
        for (int r = 0; r < ROWS; r++) {
            left[r] += mine[r][term[t].mine] * one;
            right[r] += mine[r][term[t].mine] * two;
        }
    }
    for (int r = 0; r < rows; r++) {
        put(values + (int64_t)r * stride + column, left[r]);
        put(values + (int64_t)r * stride + column + LANES, right[r]);
    }
}

static void add(int n, int stride, int features, const float *a, int terms, const pv_match_term *term,
                bool anew, float *values)
{
    for (int column = 0; column < stride; column += 2 * LANES)
        for (int i = 0; i < n; i += ROWS)
            if (n - i >= ROWS)
                add_block(ROWS, stride, features, a + (int64_t)i * features, terms, term, column, anew,
                          values + (int64_t)i * stride);
            else
                add_block(n - i, stride, features, a + (int64_t)i * features, terms, term, column, anew,
                          values + (int64_t)i * stride);
}

const pv_match_kernels PV_ISA_TABLE(pv_match_kernels) = {.add = add};
