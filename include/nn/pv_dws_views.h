/* The coarser views of a feature set: pooled from it, or spread over it.
 *
 * The two directions are adjoint.  A DWS layer pools its input with the model's reduction and spreads sums
 * over its output; backward pools sums of the output's gradient and spreads the input's by the adjoint of the
 * reduction.  So nothing broadcast is ever held at full size. */
#ifndef PV_DWS_VIEWS_H
#define PV_DWS_VIEWS_H

#include "nn/pv_dws_space.h"
#include "nn/pv_model_opts.h"
#include "nn/pv_nn_kernels.h"
#include "nn/pv_nn_memory.h"

#include <stdbool.h>

typedef struct pv_dws_views {
    const pv_dws_space *space;
    const pv_nn_kernels *kernels;
    int features;
    pv_reduction reduction;
    bool need[2 * PV_DWS_MAX_LAYERS][PV_VIEW_COUNT]; /* which views of which tensors are read or written */
    pv_real *pooled[PV_VIEW_COUNT];                  /* by view, laid out as a feature set; FULL is NULL */
    pv_real *spread[PV_VIEW_COUNT];
    int32_t *arg[PV_VIEW_COUNT]; /* max: which entry along the pooled axis; ALL: row * cols + col */
} pv_dws_views;

/* Sets up empty views; the caller marks `need`, then reserves memory. */
void pv_dws_views_open(pv_dws_views *views, const pv_dws_space *space, const pv_nn_kernels *kernels,
                       int features, pv_reduction reduction);
void pv_dws_views_reserve(pv_dws_views *views, pv_nn_memory *memory, int max_batch);

/* The values of a view of all samples of a tensor: in `set` when the view is FULL. */
const pv_real *pv_dws_pooled(const pv_dws_views *views, int batch, int tensor, pv_dws_view view,
                             const pv_real *set);
/* Where to add what shall be spread; in `set` when the view is FULL. */
pv_real *pv_dws_spread_to(const pv_dws_views *views, int batch, int tensor, pv_dws_view view, pv_real *set);

/* Pools samples first..first+count-1 of a tensor of `set`. */
void pv_dws_pool(pv_dws_views *views, int batch, int tensor, int first, int count, const pv_real *set);

/* Zeroes what is to be spread. */
void pv_dws_spread_clear(pv_dws_views *views, int batch);
/* Adds the spread views of samples first.. of a tensor to `set`; consumes them.  Reduction max: to the
 * entries that the last pv_dws_pool chose. */
void pv_dws_spread(pv_dws_views *views, int batch, int tensor, int first, int count, pv_real *set);

#endif
