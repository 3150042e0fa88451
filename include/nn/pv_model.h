/* A weight-space network: rows of INR weights in, logits out, gradients back.
 *
 * A model owns two flat vectors, parameters and gradients, so that optimisers and reductions see one array,
 * and a table of named tensors with PyTorch's state_dict names and shapes.  It plans its workspace when it is
 * made: forward and backward allocate nothing.  It knows nothing of MPI: where the whole batch matters (batch
 * norm, sums of gradients), a pass stops between two stages and lets the caller sum. */
#ifndef PV_MODEL_H
#define PV_MODEL_H

#include "nn/core/pv_model_kind.h"

typedef struct pv_model pv_model;

/* Makes a model for INRs of an architecture and `classes` outputs (with a projection: the width of embedding
 * and projection), for at most `max_batch` rows a pass.  Parameters and
 * gradients are zero until pv_model_init or a load.
 * Owner: pv_model_free.  Local.  Errors: PV_ERR_CONFIG (key named), PV_ERR_NOMEM. */
pv_status pv_model_new(const pv_model_opts *opts, const pv_arch *arch, int classes, int max_batch,
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

/* A pass of a whole batch on its own.
 * Shapes   rows [batch][width], INR rows as pv_reading_make reads them for opts->features, normalised;
 *          logits, dlogits [batch][classes]; drows [batch][width], or NULL when the input's gradient is not
 *          wanted; 0 <= batch <= max_batch
 * Owner    rows are borrowed until backward has come back.
 * Training mode keeps what backward needs and updates running statistics.  Backward is of the last training
 * forward, and adds to the gradients. */
void pv_model_forward(pv_model *model, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits);
void pv_model_backward(pv_model *model, const pv_pass *pass, const pv_real *dlogits, pv_real *drows);

/* The same, stage by stage: forward through 0 .. pv_model_stages() - 1 and backward down again, each with
 * what the whole pass is given.  Where several passes make up a batch, the caller replaces what a stage
 * leaves by its sum over all of them before any goes on.  Every pass of a batch leaves as much at a stage,
 * also one of no rows. */
int pv_model_stages(const pv_model *model);
pv_batch_sums pv_model_forward_stage(pv_model *model, const pv_pass *pass, int stage, const pv_real *rows,
                                     int batch, pv_real *logits);
pv_batch_sums pv_model_backward_stage(pv_model *model, const pv_pass *pass, int stage, const pv_real *dlogits,
                                      pv_real *drows);
/* Gradients from here on of the flat vector are final when backward leaves a stage; 0 for stage 0. */
int64_t pv_model_stage_begin(const pv_model *model, int stage);

/* The model's features of every row in the last forward: what the last linear map was given, or the embedding
 * where a projection stands on it.
 * Shapes   [batch][*width]; *width is known before any forward too.  Owner: the model. */
const pv_real *pv_model_features(const pv_model *model, int *width);

/* Multiply-adds, times two, of one sample forward and backward, as the mathematics needs them. */
double pv_model_sample_flops(const pv_model *model);

/* Bytes of workspace and parameters. */
int64_t pv_model_memory(const pv_model *model);

#endif
