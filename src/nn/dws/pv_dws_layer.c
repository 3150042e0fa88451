/* A DWS layer: the joint products of its maps, what is spread over the output, and all of it backward. */
#include "pv_dws_layer.h"

#include <stdio.h>
#include <string.h>

enum {
    FEW = 8,         /* inputs that fill no vector: their gradient is summed transposed */
    OUTER_BLOCK = 96 /* rows that the gradient of a weight sums at once */
};

/* The single linear map over all entries of a tensor, NULL if it has none. */
static const pv_dws_map *entrywise(const pv_dws_layer *layer, int tensor)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->entrywise && map->source == tensor) return map->op ? NULL : map;
    }
    return NULL;
}

static void reserve_picks(pv_dws_layer *layer, int max_count, pv_memory *memory)
{
    const int64_t most = (int64_t)max_count * layer->opts.out; /* one entry for every feature */
    layer->picks = pv_take(memory, layer->space->tensors, sizeof *layer->picks);
    for (int t = 0; t < layer->space->tensors && layer->picks; t++) {
        if (!entrywise(layer, t)) continue;
        layer->picks[t].entry = pv_take(memory, most, sizeof *layer->picks[t].entry);
        layer->picks[t].dy = pv_take(memory, most * layer->opts.out, sizeof(pv_real));
    }
    layer->picked_x = pv_take(memory, most * layer->opts.in, sizeof(pv_real));
    layer->picked_dx = pv_take(memory, most * layer->opts.in, sizeof(pv_real));
}

static void reserve(pv_dws_layer *layer, int max_count, pv_memory *memory)
{
    const pv_dws_space *space = layer->space;
    int widest = 0;
    for (int m = 0; m < layer->plan.count; m++) {
        pv_dws_map *map = &layer->plan.maps[m];
        if (map->op) map->op->reserve(map, memory, max_count);
        widest = map->out > widest ? map->out : widest;
    }
    layer->outer = pv_take(memory, (int64_t)FEW * widest, sizeof(pv_real));
    pv_dws_margins_new(&layer->source, space, layer->opts.in, layer->opts.reduction, max_count, memory);
    pv_dws_margins_new(&layer->target, space, layer->opts.out, PV_POOL_SUM, max_count, memory);
    if (layer->opts.picked) reserve_picks(layer, max_count, memory);
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++) {
        layer->bias[margin] = pv_take(memory, space->total[margin] * layer->opts.out, sizeof(pv_real));
        layer->dbias[margin] = pv_take(memory, space->total[margin] * layer->opts.out, sizeof(pv_real));
    }
}

pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           int max_count, const char *prefix, pv_nn_params *params, pv_memory *memory)
{
    if (opts->fc_layers < 1 || opts->fc_layers > PV_STACK_MAX)
        return pv_fail(PV_ERR_CONFIG, "model.fc_layers: must be 1 to %d, not %d", PV_STACK_MAX,
                       opts->fc_layers);
    *layer = (pv_dws_layer){
        .space = space, .params = params, .opts = *opts, .matrix = PV_ISA_CHOOSE(pv_matrix_kernels)};
    const pv_status st = pv_dws_plan_make(&layer->plan, space, opts, prefix, params, memory);
    if (st != PV_OK) return st;
    reserve(layer, max_count, memory);
    if (opts->skip) {
        char name[PV_NN_NAME];
        snprintf(name, sizeof name, "%sskip", prefix);
        layer->skip = pv_stack_new(params, name, opts->in, opts->out, opts->fc_layers, true, PV_LINEAR_SKIP);
        pv_stack_reserve(&layer->skip, memory, max_count * space->total[PV_MARGIN_FULL]);
    }
    return pv_memory_status(memory);
}

static double map_flops(const pv_dws_map *map)
{
    return map->op ? map->op->sample_flops(map) : map->positions * pv_stack_row_flops(&map->stack);
}

double pv_dws_layer_flops(const pv_dws_layer *layer)
{
    double flops = 0;
    for (int m = 0; m < layer->plan.count; m++)
        flops += map_flops(&layer->plan.maps[m]);
    if (layer->opts.skip)
        flops += (double)layer->space->total[PV_MARGIN_FULL] * pv_stack_row_flops(&layer->skip);
    return flops;
}

/* Where a map's bias, or its gradient, is summed. */
static pv_real *bias_of(const pv_dws_layer *layer, pv_real *const *bias, const pv_dws_map *map)
{
    return bias[map->bias_to] + layer->space->offset[map->target][map->bias_to] * layer->opts.out;
}

