/* The invariant head: pools every tensor over what can be permuted, then a stack of linear maps. */
#ifndef PV_DWS_HEAD_H
#define PV_DWS_HEAD_H

#include "pv_dws_space.h"
#include "nn/core/pv_linear.h"

typedef struct pv_dws_head {
    const pv_dws_space *space;
    pv_dws_margins margins;
    pv_head linear; /* of what is pooled */
    int width;      /* pooled features a sample */
} pv_dws_head;

/* Registers clf.layer.*.  max_count: samples of a tile.  Failures are the memory's. */
void pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                     pv_pooling reduction, int64_t max_batch, int max_count, pv_nn_params *params);

/* Forward: for all tiles pool x into `margins` and take them as samples first..first+count-1; then
 * pv_head_forward.  Shapes   x a set of `count` samples */
void pv_dws_head_take(pv_dws_head *head, int first, int count, const pv_real *x);

/* Backward: pv_head_backward, then for all tiles pool x again and spread, which sets dx: the gradient in
 * front of the ReLU that made x, `keep` being dropout's factor.  Tensors that have room in picks[tensor]
 * (unless NULL) are picked instead, from what their holders say (pv_dws_kernels.find); of them neither x nor
 * margins are read.  Then they have to be pooled over all entries, by the maximum. */
void pv_dws_head_spread(pv_dws_head *head, int first, int count, const pv_real *x, double keep, pv_real *dx,
                        pv_dws_picks *picks);

#endif
