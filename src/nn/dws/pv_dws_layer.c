/* A DWS layer: the joint products of its maps, what is spread over the output, and all of it backward. */
#include "pv_dws_layer.h"

#include <stdio.h>
#include <string.h>

enum {
    FEW = 8,         /* inputs that fill no vector: their gradient is summed transposed */
    OUTER_BLOCK = 96 /* rows that the gradient of a weight sums at once */
};

static void reserve_picks(pv_dws_layer *layer, int max_count, pv_memory *memory)
{
    const int64_t most = (int64_t)max_count * layer->opts.out; /* one entry for every feature */
    PV_TAKE(memory, layer->space->tensors, &layer->picks);
    for (int t = 0; t < layer->space->tensors && layer->picks; t++) {
        if (!layer->entrywise[t]) continue;
        PV_TAKE(memory, most, &layer->picks[t].entry);
        PV_TAKE(memory, most * layer->opts.out, &layer->picks[t].dy);
    }
    PV_TAKE(memory, most * layer->opts.in, &layer->picked_x, &layer->picked_dx);
}

static void reserve(pv_dws_layer *layer, int max_count, pv_memory *memory)
{
    const pv_dws_space *space = layer->space;
    const int in = layer->opts.in, out = layer->opts.out;
    int widest = 0;
    for (int m = 0; m < layer->count; m++)
        widest = layer->maps[m].out > widest ? layer->maps[m].out : widest;
    PV_TAKE(memory, (int64_t)FEW * widest, &layer->outer);
    pv_dws_margins_new(&layer->source, layer->from_space, in, layer->opts.reduction, max_count, memory);
    pv_dws_margins_new(&layer->target, space, out, PV_POOL_SUM, max_count, memory);
    if (layer->opts.picked) reserve_picks(layer, max_count, memory);
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++) {
        PV_TAKE(memory, space->total[margin] * out, &layer->bias[margin], &layer->dbias[margin]);
    }
}

pv_status pv_dws_layer_new(pv_dws_layer *layer, const pv_dws_space *from_space, const pv_dws_space *space,
                           const pv_dws_layer_opts *opts, int max_count, const char *prefix,
                           pv_nn_params *params)
{
    *layer = (pv_dws_layer){.space = space,
                            .from_space = from_space,
                            .params = params,
                            .opts = *opts,
                            .matrix = params->kernels->matrix};
    const pv_status st = pv_dws_plan(layer, max_count, prefix);
    if (st != PV_OK) return st;
    reserve(layer, max_count, params->memory);
    if (opts->skip) {
        char name[PV_NN_NAME];
        snprintf(name, sizeof name, "%sskip", prefix);
        layer->skip = pv_stack_new(params, name, opts->in, opts->out, opts->fc_layers, true, PV_LINEAR_SKIP);
        pv_stack_reserve(&layer->skip, params->memory, max_count * space->total[PV_MARGIN_FULL]);
    }
    return pv_memory_status(params->memory);
}

double pv_dws_layer_flops(const pv_dws_layer *layer)
{
    double flops = (double)layer->space->total[PV_MARGIN_FULL] * pv_stack_row_flops(&layer->skip);
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        flops +=
            map->stack.depth ? map->positions * pv_stack_row_flops(&map->stack) : pv_sab_flops(&map->sab);
    return flops;
}

/* Where a map's bias, or its gradient, is summed. */
static pv_real *bias_of(const pv_dws_layer *layer, pv_real *const *bias, const pv_dws_map *map)
{
    return bias[map->bias_to] + layer->space->offset[map->target][map->bias_to] * layer->opts.out;
}

static void clear_biases(const pv_dws_layer *layer, pv_real *const *bias)
{
    for (int margin = PV_MARGIN_COL; margin <= PV_MARGIN_ALL; margin++)
        memset(bias[margin], 0, sizeof(pv_real) * (size_t)(layer->space->total[margin] * layer->opts.out));
}

void pv_dws_layer_pack(pv_dws_layer *layer)
{
    const pv_nn_kernels *kernels = layer->params->kernels;
    clear_biases(layer, layer->bias);
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++) {
        if (map->bias >= 0)
            kernels->add_row(1, map->out, (pv_real)map->scale, pv_nn_values(layer->params, map->bias),
                             bias_of(layer, layer->bias, map));
        if (map->stack.depth != 1) continue;
        const pv_real *weight = pv_nn_values(layer->params, map->stack.linear[0].weight);
        const int values = map->in * map->out;
        memset(map->backward, 0, sizeof(pv_real) * (size_t)values);
        kernels->add_row(1, values, (pv_real)map->scale, weight, map->backward);
        layer->matrix->transpose(map->out, map->in, map->backward, map->in, map->forward, map->out);
    }
}

void pv_dws_layer_start(const pv_dws_layer *layer, int count)
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

