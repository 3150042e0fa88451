/* What a kind of model provides behind pv_model.h; a new architecture is one file with one of these. */
#ifndef PV_MODEL_KIND_H
#define PV_MODEL_KIND_H

#include "nn/pv_model.h"
#include "nn/core/pv_nn_memory.h"
#include "nn/core/pv_nn_params.h"
#include "nn/core/pv_projection.h"

typedef struct pv_model_kind_ops {
    void (*forward)(void *net, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits);
    void (*backward)(void *net, const pv_pass *pass, const pv_real *dlogits, pv_real *drows);
    const pv_real *(*features)(const void *net, int *width); /* what the last linear map was given */
} pv_model_kind_ops;

struct pv_model {
    const pv_model_kind_ops *ops;
    void *net; /* from `memory`, like all that the net holds */
    pv_nn_memory memory;
    pv_nn_params params;
    pv_projection projection; /* of the net's outputs, if it has one */
    int batch;                /* of the last forward */
    double sample_flops;
};

/* What a constructor is told. */
typedef struct pv_model_request {
    const pv_model_opts *opts;
    const int *dims;
    int layers, classes, max_batch;
} pv_model_request;

/* Fill ops, net and sample_flops, register all tensors in model->params, reserve all memory; the caller
 * closes the registry, and frees the model when this fails. */
#define PV_MODEL_MAKER(identifier, name, make)                                                               \
    pv_status make(const pv_model_request *request, pv_model *model);
PV_MODEL_KINDS(PV_MODEL_MAKER)
#undef PV_MODEL_MAKER

#endif
