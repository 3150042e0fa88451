/* The options of the DWS classifier, beside those that architectures share. */
#ifndef PV_DWS_OPTS_H
#define PV_DWS_OPTS_H

#include "config/pv_option.h"

#include <stdbool.h>

typedef enum pv_set_layer { PV_SET_DS, PV_SET_SAB } pv_set_layer;
typedef enum pv_pooling { PV_POOL_MAX, PV_POOL_MEAN, PV_POOL_SUM } pv_pooling;

typedef struct pv_dws_opts {
    pv_set_layer set_layer;
    pv_pooling reduction;
    int fc_layers;   /* linear layers in every map (n_fc_layers) */
    int out_fc;      /* linear layers of the classifier head (n_out_fc) */
    bool diagonal;   /* only the maps between neighbouring tensors */
    bool layer_skip; /* a per-entry linear skip in every layer (add_layer_skip) */
    bool skip;       /* one per-entry linear skip over all layers (add_skip) */
    int downsample;  /* channels that are left of the INRs' inputs in front of the first layer; 0: all */
} pv_dws_opts;

extern const pv_option pv_dws_options[];

#endif
