/* The published DWS classifier (Shamsian et al. 2024): DWS layers with [batch norm], ReLU and dropout behind
 * each, then an invariant head.  Activations are made in the layers' hooks, block by block, so that a block
 * is normalised, clipped and pooled while it is in cache.  Differs: dropout is off in evaluation. */
#include "nn/pv_batch_norm.h"
#include "nn/pv_dropout.h"
#include "nn/pv_dws_head.h"
#include "nn/pv_dws_layer.h"
#include "nn/pv_model_kind.h"

#include <stdio.h>
#include <string.h>

typedef struct net {
    pv_dws_space space;
    pv_nn_params *params;
    pv_dropout dropout;
    bool normed, skipped;
    int count, hidden, batch; /* DWS layers, features behind them, batch of the last forward */
    pv_dws_layer *layers;
    int *starts;          /* the first tensor of every layer */
    pv_batch_norm *norms; /* behind all layers but the last */
    pv_linear skip;       /* from the input to the last layer's output */
    pv_dws_head head;
    pv_real **x; /* x[0] the input set, x[k] the activation behind layer k - 1 */
    pv_real **y; /* y[k] the output of layer k; the same memory as x[k + 1] when no batch norm follows */
    pv_real *gradient[2], *skip_gradient;
} net;

/* What the hooks of layer k work on. */
typedef struct stage {
    net *n;
    const pv_pass *pass;
    int k;
    pv_real *gradient; /* backward: of y[k] before the layer, of x[k] behind it */
} stage;

static bool norm_behind(const net *n, int k)
{
    return n->normed && k < n->count - 1;
}

/* Makes x[k] from y[k - 1] for some samples of a tensor. */
static void activate(void *context, int tensor, int first, int count)
{
    const stage *s = context;
    net *n = s->n;
    const int64_t entries = pv_dws_entries(&n->space, tensor, PV_VIEW_FULL);
    const int64_t at = pv_dws_at(&n->space, tensor, PV_VIEW_FULL, n->batch, first, n->hidden);
    pv_real *x = n->x[s->k] + at;
    const pv_real *y = n->y[s->k - 1] + at;
    if (norm_behind(n, s->k - 1))
        pv_batch_norm_apply(&n->norms[s->k - 1], tensor, count * entries, y, x);
    else
        n->params->kernels->relu(count * entries * n->hidden, y, x);
    for (int i = 0; s->pass->training && n->dropout.rate > 0 && i < count; i++)
        pv_dropout_apply(&n->dropout, s->pass, s->k * n->space.tensors + tensor, first + i,
                         entries * n->hidden, x + i * entries * n->hidden);
}

static void collect(void *context, int tensor, int first, int count)
{
    const stage *s = context;
    net *n = s->n;
    pv_batch_norm_collect(&n->norms[s->k], tensor, count * pv_dws_entries(&n->space, tensor, PV_VIEW_FULL),
                          n->y[s->k] +
                              pv_dws_at(&n->space, tensor, PV_VIEW_FULL, n->batch, first, n->hidden));
}

/* The gradient of x[k] becomes that of what the ReLU saw: dropped entries are zero in x too. */
static void deactivate(void *context, int tensor, int first, int count)
{
    const stage *s = context;
    net *n = s->n;
    const int64_t rows = count * pv_dws_entries(&n->space, tensor, PV_VIEW_FULL);
    const int64_t at = pv_dws_at(&n->space, tensor, PV_VIEW_FULL, n->batch, first, n->hidden);
    n->params->kernels->relu_backward(rows * n->hidden, n->x[s->k] + at,
                                      (pv_real)pv_dropout_scale(&n->dropout), s->gradient + at);
    if (norm_behind(n, s->k - 1))
        pv_batch_norm_backward_collect(&n->norms[s->k - 1], tensor, rows, n->y[s->k - 1] + at,
                                       s->gradient + at);
}

/* A backward pass has two gradients in flight; the one of y[k] is the other one's. */
typedef struct back_stage {
    stage of_y, of_x;
} back_stage;

static void denormalise(void *context, int tensor, int first, int count)
{
    const stage *s = &((const back_stage *)context)->of_y;
    net *n = s->n;
    const int64_t at = pv_dws_at(&n->space, tensor, PV_VIEW_FULL, n->batch, first, n->hidden);
    pv_batch_norm_backward_apply(&n->norms[s->k], tensor,
                                 count * pv_dws_entries(&n->space, tensor, PV_VIEW_FULL), n->y[s->k] + at,
                                 s->gradient + at);
}

static void deactivate_behind(void *context, int tensor, int first, int count)
{
    deactivate(&((back_stage *)context)->of_x, tensor, first, count);
}

