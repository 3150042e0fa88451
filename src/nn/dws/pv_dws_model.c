/* The published DWS classifier (Shamsian et al. 2024): DWS layers with [batch norm], ReLU and dropout behind
 * each, then an invariant head.  Differs: dropout is off in evaluation.
 *
 * Batch norm needs its sums before anything behind it, so a pass sweeps over the batch once a layer, and only
 * the layers' outputs y and one gradient are kept for the whole batch.  A sweep goes tile by tile: it makes
 * the activation from y (in backward once more), which then stays in a second-level cache for pooling,
 * products and gates.  The last layer's y need not outlive its tile (pv_dws_last.h). */
#include "nn/core/pv_batch_norm.h"
#include "nn/core/pv_dropout.h"
#include "pv_dws_down.h"
#include "pv_dws_head.h"
#include "pv_dws_last.h"
#include "pv_dws_pass.h"
#include "nn/core/pv_model_kind.h"
#include "nn/dws/pv_dws_opts.h"

#include <stdio.h>
#include <string.h>

typedef struct net {
    pv_dws_space space, given; /* given: what the first layer is given, with all numbers of a bias */
    pv_nn_params *params;
    const pv_dws_kernels *kernels;
    pv_dropout dropout;
    bool normed, skipped, downs;
    bool narrow;             /* in training the layers keep words (pv_dws_pass.h) */
    pv_dws_down down;        /* in front of everything; `given` is what it leaves */
    int count, hidden, tile; /* DWS layers, features behind them, samples of a tile */
    const pv_real *rows;     /* of the last forward, or what they are down-sampled to */
    int batch, sweeps;       /* samples of it, sweeps since it began */
    pv_dws_layer *layers;
    pv_batch_norm *norms; /* behind all layers but the last */
    pv_linear skip;       /* from the input to the last layer's output */
    pv_dws_head head;
    /* Sets of the whole batch, tile after tile: the input, the layers' outputs, which of their values dropout
     * keeps, the gradient in flight (in front of the ReLU, or behind batch norm), and the input's. */
    pv_real *input, **y, *gradient, *dinput;
    uint16_t **bits;
    pv_dws_last last;
    /* Of a tile: what a layer is given, the gradient of its output, of the model's skip, and dropout's
     * draws. */
    pv_real *x, *dy, *skip_gradient;
    uint16_t *draws;
} net;

/* Some samples of the batch on their way through the net. */
typedef struct tile {
    net *n;
    const pv_pass *pass;
    int first, count;
} tile;

/* Where the tile's set begins in one of the whole batch; and its input, in that or the gradient of it. */
static pv_real *of_tile(const tile *t, pv_real *set, int f)
{
    return set + t->first * t->n->space.total[PV_MARGIN_FULL] * f;
}
static pv_real *of_input(const tile *t, pv_real *set)
{
    return set + t->first * t->n->given.total[PV_MARGIN_FULL];
}

/* The output of layer k for the tile; that of the last may be kept for one tile only. */
static pv_real *output_of(const tile *t, int k)
{
    const net *n = t->n;
    return k == n->count - 1 && n->last.picks ? n->y[k] : of_tile(t, n->y[k], n->hidden);
}

static bool norm_behind(const net *n, int k)
{
    return n->normed && k < n->count - 1;
}

/* Whether a tensor behind layer k is kept as words. */
static bool words_behind(const net *n, int k, int tensor)
{
    return n->layers[k].kept != PV_DWS_FLOATS && n->layers[k].entrywise[tensor];
}

static bool drops(const tile *t)
{
    return t->pass->training && t->n->dropout.rate > 0;
}

/* Dropout's words for a tensor of the activation behind layer k. */
static uint16_t *words_of(const tile *t, int k, int tensor)
{
    const net *n = t->n;
    return n->bits[k] + t->first * n->space.total[PV_MARGIN_FULL] * pv_dws_words(n->kernels, n->hidden) +
           pv_dws_at(&n->space, tensor, PV_MARGIN_FULL, t->count, 0, pv_dws_words(n->kernels, n->hidden));
}

