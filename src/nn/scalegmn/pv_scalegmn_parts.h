/* What the network is made of: perceptrons, their even parts, and maps that are odd in hidden units.
 *
 * All work on rows of features of at most PV_SCALEGMN_ROWS, and leave in the workspace what their own
 * backward needs, which therefore runs them again. */
#ifndef PV_SCALEGMN_PARTS_H
#define PV_SCALEGMN_PARTS_H

#include "nn/core/pv_dropout.h"
#include "nn/core/pv_packed.h"

enum { PV_SCALEGMN_ROWS = 64 }; /* at once: what lies between two maps stays in the second-level cache */

/* Linear, LayerNorm, SiLU, dropout, Linear. */
typedef struct pv_scalegmn_mlp {
    pv_packed_linear first, last; /* last.weight NULL: it ends behind the dropout */
    pv_packed_norm norm;
} pv_scalegmn_mlp;

/* Around the activation of a perceptron, [rows][width]; dafter: the gradient behind it, then before it. */
typedef struct pv_scalegmn_hidden {
    pv_real *before, *after, *slope, *dafter;
} pv_scalegmn_hidden;

/* What all parts of a net share. */
typedef struct pv_scalegmn_work {
    pv_packed_set *set;
    const pv_nn_kernels *dense;
    const pv_transformer_kernels *kernels;
    pv_dropout dropout;
    int features, width;            /* of a unit or weight, as published and padded */
    pv_scalegmn_hidden pair, plain; /* pair: [2 rows], of x and of -x */
    pv_real *first, *dfirst;        /* [rows][width] behind the first map of rho, without its bias */
    pv_real *odd, *dodd, *factor;   /* [rows][width] */
    uint16_t *draws;                /* of an activation's dropout */
} pv_scalegmn_work;

/* Takes the memory of a workspace whose other members are set; failures are the memory's. */
void pv_scalegmn_work_reserve(pv_scalegmn_work *work);

/* Whose rows are computed, and the first of their sites of dropout: as many as a part says. */
typedef struct pv_scalegmn_place {
    const pv_pass *pass;
    int sample, site;
    bool backward; /* slopes are wanted */
} pv_scalegmn_place;

/* Drops some of n numbers, or of their gradients. */
void pv_scalegmn_drop(const pv_scalegmn_work *work, const pv_scalegmn_place *place, int site, int64_t n,
                      pv_real *x);

/* ---- perceptrons, on work->plain: one site ---- */

/* Registers <name>.fc.0, .fc.1 and .ln.0, from `in` to `out` times the features; out 0: without .fc.1. */
pv_scalegmn_mlp pv_scalegmn_mlp_new(const pv_scalegmn_work *work, const char *name, int in, int out);
/* Of what stands in work->plain.before; y may be NULL where there is no last map.  And back to the gradient
 * of that in work->plain.dafter, where that of the activation is expected if there is no last map. */
void pv_scalegmn_mlp_finish(const pv_scalegmn_work *work, const pv_scalegmn_mlp *mlp, int64_t rows,
                            const pv_scalegmn_place *place, pv_real *y);
void pv_scalegmn_mlp_unfinish(const pv_scalegmn_work *work, const pv_scalegmn_mlp *mlp, int64_t rows,
                              const pv_real *dy);

/* ---- rho(x) + rho(-x), on work->pair: one site ---- */

void pv_scalegmn_even_forward(const pv_scalegmn_work *work, const pv_scalegmn_mlp *rho, int64_t rows,
                              const pv_scalegmn_place *place, const pv_real *x, pv_real *y);
/* After a forward of the same rows; dx is set, or added to. */
void pv_scalegmn_even_backward(const pv_scalegmn_work *work, const pv_scalegmn_mlp *rho, int64_t rows,
                               const pv_real *x, const pv_real *dy, bool add, pv_real *dx);

/* ---- phi(rho(x) + rho(-x)): two sites ---- */

/* Between rho's last map and phi's first there is nothing: they are joined into one before a pass. */
typedef struct pv_scalegmn_invariant {
    pv_scalegmn_mlp phi, rho;
    pv_packed_linear joint;
} pv_scalegmn_invariant;

/* Registers <name>.phi and <name>.rho. */
pv_scalegmn_invariant pv_scalegmn_invariant_new(const pv_scalegmn_work *work, const char *name, int in);
/* After parameters were packed: makes the joint map.  Before and behind backward of all rows: clears its
 * gradients; adds them to those of the two maps. */
void pv_scalegmn_invariant_join(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g);
void pv_scalegmn_invariant_clear(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g);
void pv_scalegmn_invariant_part(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g);

void pv_scalegmn_invariant_forward(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g, int64_t rows,
                                   const pv_scalegmn_place *place, const pv_real *x, pv_real *y);
/* After a forward of the same rows; sets dx. */
void pv_scalegmn_invariant_backward(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g,
                                    int64_t rows, const pv_real *x, const pv_real *dy, pv_real *dx);

/* ---- the map of rows that belong to units ---- */

/* Hidden units have signs, which inputs and outputs do not. */
typedef enum pv_scalegmn_role {
    PV_SCALEGMN_INPUT,
    PV_SCALEGMN_HIDDEN,
    PV_SCALEGMN_OUTPUT,
    PV_SCALEGMN_ROLES
} pv_scalegmn_role;

/* Of hidden units W x times an invariant of x, thus odd in x; of the others a perceptron each: two sites. */
typedef struct pv_scalegmn_map {
    pv_packed_linear odd;
    pv_scalegmn_invariant invariant;
    pv_scalegmn_mlp other[PV_SCALEGMN_ROLES]; /* of PV_SCALEGMN_HIDDEN there is none */
} pv_scalegmn_map;

/* Registers <name>.eq_layers.0 and, for roles that occur, .eq_layers_in.0 and .eq_layers_last.0. */
pv_scalegmn_map pv_scalegmn_map_new(const pv_scalegmn_work *work, const char *name, int in, bool inputs,
                                    bool outputs);

/* The map in two steps.  The first is linear: what rho, or the perceptron, begins with, and W.  Any rows.
 * Shapes   x [rows][in width]; first, odd [rows][width]; odd is of hidden units only */
void pv_scalegmn_map_open(const pv_scalegmn_map *map, pv_scalegmn_role role, int64_t rows, const pv_real *x,
                          pv_real *first, pv_real *odd);
/* Sets dx. */
void pv_scalegmn_map_open_backward(const pv_scalegmn_map *map, pv_scalegmn_role role, int64_t rows,
                                   const pv_real *x, const pv_real *dfirst, const pv_real *dodd, pv_real *dx);
/* The second goes on from work->first and work->odd.  y [rows][width] */
void pv_scalegmn_map_close(const pv_scalegmn_work *work, const pv_scalegmn_map *map, pv_scalegmn_role role,
                           int64_t rows, const pv_scalegmn_place *place, pv_real *y);
/* Runs it again; sets work->dfirst and work->dodd. */
void pv_scalegmn_map_close_backward(const pv_scalegmn_work *work, const pv_scalegmn_map *map,
                                    pv_scalegmn_role role, int64_t rows, const pv_scalegmn_place *place,
                                    const pv_real *dy);

/* Multiply-adds a row, times two, forward: of both steps of a map, or of its second. */
double pv_scalegmn_map_flops(const pv_scalegmn_work *work, const pv_scalegmn_map *map, pv_scalegmn_role role);
double pv_scalegmn_close_flops(const pv_scalegmn_work *work, pv_scalegmn_role role);
double pv_scalegmn_invariant_flops(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g);

#endif
