/* A weight-space network: rows of INR weights in, logits out, gradients back.
 *
 * A model owns two flat vectors, parameters and gradients, so that optimisers and reductions see one array,
 * and a table of named tensors with PyTorch's state_dict names and shapes.  It plans its workspace when it is
 * made: forward and backward allocate nothing.  It knows nothing of MPI: where the global batch matters
 * (batch norm), it calls the sum given with the pass. */
#ifndef PV_MODEL_H
#define PV_MODEL_H

#include "base/pv_status.h"
#include "nn/core/pv_model_opts.h"
#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_model pv_model;

typedef struct pv_model_tensor {
    const char *name; /* "layers.layers.0.bias_to_bias.layers.0_0.layer.set_layer.Gamma.0.weight" */
    int rank;
    int64_t shape[4]; /* PyTorch's */
    int64_t count;
    pv_real *values;    /* in the parameter vector, or in a buffer */
    pv_real *gradients; /* NULL for a buffer (running_mean, running_var, num_batches_tracked) */
    bool constant;      /* a buffer that is drawn once and never changes: as fixed as a parameter in use */
} pv_model_tensor;

/* Adds `values` element-wise over all ranks that hold a part of the batch; the identity when NULL. */
typedef void (*pv_batch_sum)(void *context, double *values, int count);

/* Says that the gradients from `offset` of the flat vector on are final: they may be read, and summed over ranks, while
 * backward goes on.  Offsets fall; pv_model_backward itself ends with 0. */
typedef void (*pv_gradients_ready)(void *context, int64_t offset);

/* What one forward or backward pass is about. */
typedef struct pv_pass {
    bool training;        /* batch statistics and dropout; else running statistics and none */
    int64_t global_batch; /* samples over all ranks */
    int64_t first_sample; /* position of this part's first sample in the global batch */
    uint64_t seed, step;  /* dropout draws: PV_RNG_DROPOUT, (step, layer and sample position) */
    pv_batch_sum sum;     /* collective: called the same number of times on every rank, also with batch 0 */
    pv_gradients_ready ready; /* NULL: nobody listens */
    void *sum_context;        /* of sum and ready */
} pv_pass;

/* Makes a model for INRs with matrices d_0..d_layers (`dims`, layers + 1 of them) and `classes` outputs (with a
 * projection: the width of embedding and projection), for at most `max_batch` rows a pass.  Parameters and gradients are zero until pv_model_init or a load. Owner:
 * pv_model_free.  Local.  Errors: PV_ERR_CONFIG (key named), PV_ERR_NOMEM. */
pv_status pv_model_new(const pv_model_opts *opts, const int *dims, int layers, int classes, int max_batch,
                       pv_model **out);
void pv_model_free(pv_model *model);

/* Draws the published initialisation.  Random: PV_RNG_MODEL_INIT, (tensor number, 0). */
void pv_model_init(pv_model *model, uint64_t seed);

/* Lets `model` compute with the parameters and constants of `owner`, one of the same making that outlives it;
 * gradients, other buffers and workspace stay its own. */
void pv_model_share_params(pv_model *model, pv_model *owner);

/* The flat vectors of pv_model_count() parameters and their gradients. */
int64_t pv_model_count(const pv_model *model);
pv_real *pv_model_params(pv_model *model);
pv_real *pv_model_gradients(pv_model *model);

/* All tensors, parameters first, in the order of PyTorch's state_dict among themselves; owned by the model.
 */
int pv_model_tensors(const pv_model *model, const pv_model_tensor **tensors);

/* Forward.
 * Shapes   rows [batch][P], normalised INR rows in state_dict order; logits [batch][classes]; 0 <= batch <=
 * max_batch Training mode keeps what backward needs and updates running statistics. */
void pv_model_forward(pv_model *model, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits);

/* Backward of the last training forward; adds to the gradients.
 * Shapes   dlogits [batch][classes]; drows [batch][P] or NULL when the input's gradient is not wanted. */
void pv_model_backward(pv_model *model, const pv_pass *pass, const pv_real *dlogits, pv_real *drows);

/* The model's features of every row in the last forward: what the last linear map was given, or the embedding where a
 * projection stands on it.
 * Shapes   [batch][*width]; *width is known before any forward too.  Owner: the model. */
const pv_real *pv_model_features(const pv_model *model, int *width);

/* The name of a kind in a config: "dws". */
const char *pv_model_kind_name(pv_model_kind kind);

/* Multiply-adds, times two, of one sample forward and backward, as the mathematics needs them. */
double pv_model_sample_flops(const pv_model *model);

/* Bytes of workspace and parameters. */
int64_t pv_model_memory(const pv_model *model);

#endif