/* Calls `work` for all blocks of all samples. */
static void for_blocks(stage *s, void (*work)(void *, int, int, int))
{
    const net *n = s->n;
    for (int t = 0; t < n->space.tensors; t++) {
        const int block = pv_dws_block(&n->space, t, n->hidden);
        for (int first = 0; first < n->batch; first += block)
            work(s, t, first, n->batch - first < block ? n->batch - first : block);
    }
}

static void activate_and_pool(void *context, int tensor, int first, int count)
{
    const stage *s = context;
    activate(context, tensor, first, count);
    pv_dws_head_pool(&s->n->head, s->n->batch, tensor, first, count, s->n->x[s->k]);
}

static void spread_and_deactivate(void *context, int tensor, int first, int count)
{
    const stage *s = context;
    pv_dws_head_spread(&s->n->head, s->n->batch, tensor, first, count, s->gradient);
    deactivate(context, tensor, first, count);
}

static void forward(void *context, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits)
{
    net *n = context;
    n->batch = batch;
    pv_dws_enter(&n->space, batch, rows, n->x[0]);
    for (int k = 0; k < n->count; k++) {
        stage s = {.n = n, .pass = pass, .k = k};
        const bool normed = norm_behind(n, k);
        const pv_dws_hooks hooks = {
            .context = &s, .before = k ? activate : NULL, .after = normed && pass->training ? collect : NULL};
        if (normed) pv_batch_norm_clear(&n->norms[k]);
        pv_dws_layer_forward(&n->layers[k], batch, n->x[k], n->y[k], &hooks);
        if (normed) pv_batch_norm_settle(&n->norms[k], pass);
    }
    if (n->skipped) {
        const int64_t entries = batch * n->space.total[PV_VIEW_FULL];
        pv_linear_forward(&n->skip, n->params, entries, 1, n->x[0], 1, n->y[n->count - 1]);
        pv_linear_add_bias(&n->skip, n->params, entries, 1, n->y[n->count - 1]);
    }
    stage s = {.n = n, .pass = pass, .k = n->count};
    for_blocks(&s, activate_and_pool);
    pv_dws_head_forward(&n->head, batch, n->x[n->count], logits);
}

/* The head's and the skip's part: leaves the gradient of the last layer's output in gradient[0]. */
static void backward_from_logits(net *n, const pv_pass *pass, const pv_real *dlogits, bool to_input)
{
    pv_dws_head_backward(&n->head, n->batch, dlogits);
    stage s = {.n = n, .pass = pass, .k = n->count, .gradient = n->gradient[0]};
    for_blocks(&s, spread_and_deactivate);
    if (!n->skipped) return;
    const int64_t entries = n->batch * n->space.total[PV_VIEW_FULL];
    pv_linear_backward(&n->skip, n->params, entries, 1, n->x[0], n->gradient[0], 0,
                       to_input ? n->skip_gradient : NULL);
    pv_linear_bias_backward(&n->skip, n->params, entries, 1, n->gradient[0]);
}

static void backward(void *context, const pv_pass *pass, const pv_real *dlogits, pv_real *drows)
{
    net *n = context;
    backward_from_logits(n, pass, dlogits, drows != NULL);
    pv_real *dy = n->gradient[0], *dx = n->gradient[1];
    for (int k = n->count - 1; k >= 0; k--) {
        back_stage s = {.of_y = {.n = n, .pass = pass, .k = k, .gradient = dy},
                        .of_x = {.n = n, .pass = pass, .k = k, .gradient = dx}};
        const pv_dws_hooks hooks = {.context = &s,
                                    .before = norm_behind(n, k) ? denormalise : NULL,
                                    .after = k ? deactivate_behind : NULL};
        const bool normed = k > 0 && norm_behind(n, k - 1);
        if (normed) pv_batch_norm_clear(&n->norms[k - 1]);
        pv_dws_layer_backward(&n->layers[k], n->batch, n->x[k], dy, k || drows ? dx : NULL, &hooks);
        if (normed) pv_batch_norm_backward_settle(&n->norms[k - 1], pass);
        pv_nn_ready(n->params, pass, n->starts[k]);
        pv_real *used = dy;
        dy = dx;
        dx = used;
    }
    if (!drows) return;
    if (n->skipped)
        n->params->kernels->add_row(1, (int)(n->batch * n->space.total[PV_VIEW_FULL]), 1, n->skip_gradient,
                                    dy);
    pv_dws_leave(&n->space, n->batch, dy, drows);
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    return pv_dws_head_features(&n->head, width);
}

static const pv_model_kind_ops dws_ops = {.forward = forward, .backward = backward, .features = features};

