/* The invariant head: pools every tensor over what can be permuted, then a stack of linear maps. */
#ifndef PV_DWS_HEAD_H
#define PV_DWS_HEAD_H

#include "nn/pv_dws_views.h"
#include "nn/pv_linear.h"

typedef struct pv_dws_head {
    const pv_dws_space *space;
    pv_nn_params *params;
    pv_dws_views views;
    pv_stack stack;
    int width;                 /* pooled features a sample */
    pv_real *pooled, *dpooled; /* [batch][width] */
} pv_dws_head;

/* Registers clf.layer.*.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (out_fc). */
pv_status pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                          pv_reduction reduction, int max_batch, pv_nn_params *params, pv_nn_memory *memory);

/* Forward: pool all blocks of x, then forward.  Shapes   x a set, logits [batch][classes] */
void pv_dws_head_pool(pv_dws_head *head, int batch, int tensor, int first, int count, const pv_real *x);
void pv_dws_head_forward(pv_dws_head *head, int batch, const pv_real *x, pv_real *logits);

/* Backward: backward, then spread, which sets dx block by block. */
void pv_dws_head_backward(pv_dws_head *head, int batch, const pv_real *dlogits);
void pv_dws_head_spread(pv_dws_head *head, int batch, int tensor, int first, int count, pv_real *dx);

/* What the last linear map was given in the last forward.  Shapes   [batch][*width] */
const pv_real *pv_dws_head_features(const pv_dws_head *head, int *width);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_head_flops(const pv_dws_head *head);

#endif