void pv_dws_layer_pack(pv_dws_layer *layer)
{
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++)
        memset(layer->bias[margin], 0,
               sizeof(pv_real) * (size_t)(layer->space->total[margin] * layer->opts.out));
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->bias >= 0)
            layer->params->kernels->add_row(1, map->out, (pv_real)map->scale,
                                            pv_nn_values(layer->params, map->bias),
                                            bias_of(layer, layer->bias, map));
        if (map->op) continue;
        const pv_real *weight = pv_nn_values(layer->params, map->stack.linear[0].weight);
        const int values = map->in * map->out;
        memset(map->backward, 0, sizeof(pv_real) * (size_t)values);
        layer->params->kernels->add_row(1, values, (pv_real)map->scale, weight, map->backward);
        layer->matrix->transpose(map->out, map->in, map->backward, map->in, map->forward, map->out);
    }
}

/* Sets what is spread over the output to the biases. */
static void start_target(const pv_dws_layer *layer, int count)
{
    const pv_dws_space *space = layer->space;
    const int f = layer->opts.out;
    memset(layer->target.spread[PV_MARGIN_ROW], 0,
           sizeof(pv_real) * (size_t)(space->total[PV_MARGIN_ROW] * f * count));
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++)
        for (int t = 0; t < space->tensors; t++) {
            const size_t values = (size_t)(pv_dws_entries(space, t, (pv_dws_margin)margin) * f);
            pv_real *to =
                layer->target.spread[margin] + pv_dws_at(space, t, (pv_dws_margin)margin, count, 0, f);
            for (int s = 0; s < count; s++)
                memcpy(to + (size_t)s * values, layer->bias[margin] + space->offset[t][margin] * f,
                       sizeof *to * values);
        }
}

static void joints_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y, bool *begun)
{
    for (int i = 0; i < layer->plan.target_count; i++) {
        const pv_dws_joint *joint = &layer->plan.targets[i];
        pv_product_term terms[PV_DWS_JOINT_MAX];
        for (int m = 0; m < joint->count; m++) {
            const pv_dws_map *map = joint->maps[m];
            terms[m] = pv_product_of(pv_dws_pooled(&layer->source, count, map->source, map->from, x),
                                     map->forward, map->out, map->in);
        }
        const bool add = joint->margin != PV_MARGIN_FULL || begun[joint->tensor];
        layer->matrix->product((int64_t)count * joint->positions, joint->width, joint->count, terms, add,
                               pv_dws_spread_to(&layer->target, count, joint->tensor, joint->margin, y));
        if (joint->margin == PV_MARGIN_FULL) begun[joint->tensor] = true;
    }
}

static void others_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y, bool *begun)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (!map->op) continue;
        const bool add = map->to != PV_MARGIN_FULL || begun[map->target];
        map->op->forward(map, layer->params, 0, count,
                         pv_dws_pooled(&layer->source, count, map->source, map->from, x), add ? 1 : 0,
                         pv_dws_spread_to(&layer->target, count, map->target, map->to, y));
        if (map->to == PV_MARGIN_FULL) begun[map->target] = true;
    }
}

void pv_dws_layer_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y,
                          const pv_dws_moments *moments)
{
    const pv_dws_space *space = layer->space;
    bool begun[2 * PV_DWS_MAX_LAYERS] = {false};
    if (layer->opts.skip) {
        const int64_t rows = count * space->total[PV_MARGIN_FULL];
        pv_stack_forward(&layer->skip, layer->params, 0, rows, 1, x, 0, y);
        pv_linear_add_bias(pv_stack_last(&layer->skip), layer->params, rows, 1, y);
        memset(begun, true, sizeof begun);
    }
    start_target(layer, count);
    joints_forward(layer, count, x, y, begun);
    others_forward(layer, count, x, y, begun);
    for (int t = 0; t < space->tensors; t++) {
        const pv_dws_map *map = entrywise(layer, t);
        const pv_dws_block block = pv_dws_margins_block(&layer->target, count, t);
        const pv_dws_values spread = pv_dws_margins_spread(&layer->target, count, t);
        pv_dws_margins_settle(&layer->target, count, t);
        layer->target.kernels->combine(&block, map ? map->in : 0,
                                       pv_dws_pooled(&layer->source, count, t, PV_MARGIN_FULL, x),
                                       map ? map->forward : NULL, &spread, begun[t],
                                       y + pv_dws_at(space, t, PV_MARGIN_FULL, count, 0, layer->opts.out),
                                       moments ? moments->sum[t] : NULL, moments ? moments->square[t] : NULL);
    }
}

