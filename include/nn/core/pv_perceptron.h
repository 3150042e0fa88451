/* (Linear, [BatchNorm1d], ReLU, [Dropout]) times model.layers, then Linear: a network of its own on flattened
 * rows, or what reads the features of another. */
#ifndef PV_PERCEPTRON_H
#define PV_PERCEPTRON_H

#include "nn/core/pv_model_kind.h"

typedef struct pv_perceptron pv_perceptron;

/* Registers its tensors, called as in a torch Sequential "seq" ("seq.0.weight", ...), and takes its memory:
 * from the present stage on, in a stage a linear map, which are model.layers + 1.
 * Owner    params->memory.  Errors: PV_ERR_CONFIG (key named), PV_ERR_NOMEM. */
pv_status pv_perceptron_new(const pv_model_request *request, int inputs, pv_nn_params *params,
                            pv_perceptron **out);

/* Stages of a pass, counted from its own first one, as those of pv_model_kind.
 * Shapes   x, dx [batch][inputs], dx may be NULL; x is borrowed until backward has come back */
pv_batch_sums pv_perceptron_forward(pv_perceptron *n, const pv_pass *pass, int stage, const pv_real *x,
                                    int batch, pv_real *logits);
pv_batch_sums pv_perceptron_backward(pv_perceptron *n, const pv_pass *pass, int stage, const pv_real *dlogits,
                                     pv_real *dx);

/* What the last linear map was given, and multiply-adds of a row forward, times two. */
const pv_real *pv_perceptron_features(const pv_perceptron *n, int *width);
double pv_perceptron_flops(const pv_perceptron *n);

#endif