/* Whether what goes to a margin is added to what is there: a whole tensor is set by its first writer. */
static bool adds(bool *begun, int tensor, pv_dws_margin margin)
{
    const bool add = margin != PV_MARGIN_FULL || begun[tensor];
    begun[tensor] = begun[tensor] || margin == PV_MARGIN_FULL;
    return add;
}

/* What a map reads of the input, and of the output's gradient. */
static const pv_real *input_of(const pv_dws_layer *layer, const pv_dws_map *map, int count, const pv_real *x)
{
    return pv_dws_pooled(&layer->source, count, map->source, map->from, x);
}
static const pv_real *gradient_of(const pv_dws_layer *layer, const pv_dws_map *map, int count,
                                  const pv_real *dy)
{
    return pv_dws_pooled(&layer->target, count, map->target, map->to, dy);
}

static void joint_forward(pv_dws_layer *layer, const pv_dws_map *first, int count, const pv_real *x,
                          pv_real *y, bool *begun)
{
    pv_product_term terms[PV_DWS_JOINT_MAX];
    int n = 0;
    for (const pv_dws_map *map = first; map; map = map->next_into)
        terms[n++] = pv_product_of(input_of(layer, map, count, x), map->forward, map->out, map->in);
    layer->matrix->product((int64_t)count * first->positions, first->out, n, terms,
                           adds(begun, first->target, first->to),
                           pv_dws_spread_to(&layer->target, count, first->target, first->to, y));
}

/* A map by itself. */
static void other_forward(pv_dws_layer *layer, const pv_dws_map *map, int count, const pv_real *x, pv_real *y,
                          bool *begun)
{
    const double beta = adds(begun, map->target, map->to);
    pv_real *to = pv_dws_spread_to(&layer->target, count, map->target, map->to, y);
    x = input_of(layer, map, count, x);
    if (map->stack.depth)
        pv_stack_forward(&map->stack, layer->params, (int64_t)count * map->positions, map->scale, x, beta,
                         to);
    else
        pv_sab_forward(&map->sab, count, map->scale, x, beta, to);
}

void pv_dws_layer_combine(pv_dws_layer *layer, int count, int t, const pv_dws_narrow_product *product,
                          bool begun, pv_real *y, const pv_dws_moments *moments)
{
    const pv_dws_part part = pv_dws_part_of(&layer->target, count, t);
    double *sum = moments ? moments->sum[t] : NULL, *square = moments ? moments->square[t] : NULL;
    pv_dws_settle(&layer->target, &part);
    if (layer->entrywise[t] && layer->kept != PV_DWS_FLOATS)
        layer->narrow.kernels->combine(&part.block, product, &part.spread, y + part.at, sum, square);
    else
        layer->target.kernels->combine(&part.block, product->few, product->few_x, product->few_w,
                                       &part.spread, begun, y + part.at, sum, square);
}

