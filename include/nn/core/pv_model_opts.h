/* The weight-space network: the `model` section of a config. */
#ifndef PV_MODEL_OPTS_H
#define PV_MODEL_OPTS_H

#include "config/pv_plugin.h"

typedef struct pv_model_opts {
    pv_pick kind; /* a pv_model_kind, and its own options */
    int hidden;   /* features per weight (dws), width of the hidden layers (mlp), of a token */
    int layers;   /* hidden layers: dws has layers + 1 equivariant layers, mlp `layers` hidden ones */
    int heads;    /* of attention; dws: of set layer sab, in all layers but the last, which has one */
    bool batch_norm;
    double dropout;  /* probability, between layers, training only */
    bool projection; /* on top, for contrastive training: no key of its own, train.task says it */
} pv_model_opts;

#endif
