/* An INR as the graph of the scale-equivariant network: units are nodes with their biases, weights are edges.
 *
 * Where a model reads phasors, a hidden unit's bias is its sine, which has the unit's sign; its cosine has
 * none.
 *
 * Nodes and edges are those of the INR in order: inputs, hidden units, outputs; and the weights of a tensor
 * target by target.  A block has nodes, or edges of one tensor, that are worked on at once. */
#ifndef PV_SCALEGMN_GRAPH_H
#define PV_SCALEGMN_GRAPH_H

#include "inr/pv_reading.h"
#include "pv_scalegmn_parts.h"

typedef struct pv_scalegmn_block {
    int first, count;
    pv_scalegmn_role source, target; /* of edges; of nodes both are the node's role */
} pv_scalegmn_block;

/* As they are embedded, weights are multiples of the vector of their type: so what goes along them is a
 * multiple of what their unit sends along that type.  Pairs of unit and type, tensor after tensor. */
typedef struct pv_scalegmn_senders {
    int count;
    int *unit, *type;         /* [count] */
    int *of_edge;             /* [edges] */
    pv_scalegmn_block *group; /* [tensors] those of a tensor, with the roles of its ends */
} pv_scalegmn_senders;

typedef struct pv_scalegmn_graph {
    int nodes, edges, inputs, outputs;
    int tensors, types; /* types: of edges */
    int node_blocks, edge_blocks;
    pv_scalegmn_block *node_block, *edge_block;
    int *source, *target;                     /* [edges] nodes */
    int *weight, *bias;                       /* [edges], [nodes]: where in a row; inputs have none: -1 */
    int *cosine;                              /* [nodes] likewise, -1: none */
    int *edge_type, *node_type;               /* rows of the positions */
    pv_packed *edge_axis, *node_axis;         /* [1][width] */
    pv_packed *edge_position, *node_position; /* [types][width] */
    pv_scalegmn_senders along, against;
} pv_scalegmn_graph;

/* Registers construct_graph, positional_embeddings and positional_embeddings_edge.  The graph's memory is the
 * set's, and so are failures.  Errors: PV_ERR_CONFIG (too many weights). */
pv_status pv_scalegmn_graph_new(pv_scalegmn_graph *graph, const pv_scalegmn_work *work, const pv_arch *arch,
                                pv_reading features);

/* The features of all nodes of one row, and of edges of every type whose weight is 1.
 * Shapes   x [nodes][width], e [types][width] */
void pv_scalegmn_embed_nodes(const pv_scalegmn_graph *graph, const pv_real *row, pv_real *x);
void pv_scalegmn_embed_types(const pv_scalegmn_graph *graph, pv_real *e);
/* Adds to the parameters' gradients and, unless NULL, to drow. */
void pv_scalegmn_embed_nodes_backward(const pv_scalegmn_graph *graph, const pv_real *row, const pv_real *dx,
                                      pv_real *drow);
void pv_scalegmn_embed_types_backward(const pv_scalegmn_graph *graph, const pv_real *de);

/* Beside the `values` features that messages to a unit make, its cosine times them, where it has one; and
 * back: adds to their gradients and, unless NULL, to drow.
 * Shapes   sums, dsums: of the first node, `stride` from one to the next */
void pv_scalegmn_turn(const pv_scalegmn_graph *graph, const pv_real *row, int64_t values, int64_t stride,
                      pv_real *sums);
void pv_scalegmn_turn_backward(const pv_scalegmn_graph *graph, const pv_real *row, int64_t values,
                               int64_t stride, const pv_real *sums, pv_real *dsums, pv_real *drow);

#endif