static void new_norm(net *n, int k, int slot)
{
    pv_batch_norm_open(&n->norms[k], n->params, n->hidden);
    for (int t = 0; t < n->space.tensors; t++) {
        char name[PV_NN_NAME];
        const bool weight = t < n->space.layers;
        snprintf(name, sizeof name, "layers.layers.%d.%s.%d", slot, weight ? "weights_bn" : "biases_bn",
                 weight ? t : t - n->space.layers);
        pv_batch_norm_add(&n->norms[k], name, pv_dws_entries(&n->space, t, PV_VIEW_FULL));
    }
}

/* In the order of state_dict; batch norm, ReLU and dropout count among the published modules. */
static pv_status new_layers(net *n, const pv_model_request *request, pv_nn_memory *memory)
{
    const pv_model_opts *o = request->opts;
    if (n->skipped) n->skip = pv_linear_new(n->params, "layers.skip", 1, n->hidden, true, PV_LINEAR_AVERAGE);
    for (int k = 0; k < n->count; k++) {
        const pv_dws_layer_opts opts = {.in = k ? n->hidden : 1,
                                        .out = n->hidden,
                                        .fc_layers = o->fc_layers,
                                        .set_layer = o->set_layer,
                                        .heads = k && k == n->count - 1 ? 1 : o->heads,
                                        .reduction = o->reduction,
                                        .diagonal = o->diagonal,
                                        .skip = o->layer_skip};
        const int slot = k * (n->normed ? 4 : 3);
        char prefix[PV_NN_NAME];
        snprintf(prefix, sizeof prefix, "layers.layers.%d.", slot);
        n->starts[k] = n->params->count;
        const pv_status st =
            pv_dws_layer_new(&n->layers[k], &n->space, &opts, request->max_batch, prefix, n->params, memory);
        if (st != PV_OK) return st;
        if (norm_behind(n, k)) {
            new_norm(n, k, slot + 1);
            pv_batch_norm_reserve(&n->norms[k], memory);
        }
    }
    return pv_dws_head_new(&n->head, &n->space, n->hidden, request->classes, o->out_fc, o->reduction,
                           request->max_batch, n->params, memory);
}

static void reserve(net *n, pv_nn_memory *memory, int64_t max_batch)
{
    const int64_t entries = max_batch * n->space.total[PV_VIEW_FULL];
    n->x[0] = pv_nn_take(memory, entries, sizeof(pv_real));
    for (int k = 0; k < n->count; k++) {
        n->x[k + 1] = pv_nn_take(memory, entries * n->hidden, sizeof(pv_real));
        n->y[k] = norm_behind(n, k) ? pv_nn_take(memory, entries * n->hidden, sizeof(pv_real)) : n->x[k + 1];
    }
    for (int i = 0; i < 2; i++)
        n->gradient[i] = pv_nn_take(memory, entries * n->hidden, sizeof(pv_real));
    if (n->skipped) n->skip_gradient = pv_nn_take(memory, entries, sizeof(pv_real));
}

pv_status pv_dws_model_new(const pv_model_request *request, pv_model *model)
{
    const pv_model_opts *opts = request->opts;
    pv_nn_memory *memory = &model->memory;
    net *n = pv_nn_take(memory, 1, sizeof *n);
    if (!n) return pv_nn_memory_status(memory);
    *n = (net){.params = &model->params,
               .dropout = {opts->dropout, model->params.kernels},
               .normed = opts->batch_norm,
               .skipped = opts->skip,
               .count = opts->layers + 1,
               .hidden = opts->hidden};
    pv_status st = pv_dws_space_set(&n->space, request->dims, request->layers);
    if (st != PV_OK) return st;
    n->layers = pv_nn_take(memory, n->count, sizeof *n->layers);
    n->starts = pv_nn_take(memory, n->count, sizeof *n->starts);
    n->norms = pv_nn_take(memory, n->count, sizeof *n->norms);
    n->x = pv_nn_take(memory, n->count + 1, sizeof *n->x);
    n->y = pv_nn_take(memory, n->count, sizeof *n->y);
    if (memory->failed) return pv_nn_memory_status(memory);
    st = new_layers(n, request, memory);
    if (st != PV_OK) return st;
    reserve(n, memory, request->max_batch);
    double flops = pv_dws_head_flops(&n->head);
    for (int k = 0; k < n->count; k++)
        flops += pv_dws_layer_flops(&n->layers[k]);
    if (n->skipped) flops += 2.0 * (double)n->space.total[PV_VIEW_FULL] * n->hidden;
    model->sample_flops = 3 * flops;
    model->ops = &dws_ops;
    model->net = n;
    return pv_nn_memory_status(memory);
}