void pv_dws_layer_forward(pv_dws_layer *layer, int count, const pv_real *x, pv_real *y,
                          const pv_dws_moments *moments)
{
    const int tensors = layer->space->tensors;
    bool begun[2 * PV_DWS_MAX_LAYERS] = {false};
    if (layer->opts.skip) {
        pv_stack_forward(&layer->skip, layer->params, count * layer->space->total[PV_MARGIN_FULL], 1, x, 0,
                         y);
        memset(begun, true, sizeof begun);
    }
    pv_dws_layer_start(layer, count);
    for (int t = 0; t < tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
            if (layer->into[t][margin]) joint_forward(layer, layer->into[t][margin], count, x, y, begun);
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        if (map->stack.depth != 1) other_forward(layer, map, count, x, y, begun);
    for (int t = 0; t < tensors; t++) {
        const pv_dws_map *map = layer->entrywise[t];
        pv_dws_narrow_product product = {.own = false};
        if (map) {
            product.few = map->in;
            product.few_x = input_of(layer, map, count, x);
            product.few_w = map->forward;
        }
        pv_dws_layer_combine(layer, count, t, &product, begun[t], y, moments);
    }
}

void pv_dws_layer_backward_begin(pv_dws_layer *layer)
{
    clear_biases(layer, layer->dbias);
}

void pv_dws_layer_backward_end(pv_dws_layer *layer)
{
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        if (map->bias >= 0)
            layer->params->kernels->add_row(1, map->out, (pv_real)map->scale,
                                            bias_of(layer, layer->dbias, map),
                                            pv_nn_gradients(layer->params, map->bias));
}

void pv_dws_layer_biases_backward(pv_dws_layer *layer, int count)
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

static void joint_backward(pv_dws_layer *layer, const pv_dws_map *first, int count, const pv_real *x,
                           const pv_real *dy, pv_real *dx, bool *begun)
{
    const int64_t rows = (int64_t)count * first->positions;
    pv_product_term terms[PV_DWS_JOINT_MAX];
    int n = 0;
    for (const pv_dws_map *map = first; map; map = map->next_from) {
        const pv_real *from = gradient_of(layer, map, count, dy);
        weight_backward(layer, map, rows, input_of(layer, map, count, x), from);
        terms[n++] = pv_product_of(from, map->backward, map->in, map->out);
    }
    if (dx)
        layer->matrix->product(rows, first->in, n, terms, adds(begun, first->source, first->from),
                               pv_dws_spread_to(&layer->source, count, first->source, first->from, dx));
}

static void other_backward(pv_dws_layer *layer, const pv_dws_map *map, int count, const pv_real *x,
                           const pv_real *dy, pv_real *dx, bool *begun)
{
    const double beta = adds(begun, map->source, map->from);
    pv_real *to = dx ? pv_dws_spread_to(&layer->source, count, map->source, map->from, dx) : NULL;
    x = input_of(layer, map, count, x);
    dy = gradient_of(layer, map, count, dy);
    if (map->stack.depth)
        pv_stack_backward(&map->stack, layer->params, (int64_t)count * map->positions, map->scale, x, dy,
                          beta, to);
    else
        pv_sab_backward(&map->sab, count, map->scale, x, dy, beta, to);
}

pv_dws_gate pv_dws_layer_gate(const pv_dws_part *part, int tensor, const pv_real *x, const pv_dws_exit *out)
{
    return (pv_dws_gate){.x = x + part->at,
                         .best = part->pooled,
                         .relu = out->relu,
                         .keep = out->keep,
                         .y = out->y ? out->y + part->at : NULL,
                         .mean = out->mean[tensor],
                         .sum = out->sum[tensor],
                         .dot = out->dot[tensor]};
}

/* A tensor whose input gradient is complete but for the entrywise map and the spread margins: row by row, so
 * that a row passes the product and the gate while it is in the first-level cache. */
static void finish(pv_dws_layer *layer, const pv_dws_map *map, int count, int t, const pv_dws_exit *out,
                   const pv_real *x, const pv_real *dy, pv_real *dx, bool begun)
{
    pv_dws_part part = pv_dws_part_of(&layer->source, count, t);
    pv_dws_block *block = &part.block;
    pv_dws_gate gate = pv_dws_layer_gate(&part, t, x, out);
    pv_dws_settle(&layer->source, &part);
    const int f = block->f, rows = block->rows;
    const int64_t line = (int64_t)block->cols * f;
    if (!map) {
        if (!begun) memset(dx, 0, sizeof *dx * (size_t)(count * rows * line));
        layer->source.back->deactivate(block, &gate, &part.spread, dx);
        return;
    }
    block->count = block->rows = 1;
    for (int s = 0; s < count; s++) {
        for (int r = 0; r < rows; r++, dy += (int64_t)block->cols * map->out, dx += line, gate.x += line) {
            const pv_product_term term = pv_product_of(dy, map->backward, map->in, map->out);
            layer->matrix->product(block->cols, f, 1, &term, begun, dx);
            layer->source.back->deactivate(block, &gate, &part.spread, dx);
            gate.y = gate.y ? gate.y + line : NULL;
            gate.best.row += f;
            part.spread.row += f;
        }
        gate.best.col += line;
        part.spread.col += line;
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
    const int tensors = layer->space->tensors;
    bool begun[2 * PV_DWS_MAX_LAYERS] = {false};
    pv_dws_layer_biases_backward(layer, count);
    if (layer->opts.skip) {
        pv_stack_backward(&layer->skip, layer->params, count * layer->space->total[PV_MARGIN_FULL], 1, x, dy,
                          0, dx);
        memset(begun, true, sizeof begun);
    }
    pv_dws_margins_clear(&layer->source, count);
    for (int t = 0; t < tensors; t++)
        for (int margin = 0; margin < PV_MARGIN_COUNT; margin++)
            if (layer->from[t][margin])
                joint_backward(layer, layer->from[t][margin], count, x, dy, dx, begun);
    for (const pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++)
        if (map->stack.depth != 1) other_backward(layer, map, count, x, dy, dx, begun);
    for (int t = 0; t < tensors; t++) {
        const pv_dws_map *map = layer->entrywise[t];
        const pv_real *of_x = pv_dws_pooled(&layer->source, count, t, PV_MARGIN_FULL, x);
        const pv_real *of_dy = pv_dws_pooled(&layer->target, count, t, PV_MARGIN_FULL, dy);
        pv_real *of_dx = dx ? pv_dws_spread_to(&layer->source, count, t, PV_MARGIN_FULL, dx) : NULL;
        if (layer->picks && layer->picks[t].entry) {
            picks_backward(layer, map, count, &layer->picks[t], of_x, of_dx);
            map = NULL;
            begun[t] = true;
        } else if (map) {
            weight_backward(layer, map, (int64_t)count * map->positions, of_x, of_dy);
        }
        if (dx) finish(layer, map, count, t, out, x, of_dy, of_dx, begun[t]);
    }
}
