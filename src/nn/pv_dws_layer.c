#include "nn/pv_dws_layer.h"

#include <stdio.h>

pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           int max_batch, const char *prefix, pv_nn_params *params, pv_nn_memory *memory)
{
    if (opts->fc_layers < 1 || opts->fc_layers > PV_STACK_MAX)
        return pv_fail(PV_ERR_CONFIG, "model.fc_layers: must be 1 to %d, not %d", PV_STACK_MAX,
                       opts->fc_layers);
    *layer = (pv_dws_layer){.space = space, .params = params, .opts = *opts};
    const pv_status st = pv_dws_plan_make(&layer->plan, space, opts, prefix, params, memory);
    if (st != PV_OK) return st;

    pv_dws_views_open(&layer->source, space, params->kernels, opts->in, opts->reduction);
    pv_dws_views_open(&layer->target, space, params->kernels, opts->out, PV_REDUCE_SUM);
    for (int m = 0; m < layer->plan.count; m++) {
        pv_dws_map *map = &layer->plan.maps[m];
        layer->source.need[map->source][map->from] = true;
        layer->target.need[map->target][map->to] = true;
        layer->target.need[map->target][map->bias_to] |= map->bias >= 0;
        map->op->reserve(map, memory, max_batch);
    }
    pv_dws_views_reserve(&layer->source, memory, max_batch);
    pv_dws_views_reserve(&layer->target, memory, max_batch);
    if (opts->skip) {
        char name[PV_NN_NAME];
        snprintf(name, sizeof name, "%sskip", prefix);
        layer->skip = pv_stack_new(params, name, opts->in, opts->out, opts->fc_layers, true, PV_LINEAR_SKIP);
        pv_stack_reserve(&layer->skip, memory, max_batch * space->total[PV_VIEW_FULL]);
    }
    return pv_nn_memory_status(memory);
}

double pv_dws_layer_flops(const pv_dws_layer *layer)
{
    double flops = 0;
    for (int m = 0; m < layer->plan.count; m++)
        flops += layer->plan.maps[m].op->sample_flops(&layer->plan.maps[m]);
    if (layer->opts.skip)
        flops += (double)layer->space->total[PV_VIEW_FULL] * pv_stack_row_flops(&layer->skip);
    return flops;
}

static void call(const pv_dws_hooks *hooks, bool before, int tensor, int first, int count)
{
    if (!hooks) return;
    void (*hook)(void *, int, int, int) = before ? hooks->before : hooks->after;
    if (hook) hook(hooks->context, tensor, first, count);
}

/* Samples of a block: sized by the wider side. */
static int block_of(const pv_dws_layer *layer, int tensor, int left)
{
    const int f = layer->opts.in > layer->opts.out ? layer->opts.in : layer->opts.out;
    const int block = pv_dws_block(layer->space, tensor, f);
    return block < left ? block : left;
}

/* Applies the biases of all maps where they are coarsest: the same for every sample. */
static void biases_forward(pv_dws_layer *layer, int batch)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->bias < 0) continue;
        layer->params->kernels->add_row(
            batch, map->out, (pv_real)map->scale, pv_nn_values(layer->params, map->bias),
            pv_dws_spread_to(&layer->target, batch, map->target, map->bias_to, NULL));
    }
}

static void biases_backward(pv_dws_layer *layer, int batch)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->bias < 0) continue;
        layer->params->kernels->sum_rows(
            batch, map->out, (pv_real)map->scale,
            pv_dws_pooled(&layer->target, batch, map->target, map->bias_to, NULL),
            pv_nn_gradients(layer->params, map->bias));
    }
}

static void coarse_forward(pv_dws_layer *layer, int batch, const pv_real *x, pv_real *y)
{
    pv_dws_spread_clear(&layer->target, batch);
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->entrywise) continue;
        map->op->forward(
            map, layer->params, 0, batch, pv_dws_pooled(&layer->source, batch, map->source, map->from, x),
            map->starts_target ? 0 : 1, pv_dws_spread_to(&layer->target, batch, map->target, map->to, y));
    }
    biases_forward(layer, batch);
}

