/* A layer of message passing on the graph of one sample: messages along the weights and, if asked, against
 * them, the update of units, and that of weights. */
#ifndef PV_SCALEGMN_LAYER_H
#define PV_SCALEGMN_LAYER_H

#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "pv_scalegmn_graph.h"

/* What all layers share: the graph, the parts' workspace, and their own. */
typedef struct pv_scalegmn_shape {
    pv_scalegmn_work work;
    pv_scalegmn_graph graph;
    int ways;  /* 1, or 2 with messages both ways */
    int parts; /* 1 + ways; where units have cosines, those times messages follow: even times odd is odd */
    int sites; /* of dropout a layer */
    pv_real *sent, *dsent;                          /* [nodes][width]: what units send */
    pv_real *even, *deven;                          /* [nodes][width] invariants of units */
    pv_real *source, *target, *dsource, *dtarget;   /* [nodes][width] the edge update's first map of them */
    pv_real *dx, *djoined;                          /* [nodes][width], [nodes][parts width] */
    pv_real *mapped, *product, *dproduct, *message; /* [rows][width] of a block */
    pv_real *types, *dtypes, *typed, *dtyped;       /* [types][width]: embedded; behind a linear map */
    pv_real *sender, *dsender;                      /* [senders][width]: what is sent times that */
    pv_real *first, *dfirst, *odd, *dodd;           /* [senders][width] the map's first step of it */
} pv_scalegmn_shape;

/* Takes the memory when work, graph and parts are set; failures are the memory's. */
void pv_scalegmn_shape_reserve(pv_scalegmn_shape *shape);

/* Messages from one end of every weight to the other. */
typedef struct pv_scalegmn_messages {
    const int *from, *to; /* [edges] nodes */
    const pv_scalegmn_senders *senders;
    int part, place;             /* of the joined features; of dropout */
    pv_packed_linear unit, edge; /* what a message is the product of */
    pv_scalegmn_map map;
} pv_scalegmn_messages;

/* The new features of a weight: W e times phi of invariants of both ends. */
typedef struct pv_scalegmn_edges {
    pv_packed_linear linear;         /* W; weight NULL: weights stay as they are */
    pv_packed_linear source, target; /* phi's first map, of either end; target has the bias */
    pv_scalegmn_mlp phi, rho;        /* of phi without the first map */
} pv_scalegmn_edges;

typedef struct pv_scalegmn_layer {
    const pv_scalegmn_shape *shape;
    pv_scalegmn_messages messages[2]; /* along, against */
    pv_scalegmn_map update;
    pv_scalegmn_edges edges;
    pv_packed_linear skip;
} pv_scalegmn_layer;

/* Registers, each with the prefix that the caller has set: w_v, w_e and message_fn; the map of new unit
 * features below `name`; the map of new weight features below `name`. */
void pv_scalegmn_messages_new(pv_scalegmn_layer *layer, bool against);
void pv_scalegmn_update_new(pv_scalegmn_layer *layer, const char *name);
void pv_scalegmn_edges_new(pv_scalegmn_layer *layer, const char *name);

/* A layer at work on one row, whose sites of dropout begin at place.site.
 * Shapes   x, y [nodes][width]; joined [nodes][parts width]: x beside the sums of messages, which backward
 * needs; e, next [edges][width]: of the weights, e NULL: as they are embedded; next: unused where weights are
 * not updated. */
typedef struct pv_scalegmn_pass {
    pv_scalegmn_place place;
    const pv_real *row, *x, *e;
    pv_real *joined;
} pv_scalegmn_pass;

void pv_scalegmn_layer_forward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *next,
                               pv_real *y);
/* dx [nodes][width] and de [edges][width]: gradients of what the layer gives on entry, of what it is given on
 * return; where e is NULL they are added to those of the embedding and, unless NULL, to drow. */
void pv_scalegmn_layer_backward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *de,
                                pv_real *dx, pv_real *drow);

/* Multiply-adds of a sample, times two, forward; embedded: as pv_scalegmn_pass.e NULL. */
double pv_scalegmn_layer_flops(const pv_scalegmn_layer *layer, bool embedded);

#endif
