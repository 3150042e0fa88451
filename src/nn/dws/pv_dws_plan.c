/* Which maps a DWS layer has, by the four families of the published code, and which of them go together. */
#include "pv_dws_layer.h"

#include <stdio.h>

/* What an enumeration carries along. */
typedef struct planner {
    pv_dws_layer *layer;
    const pv_dws_space *space;
    const pv_dws_layer_opts *opts;
    int max_count;
    const char *prefix;
    char name[PV_NN_NAME]; /* of the map being made: "<prefix>weight_to_weight.layers.0_1" */
    int indivisible;       /* a width of an attention that the heads do not divide, else 0 */
} planner;

/* One end of a map: a margin of a tensor, cut into positions of so many channels. */
typedef struct end {
    int tensor;
    pv_dws_margin margin;
    int positions, width; /* width: entries a position */
} end;

/* Each neuron of a sequence with all its channels: weight 0 and L-1, the biases. */
static end sequence(const planner *p, int tensor)
{
    return (end){tensor, PV_MARGIN_FULL, p->space->rows[tensor], p->space->cols[tensor]};
}
static end entries(const planner *p, int tensor)
{
    return (end){tensor, PV_MARGIN_FULL, p->space->rows[tensor] * p->space->cols[tensor], 1};
}
static end rows(const planner *p, int tensor)
{
    return (end){tensor, PV_MARGIN_ROW, p->space->rows[tensor], 1};
}
static end cols(const planner *p, int tensor)
{
    return (end){tensor, PV_MARGIN_COL, p->space->cols[tensor], 1};
}
/* One position that keeps the columns apart: where these are the INR's inputs or outputs. */
static end wide(const planner *p, int tensor)
{
    return (end){tensor, PV_MARGIN_COL, 1, p->space->cols[tensor]};
}
static end all(int tensor)
{
    return (end){tensor, PV_MARGIN_ALL, 1, 1};
}

/* An end without the axis that a symmetry permutes. */
static end pooled(const planner *p, end e)
{
    return e.margin == PV_MARGIN_FULL ? wide(p, e.tensor) : all(e.tensor);
}

/* A tensor as one vector, everything permutable pooled. */
static end vector(const planner *p, int tensor)
{
    const int last = p->space->layers - 1;
    if (tensor == 2 * last + 1) return sequence(p, tensor);
    return tensor == 0 || tensor >= last ? wide(p, tensor) : all(tensor);
}

/* An end as the input has it: the numbers of a bias are channels of its neuron, and are never pooled into
 * one. */
static end source(const planner *p, end e)
{
    const int cols = p->layer->from_space->cols[e.tensor];
    if (cols == p->space->cols[e.tensor]) return e;
    return (end){e.tensor, e.margin == PV_MARGIN_FULL ? PV_MARGIN_FULL : PV_MARGIN_COL, e.positions, cols};
}

static pv_dws_map *new_map(planner *p, end from, end to, double scale)
{
    from = source(p, from);
    pv_dws_map *map = &p->layer->maps[p->layer->count++];
    *map = (pv_dws_map){.source = from.tensor, .target = to.tensor, .from = from.margin, .to = to.margin};
    map->positions = from.positions;
    map->in = from.width * p->opts->in;
    map->out = to.width * p->opts->out;
    map->scale = scale / p->space->tensors;
    map->bias = -1;
    return map;
}

static pv_dws_map *add(planner *p, const char *suffix, end from, end to, int depth, bool bias, double scale)
{
    char name[2 * PV_NN_NAME];
    snprintf(name, sizeof name, "%s%s", p->name, suffix);
    pv_dws_map *map = new_map(p, from, to, scale);
    map->stack = pv_stack_new(p->layer->params, name, map->in, map->out, depth, bias, PV_LINEAR_DWS);
    pv_stack_reserve(&map->stack, p->layer->params->memory, (int64_t)p->max_count * map->positions);
    map->bias = map->stack.linear[depth - 1].bias;
    map->stack.linear[depth - 1].bias = -1;
    map->bias_to = to.width == p->space->cols[to.tensor] ? PV_MARGIN_COL : PV_MARGIN_ALL;
    return map;
}

static void add_attention(planner *p, const char *suffix, end from, end to)
{
    char name[2 * PV_NN_NAME];
    snprintf(name, sizeof name, "%s%s.set_layer.mab", p->name, suffix);
    pv_dws_map *map = new_map(p, from, to, 1);
    if (map->out % p->opts->heads != 0) p->indivisible = map->out;
    map->sab = pv_sab_new(p->layer->params, name, map->positions, map->in, map->out, p->opts->heads,
                          &p->layer->work);
}

static void add_linear(planner *p, end from, end to, int depth)
{
    add(p, ".layer", from, to, depth, true, 1);
}

/* The set layer `ds` as two maps, `sab` as one. */
static void add_set(planner *p, const char *suffix, end from, end to)
{
    if (p->opts->set_layer == PV_SET_SAB) {
        add_attention(p, suffix, from, to);
        return;
    }
    char name[PV_NN_NAME];
    snprintf(name, sizeof name, "%s.set_layer.Gamma", suffix);
    add(p, name, from, to, p->opts->fc_layers, true, 1);
    snprintf(name, sizeof name, "%s.set_layer.Lambda", suffix);
    add(p, name, pooled(p, from), pooled(p, to), p->opts->fc_layers, false, -1);
}

