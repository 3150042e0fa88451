/* The weight-space network: the `model` section of a config. */
#ifndef PV_MODEL_OPTS_H
#define PV_MODEL_OPTS_H

#include "nn/pv_model_kinds.h"

#include <stdbool.h>

#define PV_MODEL_ENUM(identifier, name, make) PV_MODEL_##identifier,
typedef enum pv_model_kind { PV_MODEL_KINDS(PV_MODEL_ENUM) PV_MODEL_KIND_COUNT } pv_model_kind;
#undef PV_MODEL_ENUM

typedef enum pv_set_layer { PV_SET_DS, PV_SET_SAB } pv_set_layer;
typedef enum pv_reduction { PV_REDUCE_MAX, PV_REDUCE_MEAN, PV_REDUCE_SUM } pv_reduction;

typedef struct pv_model_opts {
    pv_model_kind kind;
    int hidden; /* features per weight (dws), width of the hidden layers (mlp) */
    int layers; /* hidden layers: dws has layers + 1 equivariant layers, mlp `layers` hidden ones */
    pv_set_layer set_layer; /* dws */
    int heads;              /* dws: of set layer sab, in all equivariant layers but the last, which has one */
    pv_reduction reduction; /* dws */
    int fc_layers;          /* dws: linear layers in every map (n_fc_layers) */
    int out_fc;             /* dws: linear layers of the classifier head (n_out_fc) */
    bool batch_norm;
    bool diagonal;   /* dws: only the maps between neighbouring tensors */
    bool layer_skip; /* dws: a per-entry linear skip in every layer (add_layer_skip) */
    bool skip;       /* dws: one per-entry linear skip over all layers (add_skip) */
    double dropout;  /* probability, between layers, training only */
} pv_model_opts;

#endif