void pv_dws_layer_backward_begin(pv_dws_layer *layer)
{
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++)
        memset(layer->dbias[margin], 0,
               sizeof(pv_real) * (size_t)(layer->space->total[margin] * layer->opts.out));
}

void pv_dws_layer_backward_end(pv_dws_layer *layer)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (map->bias < 0) continue;
        layer->params->kernels->add_row(1, map->out, (pv_real)map->scale, bias_of(layer, layer->dbias, map),
                                        pv_nn_gradients(layer->params, map->bias));
    }
}

static void biases_backward(pv_dws_layer *layer, int count)
{
    const pv_dws_space *space = layer->space;
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++)
        for (int t = 0; t < space->tensors; t++)
            layer->params->kernels->sum_rows(
                count, (int)pv_dws_entries(space, t, (pv_dws_margin)margin) * layer->opts.out, 1,
                pv_dws_pooled(&layer->target, count, t, (pv_dws_margin)margin, NULL),
                layer->dbias[margin] + space->offset[t][margin] * layer->opts.out);
}

/* Adds scale dy^T x to the gradient of a single linear map's weight. */
static void weight_backward(pv_dws_layer *layer, const pv_dws_map *map, int64_t rows, const pv_real *x,
                            const pv_real *dy)
{
    pv_real *gradient = pv_nn_gradients(layer->params, map->stack.linear[0].weight);
    if (map->in > FEW) {
        layer->matrix->outer(map->out, map->in, rows, OUTER_BLOCK, (pv_real)map->scale, dy, x, gradient);
        return;
    }
    memset(layer->outer, 0, sizeof *layer->outer * (size_t)(map->in * map->out));
    layer->matrix->outer(map->in, map->out, rows, OUTER_BLOCK, (pv_real)map->scale, x, dy, layer->outer);
    for (int i = 0; i < map->in; i++)
        for (int o = 0; o < map->out; o++)
            gradient[o * map->in + i] += layer->outer[i * map->out + o];
}

static void joints_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                            bool *begun)
{
    for (int i = 0; i < layer->plan.source_count; i++) {
        const pv_dws_joint *joint = &layer->plan.sources[i];
        const int64_t rows = (int64_t)count * joint->positions;
        pv_product_term terms[PV_DWS_JOINT_MAX];
        for (int m = 0; m < joint->count; m++) {
            const pv_dws_map *map = joint->maps[m];
            const pv_real *from = pv_dws_pooled(&layer->target, count, map->target, map->to, dy);
            weight_backward(layer, map, rows, pv_dws_pooled(&layer->source, count, map->source, map->from, x),
                            from);
            terms[m] = pv_product_of(from, map->backward, map->in, map->out);
        }
        if (!dx) continue;
        const bool add = joint->margin != PV_MARGIN_FULL || begun[joint->tensor];
        layer->matrix->product(rows, joint->width, joint->count, terms, add,
                               pv_dws_spread_to(&layer->source, count, joint->tensor, joint->margin, dx));
        if (joint->margin == PV_MARGIN_FULL) begun[joint->tensor] = true;
    }
}

static void others_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                            bool *begun)
{
    for (int m = 0; m < layer->plan.count; m++) {
        const pv_dws_map *map = &layer->plan.maps[m];
        if (!map->op) continue;
        const bool add = map->from != PV_MARGIN_FULL || begun[map->source];
        map->op->backward(map, layer->params, 0, count,
                          pv_dws_pooled(&layer->source, count, map->source, map->from, x),
                          pv_dws_pooled(&layer->target, count, map->target, map->to, dy), add ? 1 : 0,
                          dx ? pv_dws_spread_to(&layer->source, count, map->source, map->from, dx) : NULL);
        if (map->from == PV_MARGIN_FULL) begun[map->source] = true;
    }
}

/* A tensor whose input gradient is complete but for the entrywise map and the spread margins: row by row, so
 * that a row passes the product and the gate while it is in the first-level cache. */
