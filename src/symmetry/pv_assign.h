/* The linear assignment problem, dense: shortest augmenting paths (Jonker, Volgenant 1987; Crouse 2016). */
#ifndef PV_ASSIGN_H
#define PV_ASSIGN_H

#include "base/pv_mem.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_ASSIGN_MAX = 1024 };

typedef struct pv_assign pv_assign; /* workspace for problems of up to n_max rows */

/* Owner: the memory, which may have failed afterwards. */
pv_assign *pv_assign_new(int n_max, pv_memory *memory);

/* Where a solution is begun, and what it came to: an assignment and the prices (dual variables) of the
 * columns.  Any prices will do; those of a similar problem make it quick.  Owned by the caller. */
typedef struct pv_assign_start {
    bool is_set;      /* else it begins from nothing */
    int32_t *columns; /* [n] a permutation */
    double *price;    /* [n] */
} pv_assign_start;

/* Finds the permutation start->columns that maximises the sum of value[row][columns[row]], or with `sizes` of
 * the absolute values.  Ties and negative values are fine; of several optima the one found depends on nothing
 * but the values and the start.  0 <= n <= n_max.
 * Shapes   value [n][stride], of which the first n columns count.
 * Returns the sum (in double); NaN, and the start as it was, if a value is not finite. */
double pv_assign_max(pv_assign *work, int n, const float *value, int stride, bool sizes,
                     pv_assign_start *start);

/* From nothing, of double values, all finite: exact to their rounding.  Shapes: value [n][n]; columns [n]. */
double pv_assign_max_f64(pv_assign *work, int n, const double *value, int32_t *columns);

#endif