static void coarse_backward(pv_dws_layer *layer, int batch, const pv_real *x, const pv_real *dy, pv_real *dx)
{
    pv_dws_spread_clear(&layer->source, batch);
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->entrywise) continue;
        map->op->backward(
            map, layer->params, 0, batch, pv_dws_pooled(&layer->source, batch, map->source, map->from, x),
            pv_dws_pooled(&layer->target, batch, map->target, map->to, dy), map->starts_source ? 0 : 1,
            dx ? pv_dws_spread_to(&layer->source, batch, map->source, map->from, dx) : NULL);
    }
    biases_backward(layer, batch);
}

/* The map over all entries of a tensor, NULL if it has none. */
static const pv_dws_map *entrywise(const pv_dws_layer *layer, int tensor)
{
    for (int m = 0; m < layer->plan.count; m++)
        if (layer->plan.maps[m].entrywise && layer->plan.maps[m].source == tensor)
            return &layer->plan.maps[m];
    return NULL;
}

void pv_dws_layer_forward(pv_dws_layer *layer, int batch, const pv_real *x, pv_real *y,
                          const pv_dws_hooks *hooks)
{
    const pv_dws_space *space = layer->space;
    for (int t = 0; t < space->tensors; t++)
        for (int first = 0, count; first < batch; first += count) {
            count = block_of(layer, t, batch - first);
            call(hooks, true, t, first, count);
            pv_dws_pool(&layer->source, batch, t, first, count, x);
        }
    if (layer->opts.skip) {
        const int64_t rows = batch * space->total[PV_VIEW_FULL];
        pv_stack_forward(&layer->skip, layer->params, 0, rows, 1, x, 0, y);
        pv_linear_add_bias(pv_stack_last(&layer->skip), layer->params, rows, 1, y);
    }
    coarse_forward(layer, batch, x, y);
    for (int t = 0; t < space->tensors; t++) {
        const pv_dws_map *map = entrywise(layer, t);
        for (int first = 0, count; first < batch; first += count) {
            count = block_of(layer, t, batch - first);
            if (map)
                map->op->forward(map, layer->params, first, count,
                                 x + pv_dws_at(space, t, PV_VIEW_FULL, batch, first, layer->opts.in),
                                 map->starts_target ? 0 : 1,
                                 y + pv_dws_at(space, t, PV_VIEW_FULL, batch, first, layer->opts.out));
            pv_dws_spread(&layer->target, batch, t, first, count, y);
            call(hooks, false, t, first, count);
        }
    }
}

void pv_dws_layer_backward(pv_dws_layer *layer, int batch, const pv_real *x, const pv_real *dy, pv_real *dx,
                           const pv_dws_hooks *hooks)
{
    const pv_dws_space *space = layer->space;
    for (int t = 0; t < space->tensors; t++)
        for (int first = 0, count; first < batch; first += count) {
            count = block_of(layer, t, batch - first);
            call(hooks, true, t, first, count);
            pv_dws_pool(&layer->target, batch, t, first, count, dy);
        }
    if (layer->opts.skip) {
        const int64_t rows = batch * space->total[PV_VIEW_FULL];
        pv_stack_backward(&layer->skip, layer->params, 0, rows, 1, x, dy, 0, dx);
        pv_linear_bias_backward(pv_stack_last(&layer->skip), layer->params, rows, 1, dy);
    }
    coarse_backward(layer, batch, x, dy, dx);
    for (int t = 0; t < space->tensors; t++) {
        const pv_dws_map *map = entrywise(layer, t);
        for (int first = 0, count; first < batch; first += count) {
            count = block_of(layer, t, batch - first);
            const int64_t in = pv_dws_at(space, t, PV_VIEW_FULL, batch, first, layer->opts.in);
            if (map)
                map->op->backward(map, layer->params, first, count, x + in,
                                  dy + pv_dws_at(space, t, PV_VIEW_FULL, batch, first, layer->opts.out),
                                  map->starts_source ? 0 : 1, dx ? dx + in : NULL);
            if (dx) {
                pv_dws_spread(&layer->source, batch, t, first, count, dx);
                call(hooks, false, t, first, count);
            }
        }
    }
}
