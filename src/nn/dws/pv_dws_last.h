/* What backward wants of the last layer's output.  Where the head wants the maxima of its large tensors
 * alone, that is which entries hold them; the output itself need not outlive a tile then, but for its small
 * tensors. */
#ifndef PV_DWS_LAST_H
#define PV_DWS_LAST_H

#include "pv_dws_layer.h"

typedef struct pv_dws_last {
    const pv_dws_layer *layer;
    const pv_dws_space *space;
    int features;
    pv_dws_picks *picks; /* the layer's; NULL: the output is kept whole, by the caller */
    int64_t entries;     /* of the small tensors */
    pv_real *kept;       /* these, of the whole batch, tile after tile */
} pv_dws_last;

/* Of the last layer, borrowed; takes memory for the batch, whose failure is the memory's. */
pv_dws_last pv_dws_last_new(pv_dws_layer *layer, int64_t max_batch, pv_memory *memory);

/* Forward: keeps of the samples first..first+count-1 what is wanted of the layer's output y and of x, which
 * was made of it and pooled into `margins`; consumes the maxima.  Shapes   y and x: sets of `count`
 * samples */
void pv_dws_last_keep(const pv_dws_last *last, int first, int count, const pv_real *y, const pv_real *x,
                      const pv_dws_margins *margins);

/* Backward: puts the small tensors of y back. */
void pv_dws_last_restore(const pv_dws_last *last, int first, int count, pv_real *y);

/* Whether a tensor is not restored: the gradient of its largest entries comes as picks. */
bool pv_dws_last_picked(const pv_dws_last *last, int tensor);

#endif