static void draw_bits(const tile *t, int k)
{
    const net *n = t->n;
    const uint32_t threshold = pv_dropout_threshold(&n->dropout);
    for (int tensor = 0; tensor < n->space.tensors; tensor++) {
        const int64_t entries = pv_dws_entries(&n->space, tensor, PV_MARGIN_FULL);
        const int site = (k + 1) * n->space.tensors + tensor;
        uint16_t *bits = words_of(t, k, tensor);
        for (int i = 0; i < t->count; i++, bits += entries * pv_dws_words(n->kernels, n->hidden)) {
            pv_dropout_draw(t->pass, site, t->first + i, entries * n->hidden, n->draws);
            n->kernels->pack_bits(entries, n->hidden, n->draws, threshold, bits);
        }
    }
}

/* Makes the activation of one tensor behind layer k of a tile, in n->x, and pools it into `margins`. */
static void activate_tensor(const tile *t, int k, int tensor, pv_dws_margins *margins)
{
    net *n = t->n;
    const int at = tensor * n->hidden;
    const pv_batch_norm *norm = norm_behind(n, k) ? &n->norms[k] : NULL;
    const pv_dws_activation how = {.scale = norm ? norm->scale + at : NULL,
                                   .shift = norm ? norm->shift + at : NULL,
                                   .bits = drops(t) ? words_of(t, k, tensor) : NULL,
                                   .keep = (pv_real)pv_dropout_scale(&n->dropout)};
    if (!words_behind(n, k, tensor)) {
        pv_dws_margins_activate(margins, t->count, tensor, &how, output_of(t, k), n->x);
        return;
    }
    const pv_dws_part part = pv_dws_part_of(margins, t->count, tensor);
    n->layers[k].narrow.kernels->activate(&part.block, &how, output_of(t, k) + part.at, n->x + part.at,
                                          &part.pooled);
}

static void activate(const tile *t, int k, pv_dws_margins *margins)
{
    for (int tensor = 0; tensor < t->n->space.tensors; tensor++)
        activate_tensor(t, k, tensor, margins);
}

/* What layer k is given, its margins pooled. */
static const pv_real *source(const tile *t, int k)
{
    net *n = t->n;
    if (k) {
        activate(t, k - 1, &n->layers[k].source);
        return n->x;
    }
    const pv_real *input = of_input(t, n->input);
    pv_dws_margins_pool(&n->layers[0].source, t->count, input);
    return input;
}

/* The last layer's output gets the skip, and is pooled for the head. */
static void tile_to_head(const tile *t)
{
    net *n = t->n;
    const int last = n->count - 1;
    if (n->skipped) {
        const int64_t entries = t->count * n->space.total[PV_MARGIN_FULL];
        pv_linear_forward(&n->skip, n->params, entries, 1, of_input(t, n->input), 1, output_of(t, last));
    }
    if (drops(t)) draw_bits(t, last);
    activate(t, last, &n->head.margins);
    pv_dws_head_take(&n->head, t->first, t->count, n->x);
    if (t->pass->training && n->last.picks)
        pv_dws_last_keep(&n->last, t->first, t->count, output_of(t, last), n->x, &n->head.margins);
}

static void enter(const tile *t, int k, void *context)
{
    (void)k, (void)context;
    const net *n = t->n;
    pv_dws_enter(&n->given, t->count, n->rows + t->first * n->given.total[PV_MARGIN_FULL],
                 of_input(t, n->input));
}

static void tile_forward(const tile *t, int k, void *moments)
{
    net *n = t->n;
    if (k && drops(t)) draw_bits(t, k - 1);
    const pv_real *x = source(t, k);
    pv_dws_pass_forward(&n->layers[k], t->count, x, output_of(t, k), moments);
    if (k == n->count - 1) tile_to_head(t);
}

/* Every other sweep goes through the tiles backwards, because the last of them are still in the third-level
 * cache. */
