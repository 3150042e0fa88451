/* The down-sampling of wide inputs: the first weight matrix of an INR or classifier, seen as d_1 neurons with
 * d_0 channels, becomes one with few channels, before the DWS layers; they would have (d_0 f)^2 parameters
 * otherwise. */
#ifndef PV_DWS_DOWN_H
#define PV_DWS_DOWN_H

#include "nn/core/pv_linear.h"

typedef struct pv_dws_down {
    pv_nn_params *params;
    int inputs, units, outputs; /* d_0, d_1, the channels that are left */
    int64_t entries, left;      /* of a row, before and behind */
    pv_stack gamma, lambda;
    pv_linear query;
    const pv_real *given;     /* the rows of the last forward, which begin with the matrix [d_1][d_0] */
    pv_real *shares, *mean;   /* [batch][d_1], [batch][d_0]: the mean of the neurons, by a softmax's shares */
    pv_real *rows, *drows;    /* [batch][left] */
    pv_real *pooled;          /* [outputs] Lambda of a mean, or its gradient */
    pv_real *dmean, *dshares; /* [d_0], [d_1] */
} pv_dws_down;

/* Registers <prefix>Gamma.*, Lambda.* and attn.query.  For rows of `entries` numbers of an INR with matrices
 * `dims`; depth: linear maps of Gamma and Lambda.  Errors: PV_ERR_CONFIG (outputs is not below d_0). */
pv_status pv_dws_down_new(pv_dws_down *down, const int *dims, int64_t entries, int outputs, int depth,
                          int max_batch, const char *prefix, pv_nn_params *params);

/* y_u = Gamma(x_u) - Lambda(sum of s_v x_v over neurons), s the softmax of <x_v, query>; the other tensors as
 * they are.
 * Shapes   rows [batch][entries], borrowed until backward.  Returns [batch][left], owned by `down`.  A
 * sample's numbers do not depend on others.
 * Source   the published down_sample (DWSNets: a DeepSets layer with attention for its reduction).  Differs:
 * there every layer goes down, and up again by another such map; here the rows do once, and the layers stay
 * in the small space. */
const pv_real *pv_dws_down_forward(pv_dws_down *down, const pv_real *rows, int batch);

/* Of the last forward; down->drows [batch][left] is the gradient of its result.  Adds to the parameters'
 * gradients; drows [batch][entries] may be NULL. */
void pv_dws_down_backward(pv_dws_down *down, int batch, pv_real *drows);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_down_flops(const pv_dws_down *down);

#endif
