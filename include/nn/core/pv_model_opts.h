/* The weight-space network: the `model` section of a config. */
#ifndef PV_MODEL_OPTS_H
#define PV_MODEL_OPTS_H

#include "config/pv_option.h"
#include "nn/pv_model_kinds.h"

#include <stdbool.h>

#define PV_MODEL_ENUM(identifier, name, make) PV_MODEL_##identifier,
typedef enum pv_model_kind { PV_MODEL_KINDS(PV_MODEL_ENUM) PV_MODEL_KIND_COUNT } pv_model_kind;
#undef PV_MODEL_ENUM

typedef enum pv_set_layer { PV_SET_DS, PV_SET_SAB } pv_set_layer;
typedef enum pv_pooling { PV_POOL_MAX, PV_POOL_MEAN, PV_POOL_SUM } pv_pooling;

/* What the relational transformer reads its features of the graph from. */
typedef enum pv_graph_features {
    PV_GRAPH_CAT_LAST_LAYER, /* the output units, side by side */
    PV_GRAPH_MEAN,           /* the mean of all nodes */
    PV_GRAPH_CLS_TOKEN,      /* a learned node of its own */
} pv_graph_features;

/* The relational transformer, with the names and defaults of the published one. */
typedef struct pv_gnn_opts {
    int d_node, d_edge;                 /* features of a node and an edge */
    int d_attn, d_node_hid, d_edge_hid; /* all heads together; hidden layers of the perceptrons */
    int d_out_hid;                      /* hidden layer of the classifier */
    pv_graph_features graph_features;
    bool rev_edge_features; /* an edge's input is [e, reverse e, both added] */
    bool sin_emb;           /* inputs are embedded by Fourier features */
    double inp_factor;      /* standard deviation of their frequencies */
    int input_layers;       /* linear maps of the embedding */
    bool modulate_v;        /* edges scale values, and do not only add to them */
    bool use_ln;
    double dropout_node, dropout_edge;
} pv_gnn_opts;

typedef struct pv_model_opts {
    pv_model_kind kind;
    int hidden; /* features per weight (dws), width of the hidden layers (mlp) */
    int layers; /* hidden layers: dws has layers + 1 equivariant layers, mlp `layers` hidden ones */
    pv_set_layer set_layer; /* dws */
    int heads; /* dws: of set layer sab, in all layers but the last, which has one; gnn: of attention */
    pv_pooling reduction; /* dws */
    int fc_layers;        /* dws: linear layers in every map (n_fc_layers) */
    int out_fc;           /* dws: linear layers of the classifier head (n_out_fc) */
    bool batch_norm;
    bool diagonal;   /* dws: only the maps between neighbouring tensors */
    bool layer_skip; /* dws: a per-entry linear skip in every layer (add_layer_skip) */
    bool skip;       /* dws: one per-entry linear skip over all layers (add_skip) */
    int downsample;  /* dws: channels that are left of the INRs' inputs in front of the first layer; 0: all */
    double dropout;  /* probability, between layers, training only */
    pv_gnn_opts gnn;
    bool projection; /* on top, for contrastive training: no key of its own, train.task says it */
} pv_model_opts;

/* The rows of the section. */
extern const pv_option pv_model_options[];

#endif