static void sweep(net *n, const pv_pass *pass, int k, void (*work)(const tile *, int, void *), void *context)
{
    const int tiles = (n->batch + n->tile - 1) / n->tile;
    for (int i = 0; i < tiles; i++) {
        const int first = n->tile * (n->sweeps % 2 ? tiles - 1 - i : i);
        const int count = n->batch - first < n->tile ? n->batch - first : n->tile;
        const tile t = {.n = n, .pass = pass, .first = first, .count = count};
        work(&t, k, context);
    }
    n->sweeps++;
}

static void begin(net *n, const pv_pass *pass, const pv_real *rows, int batch)
{
    n->batch = batch;
    n->sweeps = 0;
    for (int k = 0; k < n->count; k++)
        n->layers[k].kept = !n->narrow || !pass->training ? PV_DWS_FLOATS
                            : k                           ? PV_DWS_WORDS
                                                          : PV_DWS_WORDS_OUT;
    n->rows = n->downs ? pv_dws_down_forward(&n->down, rows, batch) : rows;
    sweep(n, pass, 0, enter, NULL);
}

/* Stage k is DWS layer k, and the last one the head's. */
static pv_batch_sums forward(void *context, const pv_pass *pass, int k, const pv_real *rows, int batch,
                             pv_real *logits)
{
    net *n = context;
    if (k == 0) begin(n, pass, rows, batch);
    if (k > 0 && norm_behind(n, k - 1)) pv_batch_norm_settle(&n->norms[k - 1], pass);
    if (k == n->count) {
        pv_head_forward(&n->head.linear, batch, logits);
        return (pv_batch_sums){0};
    }
    pv_dws_moments moments = {.sum = {NULL}};
    const bool collects = norm_behind(n, k) && pass->training;
    if (collects) pv_batch_norm_clear(&n->norms[k]);
    for (int i = 0; collects && i < n->space.tensors; i++) {
        moments.sum[i] = pv_batch_norm_first(&n->norms[k], i);
        moments.square[i] = pv_batch_norm_second(&n->norms[k], i);
    }
    pv_dws_pass_pack(&n->layers[k]);
    sweep(n, pass, k, tile_forward, &moments);
    return collects ? pv_batch_norm_sums(&n->norms[k]) : (pv_batch_sums){0};
}

/* The gradient of the last layer's output in n->dy, from the head's. */
static void tile_from_head(const tile *t, bool to_input)
{
    net *n = t->n;
    const int last = n->count - 1;
    if (n->last.picks) pv_dws_last_restore(&n->last, t->first, t->count, n->y[last]);
    for (int tensor = 0; tensor < n->space.tensors; tensor++)
        if (!pv_dws_last_picked(&n->last, tensor)) activate_tensor(t, last, tensor, &n->head.margins);
    pv_dws_head_spread(&n->head, t->first, t->count, n->x, pv_dropout_scale(&n->dropout), n->dy,
                       n->last.picks);
    if (!n->skipped) return;
    const int64_t entries = t->count * n->space.total[PV_MARGIN_FULL];
    pv_linear_backward(&n->skip, n->params, entries, 1, of_input(t, n->input), n->dy, 0,
                       to_input ? of_input(t, n->skip_gradient) : NULL);
}