static void finish(pv_dws_layer *layer, const pv_dws_map *map, int count, int t, const pv_dws_exit *out,
                   const pv_real *x, const pv_real *dy, pv_real *dx, bool begun)
{
    const int f = layer->opts.in;
    pv_dws_block block = pv_dws_margins_block(&layer->source, count, t);
    pv_dws_values spread = pv_dws_margins_spread(&layer->source, count, t);
    pv_dws_gate gate = {.x = x,
                        .best = pv_dws_margins_pooled(&layer->source, count, t),
                        .relu = out->relu,
                        .keep = out->keep,
                        .y = out->y ? out->y + pv_dws_at(layer->space, t, PV_MARGIN_FULL, count, 0, f) : NULL,
                        .mean = out->mean[t],
                        .sum = out->sum[t],
                        .dot = out->dot[t]};
    pv_dws_margins_settle(&layer->source, count, t);
    if (!map) {
        if (!begun) memset(dx, 0, sizeof *dx * (size_t)count * (size_t)(block.rows * block.cols) * (size_t)f);
        layer->source.back->deactivate(&block, &gate, &spread, dx);
        return;
    }
    const int64_t line = (int64_t)block.cols * f, line_out = (int64_t)block.cols * map->out;
    const int rows = block.rows;
    block.count = block.rows = 1;
    for (int s = 0; s < count; s++) {
        for (int r = 0; r < rows; r++, dy += line_out, dx += line, gate.x += line) {
            const pv_product_term term = pv_product_of(dy, map->backward, map->in, map->out);
            layer->matrix->product(block.cols, f, 1, &term, begun, dx);
            layer->source.back->deactivate(&block, &gate, &spread, dx);
            gate.y = gate.y ? gate.y + line : NULL;
            gate.best.row += f;
            spread.row += f;
        }
        gate.best.col += line;
        spread.col += line;
    }
}

/* The entrywise map of a tensor whose output's gradient comes as picks; sets dx. */
static void picks_backward(pv_dws_layer *layer, const pv_dws_map *map, int count, const pv_dws_picks *picks,
                           const pv_real *x, pv_real *dx)
{
    const int in = map->in;
    for (int64_t i = 0; i < picks->count; i++)
        memcpy(layer->picked_x + i * in, x + picks->entry[i] * in, sizeof *x * (size_t)in);
    weight_backward(layer, map, picks->count, layer->picked_x, picks->dy);
    if (!dx) return;
    const pv_product_term term = pv_product_of(picks->dy, map->backward, in, map->out);
    layer->matrix->product(picks->count, in, 1, &term, false, layer->picked_dx);
    memset(dx, 0, sizeof *dx * (size_t)count * (size_t)map->positions * (size_t)in);
    for (int64_t i = 0; i < picks->count; i++)
        memcpy(dx + picks->entry[i] * in, layer->picked_dx + i * in, sizeof *dx * (size_t)in);
}

void pv_dws_layer_backward(pv_dws_layer *layer, int count, const pv_real *x, const pv_real *dy, pv_real *dx,
                           const pv_dws_exit *out)
{
    const pv_dws_space *space = layer->space;
    bool begun[2 * PV_DWS_MAX_LAYERS] = {false};
    biases_backward(layer, count);
    if (layer->opts.skip) {
        const int64_t rows = count * space->total[PV_MARGIN_FULL];
        pv_stack_backward(&layer->skip, layer->params, 0, rows, 1, x, dy, 0, dx);
        pv_linear_bias_backward(pv_stack_last(&layer->skip), layer->params, rows, 1, dy);
        memset(begun, true, sizeof begun);
    }
    for (int margin = PV_MARGIN_ROW; margin < PV_MARGIN_COUNT; margin++)
        memset(layer->source.spread[margin], 0,
               sizeof(pv_real) * (size_t)(space->total[margin] * layer->opts.in * count));
    joints_backward(layer, count, x, dy, dx, begun);
    others_backward(layer, count, x, dy, dx, begun);
    for (int t = 0; t < space->tensors; t++) {
        const pv_dws_map *map = entrywise(layer, t);
        const pv_real *of_x = pv_dws_pooled(&layer->source, count, t, PV_MARGIN_FULL, x);
        const pv_real *of_dy = pv_dws_pooled(&layer->target, count, t, PV_MARGIN_FULL, dy);
        pv_real *of_dx = dx ? dx + pv_dws_at(space, t, PV_MARGIN_FULL, count, 0, layer->opts.in) : NULL;
        if (layer->picks && layer->picks[t].entry) {
            picks_backward(layer, map, count, &layer->picks[t], of_x, of_dx);
            map = NULL;
            begun[t] = true;
        } else if (map) {
            weight_backward(layer, map, (int64_t)count * map->positions, of_x, of_dy);
        }
        if (dx) finish(layer, map, count, t, out, of_x, of_dy, of_dx, begun[t]);
    }
}
