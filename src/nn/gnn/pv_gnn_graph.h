/* An INR as the graph of the relational transformer: units are nodes with their biases, weights are edges.
 * Where a model reads phasors, a node's input is a cosine, a sine, and the bias of an output.
 *
 * Of the nodes^2 edges of the graph all but the weights carry the same input, so edges are embedded once a
 * distinct input: the list of all weights (twice, once each way, with reversed features), and one more for
 * what is no weight. */
#ifndef PV_GNN_GRAPH_H
#define PV_GNN_GRAPH_H

#include "inr/pv_reading.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/core/pv_packed.h"
#include "nn/gnn/pv_gnn_kernels.h"

enum { PV_GNN_EMBED_MAX = 8 }; /* linear maps of the deepest embedding */

/* [Fourier features,] Linear, (SiLU, Linear) ..., then one more Linear: from a few numbers to a vector. */
typedef struct pv_gnn_embed {
    int in, in_padded, out; /* out: padded */
    int basis;              /* tensor of the frequencies; -1 without Fourier features */
    int maps;               /* SiLU stands before map 1 .. maps - 2 */
    pv_packed_linear map[PV_GNN_EMBED_MAX + 1];
} pv_gnn_embed;

typedef struct pv_gnn_graph {
    const pv_transformer_kernels *kernels;
    const pv_gnn_kernels *gnn_kernels;
    int nodes, first; /* with the class token, which is node 0; the first that is a unit */
    int weights;      /* of the INR, without biases */
    int node_inputs;
    int inputs;                 /* distinct edge inputs but one: the list is one longer */
    int node_width, edge_width; /* padded */
    bool reversed;
    int *edge_input;   /* [nodes][nodes]: which input an edge has; -1: zeros after the embedding */
    int *weight_place; /* [weights] in a row of parameters */
    int *bias_place;   /* [nodes - first] likewise */
    int *bias_count;   /* [nodes - first] numbers of it, from bias_input on among the node's inputs */
    int *bias_input;
    int *position; /* [nodes - first] rows of the positional embedding */
    pv_packed *class_token, *positions;
    pv_gnn_embed node, edge;
    const pv_packed_set *set;
    pv_real *node_x, *edge_x, *dx;      /* inputs, of nodes, of edges; gradients of either */
    pv_real *features, *dfeatures;      /* of a block of inputs */
    pv_real *act[PV_GNN_EMBED_MAX + 1]; /* behind each map */
    pv_real *slope, *silu, *dact[2];    /* of one map; dact: of every other */
} pv_gnn_graph;

/* Registers construct_graph.* and, with `opts->graph_features` the class token, cls_token. Errors:
 * PV_ERR_NOMEM. */
pv_status pv_gnn_graph_new(pv_gnn_graph *graph, pv_packed_set *set, const pv_gnn_opts *opts,
                           const pv_arch *arch, pv_reading features);

/* Embeds a row.  Shapes   row [pv_reading_count]; nodes [nodes][node_width]; list [inputs + 1][edge_width] */
void pv_gnn_graph_forward(pv_gnn_graph *graph, const pv_real *row, pv_real *nodes, pv_real *list);

/* The graph's edges from the list, and the list's gradients from those of `rows` rows from row `first`.
 * Shapes   edges [nodes][nodes][edge_width]; dedges [rows][nodes][edge_width] */
void pv_gnn_graph_spread(const pv_gnn_graph *graph, const pv_real *list, pv_real *edges);
void pv_gnn_graph_collect(const pv_gnn_graph *graph, const pv_real *dedges, int first, int rows,
                          pv_real *dlist);

/* Adds to the packed gradients; sets drow unless it is NULL. */
void pv_gnn_graph_backward(pv_gnn_graph *graph, const pv_real *row, const pv_real *dnodes,
                           const pv_real *dlist, pv_real *drow);

/* Multiply-adds of an embedding of one row, times two, forward. */
double pv_gnn_graph_flops(const pv_gnn_graph *graph);

#endif
