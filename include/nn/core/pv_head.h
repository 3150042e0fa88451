/* The linear maps behind an encoder: what classifies, or projects for contrastive training. */
#ifndef PV_HEAD_H
#define PV_HEAD_H

#include "nn/core/pv_linear.h"

typedef struct pv_head {
    pv_nn_params *params;
    pv_stack stack;  /* depth 0: there is no head */
    pv_real *x, *dx; /* [max_batch][in]: what the encoder gives, and its gradient */
} pv_head;

/* Takes a stack that is registered, and the memory for it. */
pv_head pv_head_new(pv_nn_params *params, pv_stack stack, int64_t max_batch);

/* From `x` to out [batch][out]; and back: adds to the gradients of the stack's tensors, sets `dx`. */
void pv_head_forward(const pv_head *head, int batch, pv_real *out);
void pv_head_backward(const pv_head *head, int batch, const pv_real *dout);

#endif
