/* How the sweeps over a block of DWS go through its features: in panels of one or two vectors, or in stripes
 * of one; and the sums or maxima that they leave. */
#ifndef PV_DWS_PANELS_H
#define PV_DWS_PANELS_H

#include "nn/dws/pv_dws_kernels.h"
#include "simd/pv_tile.h"

/* Rows that pass together, which share what is read and written of the columns' margins.  Where vectors are
 * narrow that is little, and rows of a power of two of bytes push each other out of the first cache. */
#if defined(__AVX512F__)
enum { ROWS = 4 };
#else
enum { ROWS = 1 };
#endif
enum { GROUP = 32 }; /* entries summed in pv_real before double */
_Static_assert((int)ROWS <= (int)PV_TILE_ROWS, "a tile holds the sums of the rows");

/* What a stripe of features sees of margins. */
PV_INLINE pv_dws_values from(const pv_dws_values *values, int feature)
{
    return (pv_dws_values){values->row + feature, values->col + feature, values->all + feature};
}

PV_INLINE pv_vector join(bool max, pv_vector a, pv_vector b)
{
    if (max) return pv_vector_max(a, b);
    return a + b;
}

/* Asks for the cache line that vector v of some behind each other begins, if it begins one: the sweeps go
 * through more streams, of longer strides, than a processor follows by itself. */
PV_INLINE void fetch(int v, const pv_real *x)
{
    enum { LINE = 64 };
    if (v * PV_VECTOR_BYTES % LINE == 0) __builtin_prefetch(x);
}

PV_INLINE void join_columns(int vectors, int lanes, bool max, const pv_dws_block *b, const pv_real *col,
                            pv_real *all)
{
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        const int n = pv_tile_lanes(v, vectors, lanes);
        pv_vector best = pv_vector_load_first(n, col + v * PV_LANES);
        for (int c = 1; c < b->cols; c++)
            best = join(max, best, pv_vector_load_first(n, col + (int64_t)c * b->f + v * PV_LANES));
        pv_vector_store_first(n, all + v * PV_LANES, best);
    }
}

/* Calls PANEL(feature, vectors, lanes) for all features: two vectors at a time, then one, then a n of one. */
#define FOR_PANELS(f)                                                                                        \
    int k = 0;                                                                                               \
    for (; k + 2 * PV_LANES <= (f); k += 2 * PV_LANES)                                                       \
        PANEL(k, 2, PV_LANES);                                                                               \
    for (; k + PV_LANES <= (f); k += PV_LANES)                                                               \
        PANEL(k, 1, PV_LANES);                                                                               \
    if (k < (f)) PANEL(k, 1, (f)-k)

/* The same with STRIPE(feature, lanes), one vector at a time. */
#define FOR_STRIPES(f)                                                                                       \
    int k = 0;                                                                                               \
    for (; k + PV_LANES <= (f); k += PV_LANES)                                                               \
        STRIPE(k, PV_LANES);                                                                                 \
    if (k < (f)) STRIPE(k, (f)-k)

#endif
