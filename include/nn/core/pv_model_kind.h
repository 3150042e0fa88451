/* What an architecture gives: one file with a const pv_model_kind, and one line in nn/pv_model_kinds.h.
 *
 * A pass goes through a net in stages, forward from the first and backward from the last, so that the passes
 * over the rows of one batch can meet between any two of them.  A net has as many stages as its tensors were
 * registered for (pv_nn_params_next_stage): when backward leaves a stage, the gradients of its tensors and of
 * all later ones are final. */
#ifndef PV_MODEL_KIND_H
#define PV_MODEL_KIND_H

#include "config/pv_plugin.h"
#include "inr/pv_reading.h"
#include "nn/core/pv_nn_params.h"

/* The weight-space network: the `model` section of a config. */
typedef struct pv_model_opts {
    pv_pick kind; /* a pv_model_kind, and its own options */
    int hidden;   /* features per weight (dws), width of the hidden layers (mlp), of a token */
    int layers;   /* hidden layers: dws has layers + 1 equivariant layers, mlp `layers` hidden ones */
    int heads;    /* of attention; dws: of set layer sab, in all layers but the last, which has one */
    bool batch_norm;
    double dropout;      /* probability, between layers, training only */
    pv_reading features; /* what it reads of rows */
    bool narrow;         /* products in training have operands of bfloat16; train.precision says it */
    bool projection;     /* on top, for contrastive training: no key of its own, train.task says it */
} pv_model_opts;

/* What a net is made for. */
typedef struct pv_model_request {
    const pv_model_opts *opts; /* within the ranges of their rows */
    const pv_arch *arch;       /* of the INRs; their rows are read as opts->features says */
    int classes, max_batch;
} pv_model_request;

/* What one pass of a net over some rows of a batch is about. */
typedef struct pv_pass {
    bool training;        /* batch statistics and dropout; else running statistics and none */
    int64_t global_batch; /* rows of all passes over the batch */
    int64_t first_sample; /* position of this pass' first row among them */
    uint64_t seed, step;  /* dropout draws: PV_RNG_DROPOUT, (step, layer and sample position) */
} pv_pass;

/* What a stage of a pass leaves to be summed: element by element over all passes of the batch, also those
 * without rows, and the sums are put back here before any of them goes on to the next stage.  count 0:
 * nothing. */
typedef struct pv_batch_sums {
    double *values;
    int count;
} pv_batch_sums;

/* What normalisation leaves of rows, as a kind needs it. */
typedef enum pv_rows_wanted {
    PV_ROWS_STANDARDISED,
    PV_ROWS_WITH_SIGNS, /* no mean is taken away: it has no sign, and what a unit's sign turns is lost */
    PV_ROWS_AS_THEY_ARE /* the INRs themselves are evaluated */
} pv_rows_wanted;

typedef struct pv_model_kind {
    pv_plugin plugin;
    pv_rows_wanted rows;

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
