/* The projection that contrastive training puts on an encoder: Linear, ReLU, Linear, as wide as the
 * embedding. */
#ifndef PV_PROJECTION_H
#define PV_PROJECTION_H

#include "nn/core/pv_linear.h"

typedef struct pv_projection {
    int width; /* 0: there is none */
    pv_stack stack;
    pv_real *embedding, *dembedding; /* [max_batch][width], what the encoder gives */
} pv_projection;

/* Registers projection.0 and projection.2, as a stage of their own, initialised as PyTorch's Linear.
 * Source   Chen et al. 2020; the published code's head on DWS. */
void pv_projection_new(pv_projection *projection, int width, int64_t max_batch, pv_nn_params *params,
                       pv_memory *memory);

/* From `embedding` to out [batch][width]. */
void pv_projection_forward(pv_projection *projection, const pv_nn_params *params, int batch, pv_real *out);

/* Adds to the gradients of its tensors, sets `dembedding`. */
void pv_projection_backward(pv_projection *projection, const pv_nn_params *params, int batch,
                            const pv_real *dout);

#endif
