/* What an architecture gives: one file with a const pv_model_kind, and one line in nn/pv_model_kinds.h.
 *
 * A pass goes through a net in stages, forward from the first and backward from the last, so that the passes
 * over the rows of one batch can meet between any two of them.  A net has as many stages as its tensors were
 * registered for (pv_nn_params_next_stage): when backward leaves a stage, the gradients of its tensors and of
 * all later ones are final. */
#ifndef PV_MODEL_KIND_H
#define PV_MODEL_KIND_H

#include "config/pv_plugin.h"
#include "nn/core/pv_model_opts.h"
#include "nn/core/pv_nn_params.h"
#include "nn/core/pv_pass.h"

/* What a net is made for: INRs with matrices dims[0]..dims[layers]. */
typedef struct pv_model_request {
    const pv_model_opts *opts; /* within the ranges of their rows */
    const int *dims;
    int layers, classes, max_batch;
} pv_model_request;

typedef struct pv_model_kind {
    pv_plugin plugin;

    /* Registers all tensors in `params` and takes all memory, the net's too, from params->memory, whose
     * failures are found by the caller.  params outlives the net.  Errors: PV_ERR_CONFIG (key named),
     * PV_ERR_NOMEM. */
    pv_status (*make)(const pv_model_request *request, pv_nn_params *params, void **net);

    /* A stage of a pass, given and returning what pv_model_forward_stage and pv_model_backward_stage are. */
    pv_batch_sums (*forward)(void *net, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits);
    pv_batch_sums (*backward)(void *net, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows);

    /* What the last linear map was given. */
    const pv_real *(*features)(const void *net, int *width);
    /* Multiply-adds of one row, times two, forward. */
    double (*forward_flops)(const void *net);
} pv_model_kind;

#endif
