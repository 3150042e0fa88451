/* The layers of the relational transformer on one graph: attention with queries, keys and values modulated by
 * edges, the update of nodes, and the update of edges.
 *
 * A graph is worked on row by row, a row being the edges that leave one node: what a row needs between two
 * maps stays in the second-level cache, and backward makes it again rather than read it from memory.  Only
 * what later layers read is computed: attention and updates take a range of rows. */
#ifndef PV_GNN_LAYERS_H
#define PV_GNN_LAYERS_H

#include "nn/core/pv_dropout.h"
#include "nn/core/pv_heads.h"
#include "nn/gnn/pv_gnn_kernels.h"
#include "nn/gnn/pv_gnn_opts.h"

/* What lies between the two ends of a residual block. */
typedef struct pv_gnn_steps {
    pv_real *sum0, *normed, *sum1, *dropped; /* [nodes][width] */
    pv_real *act, *slope, *dact;             /* [nodes][hidden], of the GELU */
} pv_gnn_steps;

/* What all layers share: sizes, padded, and workspace for one graph. */
typedef struct pv_gnn_shape {
    const pv_nn_kernels *dense;
    const pv_transformer_kernels *kernels;
    const pv_gnn_kernels *graph;
    int nodes, node, edge, node_hidden, edge_hidden;
    pv_heads heads;
    int edge_maps; /* 3, or 2 without factors */
    pv_dropout node_dropout, edge_dropout;
    pv_real *qkv, *dqkv;                          /* [nodes][3 channels] */
    pv_real *edges;                               /* [nodes][edge_maps channels] of a row */
    pv_real *share, *dshare;                      /* [nodes][heads.row.width] of a row */
    pv_real *pooled, *dpooled, *flipped;          /* [edge][heads.row.width] of a row */
    pv_real *dadded;                              /* [edge][channels] */
    pv_gnn_steps of_nodes, of_edges;              /* of_edges: of a row */
    pv_real *projected, *dprojected;              /* [nodes][node] */
    pv_real *back, *dback;                        /* [nodes][edge]: the edges that run back to a row */
    pv_real *act, *slope;                         /* [nodes][edge_hidden] of a row, of the first GELU */
    pv_real *source, *target, *dsource, *dtarget; /* [nodes][edge_hidden] */
} pv_gnn_shape;

/* The rows first .. first + count of one sample's graph, and the numbers of its draws. */
typedef struct pv_gnn_range {
    const pv_pass *pass;
    int sample;
    int first, count;
} pv_gnn_range;

/* Errors: PV_ERR_CONFIG (keys named), PV_ERR_NOMEM. */
pv_status pv_gnn_shape_set(pv_gnn_shape *shape, const pv_packed_set *set, const pv_gnn_opts *opts, int heads,
                           int nodes);

/* Tensors are registered with names below the prefix that is set.  A layer borrows the shape. */
typedef struct pv_gnn_attention {
    const pv_gnn_shape *shape;
    pv_packed_linear node, edge; /* to query, key, value; to query, key, factor */
    pv_packed_linear added;      /* of an edge to what it adds to values */
} pv_gnn_attention;

/* Registers qkv_node and qkv_edge. */
void pv_gnn_attention_new(pv_gnn_attention *a, pv_packed_set *set, const pv_gnn_shape *shape,
                          const pv_gnn_opts *opts);
/* Shapes   nodes [shape.nodes][node]; edges [range.count][nodes][edge]; out [range.count][channels] */
void pv_gnn_attention_forward(const pv_gnn_attention *a, const pv_gnn_range *range, const pv_real *nodes,
                              const pv_real *edges, pv_real *out);
/* Adds to dnodes and dedges. */
void pv_gnn_attention_backward(const pv_gnn_attention *a, const pv_gnn_range *range, const pv_real *nodes,
                               const pv_real *edges, const pv_real *dout, pv_real *dnodes, pv_real *dedges);

/* How both updates end: z = norm0(x + branch), y = norm1(z + mlp2(gelu(mlp0(z)))), with dropout in front of
 * both sums. */
typedef struct pv_gnn_residual {
    const pv_dropout *dropout;
    pv_packed_linear mlp0, mlp2;
    pv_packed_norm norm0, norm1;
} pv_gnn_residual;

typedef struct pv_gnn_nodes {
    const pv_gnn_shape *shape;
    pv_packed_linear out, lin0;
    pv_gnn_residual residual;
    int site; /* of dropout: two */
} pv_gnn_nodes;

/* Registers self_attn.proj_out, lin0, node_ln0, node_ln1 and node_mlp. */
void pv_gnn_nodes_new(pv_gnn_nodes *n, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      int site);
/* Shapes   x, y [range.count][node], the nodes of the range; out [range.count][channels] of attention */
void pv_gnn_nodes_forward(const pv_gnn_nodes *n, const pv_gnn_range *range, const pv_real *x,
                          const pv_real *out, pv_real *y);
/* Adds to dx; sets dout.  dy is overwritten. */
void pv_gnn_nodes_backward(const pv_gnn_nodes *n, const pv_gnn_range *range, const pv_real *x,
                           const pv_real *out, pv_real *dy, pv_real *dx, pv_real *dout);

typedef struct pv_gnn_edges {
    const pv_gnn_shape *shape;
    pv_packed_linear own, reverse; /* lin0_e of an edge, and of the one that runs back */
    pv_packed_linear source, target, lin1;
    pv_gnn_residual residual;
    int site; /* of dropout: two a node */
} pv_gnn_edges;

/* Registers edge_mlp0, edge_mlp1, eln0 and eln1. */
void pv_gnn_edges_new(pv_gnn_edges *e, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      int site);
/* Shapes   nodes [nodes][node], updated; x [nodes][nodes][edge]; y [range.count][nodes][edge] */
void pv_gnn_edges_forward(const pv_gnn_edges *e, const pv_gnn_range *range, const pv_real *nodes,
                          const pv_real *x, pv_real *y);
/* Adds to dnodes and dx.  dy is overwritten. */
void pv_gnn_edges_backward(const pv_gnn_edges *e, const pv_gnn_range *range, const pv_real *nodes,
                           const pv_real *x, pv_real *dy, pv_real *dnodes, pv_real *dx);

#endif
