/* The maps of a DWS layer: which margin of which tensor goes to which of which other, through what. */
#ifndef PV_DWS_PLAN_H
#define PV_DWS_PLAN_H

#include "pv_dws_space.h"
#include "base/pv_mem.h"
#include "nn/core/pv_linear.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/core/pv_nn_params.h"
#include "nn/core/pv_set_attention.h"

#include <stdbool.h>

/* Of one layer. */
typedef struct pv_dws_layer_opts {
    int in, out; /* features */
    int fc_layers;
    pv_set_layer set_layer;
    int heads; /* of set layer sab */
    pv_pooling reduction;
    bool diagonal, skip;
    bool picked; /* the output's gradient comes as picks to the entrywise maps; not with a skip */
} pv_dws_layer_opts;

struct pv_dws_map;

/* What a map applies to [count][positions][in] values of samples first.. of the batch.  Forward: y = beta y +
 * scale op(x); backward: adds to the parameters' gradients, and dx = beta dx + scale J^T dy unless dx is
 * NULL. */
typedef struct pv_dws_op {
    void (*reserve)(struct pv_dws_map *map, pv_memory *memory, int max_batch);
    void (*forward)(const struct pv_dws_map *map, const pv_nn_params *params, int first, int count,
                    const pv_real *x, double beta, pv_real *y);
    void (*backward)(const struct pv_dws_map *map, const pv_nn_params *params, int first, int count,
                     const pv_real *x, const pv_real *dy, double beta, pv_real *dx);
    double (*sample_flops)(const struct pv_dws_map *map); /* forward */
} pv_dws_op;

typedef struct pv_dws_map {
    const pv_dws_op *op; /* NULL: one linear map, done jointly with the others of its target or source */
    pv_stack stack;      /* of a linear map */
    pv_sab sab;          /* of the attention op */
    int source, target;
    pv_dws_margin from, to;
    int positions;         /* a sample: the same number at both ends */
    int in, out;           /* channels a position: the features of one entry, or of a whole row or column */
    double scale;          /* everything between the op and the sum: 1/(2L), 1/4, the sign of Lambda */
    bool entrywise;        /* over all entries of one tensor */
    int bias;              /* tensor id of the last linear's bias, -1 if the op has none to hand out */
    pv_dws_margin bias_to; /* it is the same for all samples: the coarsest margin of the target that has it */
    pv_real *forward;  /* [in][out], of a single linear map: its weight times scale, packed by the layer */
    pv_real *backward; /* [out][in] */
} pv_dws_map;

/* All single linear maps that write one margin of a target, or that read one margin of a source. */
enum { PV_DWS_JOINT_MAX = 8 * PV_DWS_MAX_LAYERS }; /* maps of a joint, at most */

typedef struct pv_dws_joint {
    int tensor;
    pv_dws_margin margin;
    int positions, width;
    const pv_dws_map **maps;
    int count;
} pv_dws_joint;

typedef struct pv_dws_plan {
    pv_dws_map *maps;
    int count;
    pv_dws_joint *targets, *sources;
    int target_count, source_count;
    pv_sab_work work; /* of all attention ops */
} pv_dws_plan;

/* Enumerates the maps and registers their parameters as <prefix>weight_to_weight.layers.0_0..., in
 * state_dict order.  Source   the published layer (Shamsian et al. 2024), with its divisor 2L and the sums of
 * its set layers Gamma(x) - Lambda(r(x)) taken apart: Lambda reads the pooled margin that other maps read
 * too, and writes a coarser margin of the target.  The set layer sab is one map.
 * `plan` must stay where it is.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (heads). */
pv_status pv_dws_plan_make(pv_dws_plan *plan, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           const char *prefix, pv_nn_params *params, pv_memory *memory);

#endif
