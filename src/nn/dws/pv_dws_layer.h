/* One DWS layer: the sum of all its maps over 2L, plus an optional skip.
 *
 * It works on sets of a few samples (a tile), so that what it reads twice is still in a cache.  A pass over a
 * batch is
 *     pack;  for all tiles: pool the source, forward
 *     begin; for all tiles: pool the source, pool the target, backward;  end
 * and nothing is kept from one tile to the next but sums of gradients. */
#ifndef PV_DWS_LAYER_H
#define PV_DWS_LAYER_H

#include "pv_dws_plan.h"
#include "pv_dws_space.h"
#include "pv_dws_margins.h"
#include "nn/core/pv_matrix_kernels.h"

typedef struct pv_dws_layer {
    const pv_dws_space *space;
    pv_nn_params *params;
    const pv_matrix_kernels *matrix;
    pv_dws_layer_opts opts;
    pv_dws_plan plan;
    pv_stack skip;         /* per entry, if opts.skip */
    pv_dws_margins source; /* of the input: pooled by the reduction */
    pv_dws_margins target; /* of the output: summed over in backward, spread in forward */
    /* Sums of the biases that all maps add to a tensor, and of their gradients: by column and for all
     * columns. */
    pv_real *bias[PV_MARGIN_COUNT], *dbias[PV_MARGIN_COUNT];
    pv_real *outer; /* a gradient with few inputs, transposed */
    /* By tensor, if opts.picked: where there is room, the caller puts the gradient before backward, and dy is
     * not read. */
    pv_dws_picks *picks;
    pv_real *picked_x, *picked_dx; /* scratch */
} pv_dws_layer;

/* Where the sums of a tensor's values go, each [f]; NULL: not wanted. */
typedef struct pv_dws_moments {
    double *sum[2 * PV_DWS_MAX_LAYERS], *square[2 * PV_DWS_MAX_LAYERS];
} pv_dws_moments;

/* What is done to the input's gradient on its way out. */
typedef struct pv_dws_exit {
    bool relu;
    pv_real keep;
    const pv_real *y; /* the set that the input was made from */
    const pv_real *mean[2 * PV_DWS_MAX_LAYERS];
    double *sum[2 * PV_DWS_MAX_LAYERS], *dot[2 * PV_DWS_MAX_LAYERS]; /* as in pv_dws_gate */
} pv_dws_exit;

/* Registers the parameters under <prefix>; takes all memory from `memory`.  space and params are borrowed and
 * must stay where they are, and so must the layer.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (fc_layers,
 * heads). */
pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           int max_count, const char *prefix, pv_nn_params *params, pv_memory *memory);

/* Takes the parameters as they are now. */
void pv_dws_layer_pack(pv_dws_layer *layer);

/* Shapes   x a set of `count` samples with opts.in features, y with opts.out; the margins of `source` are
 * x's. */
void pv_dws_layer_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y,
                          const pv_dws_moments *moments);

void pv_dws_layer_backward_begin(pv_dws_layer *layer);
/* Adds to the parameters' gradients; dx may be NULL.  The margins of `source` are x's, those of `target` sums
 * of dy. */
void pv_dws_layer_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                           const pv_dws_exit *out);
void pv_dws_layer_backward_end(pv_dws_layer *layer);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_layer_flops(const pv_dws_layer *layer);

#endif
