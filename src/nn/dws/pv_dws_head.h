/* The invariant head: pools every tensor over what can be permuted, then a stack of linear maps. */
#ifndef PV_DWS_HEAD_H
#define PV_DWS_HEAD_H

#include "pv_dws_margins.h"
#include "nn/core/pv_linear.h"

typedef struct pv_dws_head {
    const pv_dws_space *space;
    pv_nn_params *params;
    pv_dws_margins margins;
    pv_stack stack;
    int width;                 /* pooled features a sample */
    pv_real *pooled, *dpooled; /* [batch][width] */
} pv_dws_head;

/* Registers clf.layer.*.  max_count: samples of a tile.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (out_fc). */
pv_status pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                          pv_pooling reduction, int max_batch, int max_count, pv_nn_params *params,
                          pv_memory *memory);

/* Forward: for all tiles pool x into `margins` and take them as samples first..first+count-1; then forward.
 * Shapes   x a set of `count` samples, logits [batch][classes] */
void pv_dws_head_take(pv_dws_head *head, int first, int count, const pv_real *x);
void pv_dws_head_forward(pv_dws_head *head, int batch, pv_real *logits);

/* Backward: backward, then for all tiles pool x again and spread, which sets dx: the gradient in front of the
 * ReLU that made x, `keep` being dropout's factor.  Tensors that have room in picks[tensor] (unless NULL) are
 * picked instead: then they have to be pooled over all entries, by the maximum. */
void pv_dws_head_backward(pv_dws_head *head, int batch, const pv_real *dlogits);
void pv_dws_head_spread(pv_dws_head *head, int first, int count, const pv_real *x, double keep, pv_real *dx,
                        pv_dws_picks *picks);

/* What the last linear map was given in the last forward.  Shapes   [batch][*width] */
const pv_real *pv_dws_head_features(const pv_dws_head *head, int *width);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_head_flops(const pv_dws_head *head);

#endif
