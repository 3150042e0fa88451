/* Batch normalisation over the global batch, for several tensors at once.
 *
 * A slot is one tensor with its own parameters: x[batch][positions][features], statistics over batch and
 * positions.  Work on a slot can be done chunk by chunk; the sums of all slots are then due at once, between
 * two stages of a pass, forward and backward. */
#ifndef PV_BATCH_NORM_H
#define PV_BATCH_NORM_H

#include "nn/core/pv_model_kind.h"

enum { PV_NORM_MAX_SLOTS = 32 };

typedef struct pv_batch_norm {
    pv_nn_params *params;
    int slots, features;
    int64_t positions[PV_NORM_MAX_SLOTS];
    int tensors[PV_NORM_MAX_SLOTS]; /* id of the weight, which those of the others follow */
    double *sums;                   /* [2][slots][features] */
    double *inverse;                /* [slots][features] 1 / sqrt(var + eps) */
    pv_real *centre;                /* [slots][features] mean of the pass */
    pv_real *scale, *shift;         /* forward: y scale + shift */
    pv_real *from_dz, *from_y, *c;  /* backward: from_dz dz + from_y (y - centre) + c */
} pv_batch_norm;

/* Adds a slot to a norm that has params and features, and registers <prefix>.weight, .bias, .running_mean,
 * .running_var, .num_batches_tracked; when all are there, takes the memory. */
void pv_batch_norm_add(pv_batch_norm *norm, const char *prefix, int64_t positions);
void pv_batch_norm_reserve(pv_batch_norm *norm);

/* Forward: clear, collect all chunks of all slots and have their sums taken over the batch (training only),
 * settle, then apply to chunks.
 * Source  PyTorch's BatchNorm1d: biased variance to normalise, unbiased in running_var, momentum 0.1,
 * eps 1e-5. */
void pv_batch_norm_clear(pv_batch_norm *norm);
void pv_batch_norm_collect(pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y);
pv_batch_sums pv_batch_norm_sums(const pv_batch_norm *norm);
/* Settles the statistics from the batch's sums and updates the running ones; in evaluation takes those. */
void pv_batch_norm_settle(pv_batch_norm *norm, const pv_pass *pass);
/* x = ReLU(norm(y)); rows = samples * positions. */
void pv_batch_norm_apply(const pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y, pv_real *x);

/* Where whoever computes y (forward: sums of y and y^2) or dz (backward: of dz and dz (y - centre)) may add
 * the sums itself instead of collecting; each [features]. */
double *pv_batch_norm_first(const pv_batch_norm *norm, int slot);
double *pv_batch_norm_second(const pv_batch_norm *norm, int slot);

/* Backward: clear, collect, have the sums taken over the batch, settle, apply: dz, the gradient of norm(y),
 * becomes that of y. */
void pv_batch_norm_backward_collect(pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y,
                                    const pv_real *dz);
/* What was collected; adds it, this pass' own, to the gradients of weight and bias. */
pv_batch_sums pv_batch_norm_backward_sums(pv_batch_norm *norm);
void pv_batch_norm_backward_settle(pv_batch_norm *norm, const pv_pass *pass);
void pv_batch_norm_backward_apply(const pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y,
                                  pv_real *dz);

#endif