/* The gradient of layer k's output in n->dy, its sums in the layer's target. */
static void gradient_of_output(const tile *t, int k, bool to_input)
{
    net *n = t->n;
    pv_dws_margins *target = &n->layers[k].target;
    const pv_real *dz = of_tile(t, n->gradient, n->hidden);
    if (norm_behind(n, k)) {
        for (int tensor = 0; tensor < n->space.tensors; tensor++) {
            const pv_batch_norm *norm = &n->norms[k];
            const int at = tensor * n->hidden;
            const pv_dws_norm_back how = {norm->centre + at, norm->from_dz + at, norm->from_y + at,
                                          norm->c + at};
            const pv_dws_part part = pv_dws_part_of(target, t->count, tensor);
            const pv_real *y = of_tile(t, n->y[k], n->hidden) + part.at;
            if (words_behind(n, k, tensor))
                n->layers[k].narrow.back->normalise_back(&part.block, &how, y, dz + part.at,
                                                         n->layers[k].kept == PV_DWS_WORDS_OUT,
                                                         n->dy + part.at, &part.pooled);
            else
                target->back->normalise_back(&part.block, &how, y, dz + part.at, n->dy + part.at,
                                             &part.pooled);
        }
        return;
    }
    if (k == n->count - 1)
        tile_from_head(t, to_input);
    else
        memcpy(n->dy, dz,
               sizeof *dz * (size_t)(t->count * n->space.total[PV_MARGIN_FULL]) * (size_t)n->hidden);
    for (int tensor = 0; tensor < n->space.tensors; tensor++)
        if (k == n->count - 1 && pv_dws_last_picked(&n->last, tensor))
            pv_dws_margins_pool_picks(target, t->count, tensor, &n->last.picks[tensor]);
        else
            pv_dws_margins_pool_tensor(target, t->count, tensor, n->dy);
}

/* How the gradient of layer k's input leaves: through the activation behind layer k - 1. */
static pv_dws_exit exit_of(const tile *t, int k)
{
    const net *n = t->n;
    pv_dws_exit out = {.relu = k > 0, .keep = (pv_real)pv_dropout_scale(&n->dropout)};
    if (k == 0 || !norm_behind(n, k - 1)) return out;
    const pv_batch_norm *norm = &n->norms[k - 1];
    out.y = of_tile(t, n->y[k - 1], n->hidden);
    for (int i = 0; i < n->space.tensors; i++) {
        out.mean[i] = norm->centre + i * n->hidden;
        out.sum[i] = pv_batch_norm_first(norm, i);
        out.dot[i] = pv_batch_norm_second(norm, i);
    }
    return out;
}

static void tile_backward(const tile *t, int k, void *drows)
{
    net *n = t->n;
    const bool to_input = drows != NULL;
    gradient_of_output(t, k, to_input);
    const pv_real *x = source(t, k);
    const pv_dws_exit out = exit_of(t, k);
    pv_real *dx = k ? of_tile(t, n->gradient, n->hidden) : to_input ? of_input(t, n->dinput) : NULL;
    pv_dws_pass_backward(&n->layers[k], t->count, x, n->dy, dx, &out);
}

static void leave(const tile *t, int k, void *rows)
{
    (void)k;
    pv_real *drows = rows;
    net *n = t->n;
    const int64_t entries = n->given.total[PV_MARGIN_FULL];
    pv_real *dinput = of_input(t, n->dinput);
    if (n->skipped)
        n->params->kernels->add_row(1, (int)(t->count * entries), 1, of_input(t, n->skip_gradient), dinput);
    pv_dws_leave(&n->given, t->count, dinput, drows + t->first * entries);
}

/* Stage k ends in front of DWS layer k, with the gradient behind batch norm, if there is one, in
 * n->gradient. */
static pv_batch_sums backward(void *context, const pv_pass *pass, int k, const pv_real *dlogits,
                              pv_real *drows)
{
    net *n = context;
    if (k == n->count) {
        pv_head_backward(&n->head.linear, n->batch, dlogits);
        return (pv_batch_sums){0};
    }
    pv_real *const dinput = n->downs ? n->down.drows : drows;
    const bool collects = k > 0 && norm_behind(n, k - 1);
    if (norm_behind(n, k)) pv_batch_norm_backward_settle(&n->norms[k], pass);
    if (collects) pv_batch_norm_clear(&n->norms[k - 1]);
    pv_dws_pass_backward_begin(&n->layers[k]);
    sweep(n, pass, k, tile_backward, dinput);
    pv_dws_pass_backward_end(&n->layers[k]);
    if (k == 0 && dinput) sweep(n, pass, 0, leave, dinput);
    if (k == 0 && n->downs) pv_dws_down_backward(&n->down, n->batch, drows);
    return collects ? pv_batch_norm_backward_sums(&n->norms[k - 1]) : (pv_batch_sums){0};
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    return pv_stack_features(&n->head.linear.stack, n->head.linear.x, width);
}

