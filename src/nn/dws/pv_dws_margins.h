/* The margins of the tables of a feature set: pooled from it, or spread over it.
 *
 * The two directions are adjoint.  A DWS layer pools its input with the model's reduction and spreads sums
 * over its output; backward pools sums of the output's gradient and spreads the input's by the adjoint of the
 * reduction.  So nothing broadcast is ever held at full size.  `count` is always the number of samples that
 * the set holds. */
#ifndef PV_DWS_MARGINS_H
#define PV_DWS_MARGINS_H

#include "base/pv_mem.h"
#include "nn/dws/pv_dws_kernels.h"
#include "pv_dws_picks.h"
#include "pv_dws_space.h"
#include "nn/dws/pv_dws_opts.h"

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

/* One tensor of a set, and its margins. */
pv_dws_block pv_dws_margins_block(const pv_dws_margins *margins, int count, int tensor);
pv_dws_values pv_dws_margins_pooled(const pv_dws_margins *margins, int count, int tensor);
pv_dws_values pv_dws_margins_spread(const pv_dws_margins *margins, int count, int tensor);

/* The values of one margin of a tensor: in `set` when the margin is FULL. */
const pv_real *pv_dws_pooled(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                             const pv_real *set);
/* Where to add what shall be spread; in `set` when the margin is FULL. */
pv_real *pv_dws_spread_to(const pv_dws_margins *margins, int count, int tensor, pv_dws_margin margin,
                          pv_real *set);

/* Pools one tensor of x, or all.  x is a whole set. */
void pv_dws_margins_pool_tensor(pv_dws_margins *margins, int count, int tensor, const pv_real *x);
void pv_dws_margins_pool(pv_dws_margins *margins, int count, const pv_real *x);
/* Makes a tensor of x from y, and pools it.  x and y are whole sets. */
void pv_dws_margins_activate(pv_dws_margins *margins, int count, int tensor, const pv_dws_activation *how,
                             const pv_real *y, pv_real *x);
/* Makes a tensor's gradient dy from that behind batch norm, and pools it; reduction sum. */
void pv_dws_margins_normalise(pv_dws_margins *margins, int count, int tensor, const pv_dws_norm_back *how,
                              const pv_real *y, const pv_real *dz, pv_real *dy);

/* Pools a tensor whose entries are 0 but for the picks; reduction sum. */
void pv_dws_margins_pool_picks(pv_dws_margins *margins, int count, int tensor, const pv_dws_picks *picks);

/* Makes the spread gradients of a tensor ready for pv_dws_kernels.deactivate: `all` goes into `col`, a mean
 * gives shares. */
void pv_dws_margins_settle(pv_dws_margins *margins, int count, int tensor);

#endif
