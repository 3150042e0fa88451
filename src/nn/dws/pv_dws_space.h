/* The shape of a weight space, and how features on it are held.
 *
 * An INR with matrices d_0..d_L has 2L tensors: weights 0..L-1, then biases.  Each is seen as a table
 * [rows][cols] with f features an entry:
 *     weight 0        [d_1][d_0]       held transposed: a sequence of d_1 neurons with (d_0, f) channels
 *     weight i        [d_i][d_{i+1}]
 *     weight L-1      [d_{L-1}][d_L]   a sequence of d_{L-1} neurons with (d_L, f) channels
 *     bias i          [d_{i+1}][1]
 *     bias L-1        [1][d_L]         no symmetry acts on it
 * A feature set is one vector, tensor after tensor, each [batch][rows][cols][f]: whole-set operations see
 * [batch * P][f].  The margins of all tensors are held the same way. */
#ifndef PV_DWS_SPACE_H
#define PV_DWS_SPACE_H

#include "base/pv_status.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* The table of a tensor, or one of its margins: what is left of [rows][cols] when an axis, or both, are
 * pooled. */
typedef enum pv_dws_margin {
    PV_MARGIN_FULL, /* [rows][cols], the table itself */
    PV_MARGIN_ROW,  /* [rows]: pooled over, or spread along, columns */
    PV_MARGIN_COL,  /* [cols] */
    PV_MARGIN_ALL,  /* one */
    PV_MARGIN_COUNT
} pv_dws_margin;

enum { PV_DWS_MAX_LAYERS = 16 };

typedef struct pv_dws_space {
    int layers, tensors; /* L, 2L */
    int dims[PV_DWS_MAX_LAYERS + 1];
    int rows[2 * PV_DWS_MAX_LAYERS], cols[2 * PV_DWS_MAX_LAYERS];
    int64_t offset[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT]; /* entries of the tensors before */
    int64_t total[PV_MARGIN_COUNT];                         /* entries of all; total[FULL] = P */
} pv_dws_space;

/* Errors: PV_ERR_CONFIG (fewer than 2 or too many layers).  Differs: the published code refuses
 * two matrices; the same maps, with matrix 0 both first and next to last, are equivariant there too. */
pv_status pv_dws_space_set(pv_dws_space *space, const int *dims, int layers);

/* Entries of one margin of one tensor. */
static inline int64_t pv_dws_entries(const pv_dws_space *space, int tensor, pv_dws_margin margin)
{
    const int64_t rows = space->rows[tensor], cols = space->cols[tensor];
    return (margin == PV_MARGIN_FULL || margin == PV_MARGIN_ROW ? rows : 1) *
           (margin == PV_MARGIN_FULL || margin == PV_MARGIN_COL ? cols : 1);
}

/* Where sample `sample` of a tensor's margin begins in a set of `batch` samples with f features. */
static inline int64_t pv_dws_at(const pv_dws_space *space, int tensor, pv_dws_margin margin, int batch,
                                int sample, int f)
{
    return (space->offset[tensor][margin] * batch + sample * pv_dws_entries(space, tensor, margin)) * f;
}

/* Between rows [batch][P] in state_dict order (weight [out][in], bias) and a set with one feature. */
void pv_dws_enter(const pv_dws_space *space, int batch, const pv_real *rows, pv_real *set);
void pv_dws_leave(const pv_dws_space *space, int batch, const pv_real *set, pv_real *rows);

/* How many samples with f features make a tile: a set that stays in a second-level cache while a layer works
 * on it. */
int pv_dws_tile(const pv_dws_space *space, int f);

#endif
