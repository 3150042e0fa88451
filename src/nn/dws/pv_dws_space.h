/* The shape of a weight space, how features on it are held, and their margins.
 *
 * An INR with matrices d_0..d_L has 2L tensors: weights 0..L-1, then biases.  Each is seen as a table
 * [rows][cols] with f features an entry:
 *     weight 0        [d_1][d_0]       held transposed: a sequence of d_1 neurons with (d_0, f) channels
 *     weight i        [d_i][d_{i+1}]
 *     weight L-1      [d_{L-1}][d_L]   a sequence of d_{L-1} neurons with (d_L, f) channels
 *     bias i          [d_{i+1}][1], or, where a model reads more of a bias, so many columns
 *     bias L-1        [1][d_L]         no symmetry acts on it
 * A feature set is one vector, tensor after tensor, each [batch][rows][cols][f]: whole-set operations see
 * [batch * P][f].  The margins of all tensors are held the same way. */
#ifndef PV_DWS_SPACE_H
#define PV_DWS_SPACE_H

#include "nn/core/pv_nn_params.h"
#include "nn/dws/pv_dws_kernels.h"
#include "nn/dws/pv_dws_opts.h"

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

/* numbers: of a hidden bias.  Errors: PV_ERR_CONFIG (fewer than 2 or too many layers).  Differs: the
 * published code refuses two matrices; the same maps, with matrix 0 both first and next to last, are
 * equivariant there too. */
pv_status pv_dws_space_set(pv_dws_space *space, const int *dims, int layers, int numbers);

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

/* How many samples with f features make a tile: a set, of floats or mostly of words, that stays in a
 * second-level cache while a layer works on it. */
int pv_dws_tile(const pv_dws_space *space, int f, bool words);

/* The margins of the tables of a feature set: pooled from it, or spread over it.
 *
 * The two directions are adjoint.  A DWS layer pools its input with the model's reduction and spreads sums
 * over its output; backward pools sums of the output's gradient and spreads the input's by the adjoint of the
 * reduction.  So nothing broadcast is ever held at full size.  `count` is always the number of samples that
 * the set holds. */
typedef struct pv_dws_margins {
    const pv_dws_space *space;
    const pv_dws_kernels *kernels;
    const pv_dws_back_kernels *back;
    int features;
    pv_pooling reduction;
    pv_real *pooled[PV_MARGIN_COUNT]; /* by margin, laid out as a feature set; FULL is NULL */
    pv_real *spread[PV_MARGIN_COUNT];
} pv_dws_margins;

/* For sets of at most max_count samples. */
void pv_dws_margins_new(pv_dws_margins *margins, const pv_dws_space *space, int features,
                        pv_pooling reduction, int max_count, pv_memory *memory);

/* One tensor of a set: where it begins in there, and its margins. */
typedef struct pv_dws_part {
    pv_dws_block block;
    int64_t at;
    pv_dws_values pooled, spread;
} pv_dws_part;

pv_dws_part pv_dws_part_of(const pv_dws_margins *margins, int count, int tensor);

/* The values of one margin of a tensor: in `set` when the margin is FULL. */
const pv_real *pv_dws_pooled(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                             const pv_real *set);
/* Where to add what shall be spread; in `set` when the margin is FULL. */
pv_real *pv_dws_spread_to(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                          pv_real *set);
/* Nothing is to be spread yet. */
void pv_dws_margins_clear(pv_dws_margins *margins, int count);

/* Pools one tensor of x, or all.  x is a whole set. */
void pv_dws_margins_pool_tensor(pv_dws_margins *margins, int count, int tensor, const pv_real *x);
void pv_dws_margins_pool(pv_dws_margins *margins, int count, const pv_real *x);
/* Makes a tensor of x from y, and pools it.  x and y are whole sets. */
void pv_dws_margins_activate(pv_dws_margins *margins, int count, int tensor, const pv_dws_activation *how,
                             const pv_real *y, pv_real *x);
/* Pools a tensor whose entries are 0 but for the picks; reduction sum. */
void pv_dws_margins_pool_picks(pv_dws_margins *margins, int count, int tensor, const pv_dws_picks *picks);

/* Makes the spread gradients of a tensor ready for pv_dws_back_kernels.deactivate: `all` goes into `col`, a
 * mean gives shares. */
void pv_dws_settle(const pv_dws_margins *margins, const pv_dws_part *part);

#endif
