/* One DWS layer: the sum of all its maps over 2L, plus an optional skip. */
#ifndef PV_DWS_LAYER_H
#define PV_DWS_LAYER_H

#include "nn/pv_dws_plan.h"
#include "nn/pv_dws_space.h"
#include "nn/pv_dws_views.h"

typedef struct pv_dws_layer {
    const pv_dws_space *space;
    pv_nn_params *params;
    pv_dws_layer_opts opts;
    pv_dws_plan plan;
    pv_stack skip;       /* per entry, if opts.skip */
    pv_dws_views source; /* of the input: pooled by the reduction */
    pv_dws_views target; /* of the output: summed over in backward, spread in forward */
} pv_dws_layer;

/* Work of the neighbours that a layer calls while samples first..first+count-1 of a tensor are in cache. */
typedef struct pv_dws_hooks {
    void *context;
    /* Before the input (forward) or the output's gradient (backward) is first read: may write it. */
    void (*before)(void *context, int tensor, int first, int count);
    /* After the output (forward) or the input's gradient (backward) is complete. */
    void (*after)(void *context, int tensor, int first, int count);
} pv_dws_hooks;

/* Registers the parameters under <prefix>; takes all memory from `memory`.  space and params are borrowed and
 * must stay where they are.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (fc_layers). */
pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           int max_batch, const char *prefix, pv_nn_params *params, pv_nn_memory *memory);

/* Shapes   x a set of opts.in features, y of opts.out.  hooks may be NULL. */
void pv_dws_layer_forward(pv_dws_layer *layer, int batch, const pv_real *x, pv_real *y,
                          const pv_dws_hooks *hooks);

/* Backward of the last forward, with the same x; adds to the parameters' gradients; dx may be NULL. */
void pv_dws_layer_backward(pv_dws_layer *layer, int batch, const pv_real *x, const pv_real *dy, pv_real *dx,
                           const pv_dws_hooks *hooks);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_layer_flops(const pv_dws_layer *layer);

#endif
