/* One DWS layer: the sum of all its maps over 2L, plus an optional skip.
 *
 * It works on sets of a few samples (a tile), so that what it reads twice is still in a cache.  A pass over a
 * batch is
 *     pack;  for all tiles: pool the source, forward
 *     begin; for all tiles: pool the source, pool the target, backward;  end
 * and nothing is kept from one tile to the next but sums of gradients. */
#ifndef PV_DWS_LAYER_H
#define PV_DWS_LAYER_H

#include "pv_dws_space.h"
#include "nn/core/pv_set_attention.h"
#include "nn/core/pv_words_kernels.h"
#include "nn/dws/pv_dws_narrow_kernels.h"

typedef struct pv_dws_layer_opts {
    int in, out; /* features */
    int fc_layers;
    pv_set_layer set_layer;
    int heads; /* of set layer sab */
    pv_pooling reduction;
    bool diagonal, skip;
    bool picked; /* the output's gradient comes as picks to the entrywise maps; not with a skip */
} pv_dws_layer_opts;

/* Which margin of which tensor goes to which of which other, through what. */
typedef struct pv_dws_map {
    pv_stack stack; /* of depth 1: one linear map, done jointly with others; of depth 0: it is an attention */
    pv_sab sab;
    int source, target;
    pv_dws_margin from, to;
    int positions; /* a sample: the same number at both ends */
    int in, out;   /* channels a position: the features of one entry, or of a whole row or column */
    double scale;  /* everything between the op and the sum: 1/(2L), 1/4, the sign of Lambda */
    int bias;      /* tensor id of the last linear's bias, which the layer adds; -1 if there is none */
    pv_dws_margin bias_to; /* it is the same for all samples: the coarsest margin of the target that has it */
    pv_real *forward;  /* [in][out], of a single linear map: its weight times scale, packed by the layer */
    pv_real *backward; /* [out][in] */
    pv_real *forward_pairs, *backward_pairs, *raw; /* with words: both as pairs, the gradient by 1/scale */
    struct pv_dws_map *next_into, *next_from;      /* in a list of the layer */
} pv_dws_map;

enum { PV_DWS_JOINT_MAX = 8 * PV_DWS_MAX_LAYERS }; /* maps of a list, at most */

/* What sets hold of the tensors with an entrywise map (pv_dws_pass.h). */
typedef enum pv_dws_kept {
    PV_DWS_FLOATS,
    PV_DWS_WORDS_OUT, /* the output: words; the input, and the output's gradient: floats */
    PV_DWS_WORDS
} pv_dws_kept;

/* What passes with words need: copies of margins, and of tensors of floats, laid out as a set of words; the
 * other forms of those that go together, by tensor, and their rows of a whole batch where a sample has one;
 * the gradients of picks. */
typedef struct pv_dws_narrow {
    bool own;
    const pv_words_kernels *words;
    const pv_dws_narrow_kernels *kernels;
    const pv_dws_narrow_back_kernels *back;
    pv_real *x[PV_MARGIN_COUNT], *dy[PV_MARGIN_COUNT];
    pv_real *pairs[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT], *turned[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT];
    pv_real *late_x[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT], *late_dy[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT];
    int64_t late; /* samples whose rows are gathered in these */
    pv_real *picked;
} pv_dws_narrow;

typedef struct pv_dws_layer {
    const pv_dws_space *space,
        *from_space; /* of the output; of the input, which differs in columns of biases */
    pv_nn_params *params;
    const pv_matrix_kernels *matrix;
    pv_dws_layer_opts opts;
    pv_dws_map *maps;
    int count;
    pv_sab_work work; /* of all attentions */
    /* Of the single linear maps, that over all entries of a tensor, and the lists of the others that write or
     * read one margin of a tensor.  NULL: there are none. */
    const pv_dws_map *entrywise[2 * PV_DWS_MAX_LAYERS];
    pv_dws_map *into[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT], *from[2 * PV_DWS_MAX_LAYERS][PV_MARGIN_COUNT];
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
    pv_dws_kept kept;              /* the caller's to say, before a pass */
    pv_dws_narrow narrow;          /* if it may be anything but floats */
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

/* Registers the parameters under <prefix>; takes all memory from that of params.  The spaces and params are
 * borrowed and must stay where they are, and so must the layer.  A skip needs one space.
 * Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (heads). */
pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *from_space, const pv_dws_space *space,
                           const pv_dws_layer_opts *opts, int max_count, const char *prefix,
                           pv_nn_params *params);

/* A part of it: enumerates the maps and registers their parameters as <prefix>weight_to_weight.layers.0_0...,
 * in state_dict order.  Source   the published layer (Shamsian et al. 2024), with its divisor 2L and the sums
 * of its set layers Gamma(x) - Lambda(r(x)) taken apart: Lambda reads the pooled margin that other maps read
 * too, and writes a coarser margin of the target.  The set layer sab is one map. */
pv_status pv_dws_plan(pv_dws_layer *layer, int max_count, const char *prefix);

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

/* Parts of a pass.  Sets what is spread over the output to the biases. */
void pv_dws_layer_start(const pv_dws_layer *layer, int count);
/* The last step forward of a tensor: the product over its entries, to which the rest is added. */
void pv_dws_layer_combine(pv_dws_layer *layer, int count, int tensor, const pv_dws_narrow_product *product,
                          bool begun, pv_real *y, const pv_dws_moments *moments);
/* Adds to the gradients of the biases. */
void pv_dws_layer_biases_backward(pv_dws_layer *layer, int count);
/* What deactivation needs for a tensor of x. */
pv_dws_gate pv_dws_layer_gate(const pv_dws_part *part, int tensor, const pv_real *x, const pv_dws_exit *out);

/* Multiply-adds of one sample, times two, forward. */
double pv_dws_layer_flops(const pv_dws_layer *layer);

#endif
