/* The options of the graph network, with the names and defaults of the published one. */
#ifndef PV_GNN_OPTS_H
#define PV_GNN_OPTS_H

#include <stdbool.h>

/* What the features of the graph are read from. */
typedef enum pv_graph_features {
    PV_GRAPH_CAT_LAST_LAYER, /* the output units, side by side */
    PV_GRAPH_MEAN,           /* the mean of all nodes */
    PV_GRAPH_CLS_TOKEN,      /* a learned node of its own */
} pv_graph_features;

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

#endif