static double forward_flops(const void *context)
{
    const net *n = context;
    double flops = pv_stack_row_flops(&n->head.linear.stack);
    for (int k = 0; k < n->count; k++)
        flops += pv_dws_layer_flops(&n->layers[k]);
    if (n->skipped) flops += 2.0 * (double)n->space.total[PV_MARGIN_FULL] * n->hidden;
    if (n->downs) flops += pv_dws_down_flops(&n->down);
    return flops;
}

static void new_norm(net *n, int k, int slot)
{
    n->norms[k] = (pv_batch_norm){.params = n->params, .features = n->hidden};
    for (int t = 0; t < n->space.tensors; t++) {
        char name[PV_NN_NAME];
        const bool weight = t < n->space.layers;
        snprintf(name, sizeof name, "layers.layers.%d.%s.%d", slot, weight ? "weights_bn" : "biases_bn",
                 weight ? t : t - n->space.layers);
        pv_batch_norm_add(&n->norms[k], name, pv_dws_entries(&n->space, t, PV_MARGIN_FULL));
    }
    pv_batch_norm_reserve(&n->norms[k]);
}

static pv_dws_layer_opts layer_opts(const net *n, const pv_model_opts *opts, int k)
{
    const pv_dws_opts *o = opts->kind.options;
    return (pv_dws_layer_opts){.in = k ? n->hidden : 1,
                               .out = n->hidden,
                               .fc_layers = o->fc_layers,
                               .set_layer = o->set_layer,
                               .heads = k && k == n->count - 1 ? 1 : opts->heads,
                               .reduction = o->reduction,
                               .diagonal = o->diagonal,
                               .skip = o->layer_skip,
                               .picked = k == n->count - 1 && o->reduction == PV_POOL_MAX && !o->skip &&
                                         !o->layer_skip};
}

/* In the order of state_dict; batch norm, ReLU and dropout count among the published modules. */
static pv_status new_layers(net *n, const pv_model_request *request)
{
    const pv_model_opts *opts = request->opts;
    const pv_dws_opts *o = opts->kind.options;
    if (n->skipped) n->skip = pv_linear_new(n->params, "layers.skip", 1, n->hidden, true, PV_LINEAR_AVERAGE);
    for (int k = 0; k < n->count; k++) {
        const pv_dws_layer_opts layer = layer_opts(n, opts, k);
        const int slot = k * (n->normed ? 4 : 3);
        char prefix[PV_NN_NAME];
        snprintf(prefix, sizeof prefix, "layers.layers.%d.", slot);
        if (k) pv_nn_params_next_stage(n->params);
        const pv_status st = pv_dws_layer_new(&n->layers[k], k ? &n->space : &n->given, &n->space, &layer,
                                              n->tile, prefix, n->params);
        if (st != PV_OK) return st;
        if (norm_behind(n, k)) new_norm(n, k, slot + 1);
    }
    pv_nn_params_next_stage(n->params);
    pv_dws_head_new(&n->head, &n->space, n->hidden, request->classes, o->out_fc, o->reduction,
                    request->max_batch, n->tile, n->params);
    return PV_OK;
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const int64_t entries = n->space.total[PV_MARGIN_FULL], values = entries * n->hidden;
    const int64_t given = n->given.total[PV_MARGIN_FULL];
    const int words = pv_dws_words(n->kernels, n->hidden);
    PV_TAKE(memory, max_batch * given, &n->input, &n->dinput);
    if (n->skipped) PV_TAKE(memory, max_batch * given, &n->skip_gradient);
    n->last = pv_dws_last_new(&n->layers[n->count - 1], max_batch, memory);
    for (int k = 0; k < n->count; k++) {
        PV_TAKE(memory, (k == n->count - 1 && n->last.picks ? n->tile : max_batch) * values, &n->y[k]);
        if (n->dropout.rate > 0) PV_TAKE(memory, max_batch * entries * words, &n->bits[k]);
    }
    for (int k = 0; k < n->count && n->narrow; k++)
        pv_dws_pass_reserve(&n->layers[k], n->tile, (int)max_batch);
    PV_TAKE(memory, max_batch * values, &n->gradient);
    PV_TAKE(memory, n->tile * values + PV_WORDS_SPARE * n->hidden, &n->x, &n->dy);
    PV_TAKE(memory, PV_DROPOUT_DRAWS(values), &n->draws);
}