static void weight_to_itself(planner *p, int i)
{
    const int last = p->space->layers - 1, depth = p->opts->fc_layers;
    if (i == 0 || i == last) {
        add_set(p, ".set_layer", sequence(p, i), sequence(p, i));
        return;
    }
    const pv_dws_map *map = add(p, ".lin_all", entries(p, i), entries(p, i), depth, true, 0.25);
    if (depth == 1) p->layer->entrywise[i] = map;
    add(p, ".lin_n", cols(p, i), cols(p, i), depth, true, 0.25);
    add(p, ".lin_m", rows(p, i), rows(p, i), depth, true, 0.25);
    add(p, ".lin_both", all(i), all(i), depth, true, 0.25);
}

static void weight_to_weight(planner *p, int i, int j)
{
    const int last = p->space->layers - 1;
    if (i == j)
        weight_to_itself(p, i);
    else if (j == i + 1) /* constant along the target's columns, even where these are the INR's outputs */
        add_set(p, ".set_layer", i == 0 ? sequence(p, i) : cols(p, i), rows(p, j));
    else if (j == i - 1)
        add_set(p, ".set_layer", i == last ? sequence(p, i) : rows(p, i),
                j == 0 ? sequence(p, j) : cols(p, j));
    else
        add_linear(p, vector(p, i), vector(p, j), p->opts->fc_layers);
}

static void bias_to_bias(planner *p, int i, int j)
{
    const int last = p->space->layers - 1, from = last + 1 + i, to = last + 1 + j;
    if (i == j && i < last)
        add_set(p, ".layer", sequence(p, from), sequence(p, to));
    else
        add_linear(p, vector(p, from), j == last ? sequence(p, to) : all(to), p->opts->fc_layers);
}

static void bias_to_weight(planner *p, int i, int j)
{
    const int last = p->space->layers - 1, from = last + 1 + i;
    if (i == j && i == last)
        add_linear(p, vector(p, from), wide(p, j), p->opts->fc_layers);
    else if (i == j)
        add_set(p, ".layer", sequence(p, from), i == 0 ? sequence(p, j) : cols(p, j));
    else if (i == j - 1)
        add_set(p, ".layer", sequence(p, from), j == last ? sequence(p, j) : rows(p, j));
    else
        add_linear(p, vector(p, from), j == 0 ? wide(p, j) : all(j), 1);
}

static void weight_to_bias(planner *p, int i, int j)
{
    const int last = p->space->layers - 1, to = last + 1 + j;
    if (i == j && i == last)
        add_linear(p, vector(p, i), sequence(p, to), p->opts->fc_layers);
    else if (i == j)
        add_set(p, ".layer", i == 0 ? sequence(p, i) : cols(p, i), sequence(p, to));
    else if (i == j + 1)
        add_set(p, ".layer", i == last ? sequence(p, i) : rows(p, i), sequence(p, to));
    else
        add_linear(p, vector(p, i), j == last ? sequence(p, to) : all(to), 1);
}

/* One of the four families: pairs (i, j) with low <= i - j <= high belong to the diagonal layer too. */
static void family(planner *p, const char *title, int low, int high, void (*make)(planner *, int, int))
{
    for (int i = 0; i < p->space->layers; i++)
        for (int j = 0; j < p->space->layers; j++) {
            if (p->opts->diagonal && (i - j < low || i - j > high)) continue;
            if (snprintf(p->name, sizeof p->name, "%s%s.layers.%d_%d", p->prefix, title, i, j) >=
                PV_NN_NAME / 2)
                p->layer->params->failed = true;
            make(p, i, j);
        }
}

/* Takes what single linear maps are packed into, and lists those that go together. */
static void gather(pv_dws_layer *layer)
{
    for (pv_dws_map *map = layer->maps; map < layer->maps + layer->count; map++) {
        if (map->stack.depth != 1) continue;
        PV_TAKE(layer->params->memory, (int64_t)map->in * map->out, &map->forward, &map->backward);
        if (map == layer->entrywise[map->source]) continue;
        pv_dws_map **into = &layer->into[map->target][map->to], **from = &layer->from[map->source][map->from];
        while (*into)
            into = &(*into)->next_into;
        while (*from)
            from = &(*from)->next_from;
        *into = *from = map;
    }
}

pv_status pv_dws_plan(pv_dws_layer *layer, int max_count, const char *prefix)
{
    enum { MAPS_A_PAIR = 10 }; /* at most 4 between weights and 2 in each other family */
    const int layers = layer->space->layers;
    pv_memory *memory = layer->params->memory;
    PV_TAKE(memory, MAPS_A_PAIR * layers * layers, &layer->maps);
    if (!layer->maps) return pv_memory_status(memory);
    planner p = {layer, layer->space, &layer->opts, max_count, prefix, .indivisible = 0};
    family(&p, "weight_to_weight", -1, 1, weight_to_weight);
    family(&p, "bias_to_bias", 0, 0, bias_to_bias);
    family(&p, "bias_to_weight", -1, 0, bias_to_weight);
    family(&p, "weight_to_bias", 0, 1, weight_to_bias);
    if (p.indivisible)
        return pv_fail(PV_ERR_CONFIG, "model.heads: %d must divide the width %d of a set layer",
                       layer->opts.heads, p.indivisible);
    gather(layer);
    pv_sab_work_reserve(&layer->work, layer->params);
    return pv_memory_status(memory);
}