/* The spaces that the layers work in: that of the INRs, with narrower inputs if they are sampled down. */
static pv_status set_spaces(net *n, const pv_model_request *request)
{
    const pv_dws_opts *opts = request->opts->kind.options;
    const pv_arch *arch = request->arch;
    const pv_reading features = request->opts->features;
    const int numbers = pv_reading_bias(arch, features, 0);
    int dims[PV_DWS_MAX_LAYERS + 1] = {0};
    pv_status st;
    PV_TRY(pv_dws_space_set(&n->space, arch->dims, arch->layers, 1));
    memcpy(dims, arch->dims, sizeof *dims * (size_t)(arch->layers + 1));
    if (n->downs) {
        PV_TRY(pv_dws_down_new(&n->down, dims, pv_reading_count(arch, features), opts->downsample,
                               opts->fc_layers, request->max_batch, "layers.layers.0.down_sample.set_layer.",
                               n->params));
        dims[0] = opts->downsample;
        PV_TRY(pv_dws_space_set(&n->space, dims, arch->layers, 1));
    }
    if (numbers > 1 && (opts->skip || opts->layer_skip))
        PV_TRY(pv_fail(PV_ERR_CONFIG,
                       "model.features: %s gives a bias %d numbers, which model.skip and "
                       "model.layer_skip do not add to the one that comes out",
                       pv_readings[features], numbers));
    st = pv_dws_space_set(&n->given, dims, arch->layers, numbers);
done:
    return st;
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_model_opts *opts = request->opts;
    const pv_dws_opts *own = opts->kind.options;
    pv_memory *memory = params->memory;
    net *n = pv_take(memory, 1, sizeof *n);
    if (!n) return pv_memory_status(memory);
    *out = n;
    *n = (net){.params = params,
               .kernels = PV_ISA_CHOOSE(pv_dws_kernels),
               .dropout = {opts->dropout, params->kernels},
               .normed = opts->batch_norm,
               .skipped = own->skip,
               .downs = own->downsample > 0,
               .count = opts->layers + 1,
               .hidden = opts->hidden};
    const pv_dws_layer_opts inner = layer_opts(n, opts, 1);
    n->narrow = opts->narrow && opts->batch_norm && !own->skip && pv_dws_pass_can(&inner);
    pv_status st = set_spaces(n, request);
    if (st != PV_OK) return st;
    n->tile = pv_dws_tile(&n->space, n->hidden, n->narrow);
    if (n->tile > request->max_batch) n->tile = request->max_batch;
    PV_TAKE(memory, n->count, &n->layers);
    PV_TAKE(memory, n->count, &n->norms);
    PV_TAKE(memory, n->count, &n->y);
    PV_TAKE(memory, n->count, &n->bits);
    if (memory->failed) return pv_memory_status(memory);
    st = new_layers(n, request);
    if (st == PV_OK) reserve(n, memory, request->max_batch);
    return st;
}

const pv_model_kind pv_model_dws = {.plugin = {.name = "dws",
                                               .help = "equivariant deep weight-space network",
                                               PV_OWN(pv_dws_options, pv_dws_opts)},
                                    .make = make,
                                    .forward = forward,
                                    .backward = backward,
                                    .features = features,
                                    .forward_flops = forward_flops};
