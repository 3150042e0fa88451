/* Which maps a DWS layer has, by the four families of the published code, and which of them go together. */
#include "pv_dws_plan.h"

#include <stdio.h>
#include <stdlib.h>

/* What an enumeration carries along. */
typedef struct planner {
    pv_dws_plan *plan;
    const pv_dws_space *space;
    const pv_dws_layer_opts *opts;
    pv_nn_params *params;
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

static void linear_reserve(pv_dws_map *map, pv_memory *memory, int max_batch)
{
    pv_stack_reserve(&map->stack, memory, (int64_t)max_batch * map->positions);
}

static void linear_forward(const pv_dws_map *map, const pv_nn_params *params, int first, int count,
                           const pv_real *x, double beta, pv_real *y)
{
    pv_stack_forward(&map->stack, params, (int64_t)first * map->positions, (int64_t)count * map->positions,
                     map->scale, x, beta, y);
}

static void linear_backward(const pv_dws_map *map, const pv_nn_params *params, int first, int count,
                            const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    pv_stack_backward(&map->stack, params, (int64_t)first * map->positions, (int64_t)count * map->positions,
                      map->scale, x, dy, beta, dx);
}

static double linear_flops(const pv_dws_map *map)
{
    return map->positions * pv_stack_row_flops(&map->stack);
}

static const pv_dws_op linear_op = {
    .reserve = linear_reserve,
    .forward = linear_forward,
    .backward = linear_backward,
    .sample_flops = linear_flops,
};

/* Nothing to reserve: attentions share the plan's scratch. */
static void sab_reserve(pv_dws_map *map, pv_memory *memory, int max_batch)
{
    (void)map, (void)memory, (void)max_batch;
}

static void sab_forward(const pv_dws_map *map, const pv_nn_params *params, int first, int count,
                        const pv_real *x, double beta, pv_real *y)
{
    (void)first;
    pv_sab_forward(&map->sab, params, count, map->scale, x, beta, y);
}

static void sab_backward(const pv_dws_map *map, const pv_nn_params *params, int first, int count,
                         const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    (void)first;
    pv_sab_backward(&map->sab, params, count, map->scale, x, dy, beta, dx);
}

static double sab_flops(const pv_dws_map *map)
{
    return pv_sab_flops(&map->sab);
}

static const pv_dws_op sab_op = {
    .reserve = sab_reserve,
    .forward = sab_forward,
    .backward = sab_backward,
    .sample_flops = sab_flops,
};

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

static pv_dws_map *new_map(planner *p, const pv_dws_op *op, end from, end to, double scale)
{
    pv_dws_map *map = &p->plan->maps[p->plan->count++];
    *map = (pv_dws_map){.op = op,
                        .source = from.tensor,
                        .target = to.tensor,
                        .from = from.margin,
                        .to = to.margin,
                        .positions = from.positions,
                        .in = from.width * p->opts->in,
                        .out = to.width * p->opts->out,
                        .scale = scale / p->space->tensors,
                        .bias = -1};
    return map;
}

static void add(planner *p, const char *suffix, end from, end to, int depth, bool bias, double scale)
{
    char name[2 * PV_NN_NAME];
    snprintf(name, sizeof name, "%s%s", p->name, suffix);
    pv_dws_map *map = new_map(p, depth > 1 ? &linear_op : NULL, from, to, scale);
    map->stack = pv_stack_new(p->params, name, map->in, map->out, depth, bias, PV_LINEAR_DWS);
    map->bias = pv_stack_last(&map->stack)->bias;
    map->bias_to = to.width == p->space->cols[to.tensor] ? PV_MARGIN_COL : PV_MARGIN_ALL;
}

static void add_attention(planner *p, const char *suffix, end from, end to)
{
    char name[2 * PV_NN_NAME];
    snprintf(name, sizeof name, "%s%s.set_layer.mab", p->name, suffix);
    pv_dws_map *map = new_map(p, &sab_op, from, to, 1);
    if (map->out % p->opts->heads != 0) p->indivisible = map->out;
    map->sab = pv_sab_new(p->params, name, map->positions, map->in, map->out, p->opts->heads, &p->plan->work);
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
    add(p, ".lin_all", entries(p, i), entries(p, i), depth, true, 0.25);
    p->plan->maps[p->plan->count - 1].entrywise = true;
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
                p->params->failed = true;
            make(p, i, j);
        }
}

static pv_dws_joint *find(pv_dws_joint *joints, int *count, int tensor, pv_dws_margin margin)
{
    for (int i = 0; i < *count; i++)
        if (joints[i].tensor == tensor && joints[i].margin == margin) return &joints[i];
    joints[*count] = (pv_dws_joint){.tensor = tensor, .margin = margin};
    return &joints[(*count)++];
}

static void join(pv_dws_joint *joint, const pv_dws_map *map, int width)
{
    joint->positions = map->positions;
    joint->width = width;
    joint->maps[joint->count++] = map;
}

/* Packs the single linear maps, and gathers them by target and by source. */
static void gather(pv_dws_plan *plan, int tensors, pv_memory *memory)
{
    const int margins = PV_MARGIN_COUNT * tensors;
    plan->targets = pv_take(memory, margins, sizeof *plan->targets);
    plan->sources = pv_take(memory, margins, sizeof *plan->sources);
    for (int m = 0; m < plan->count; m++) {
        pv_dws_map *map = &plan->maps[m];
        if (map->op) continue;
        map->forward = pv_take(memory, (int64_t)map->in * map->out, sizeof(pv_real));
        map->backward = pv_take(memory, (int64_t)map->in * map->out, sizeof(pv_real));
        if (map->entrywise || memory->failed) continue;
        find(plan->targets, &plan->target_count, map->target, map->to)->count++;
        find(plan->sources, &plan->source_count, map->source, map->from)->count++;
    }
    for (int i = 0; i < plan->target_count + plan->source_count; i++) {
        pv_dws_joint *joint =
            i < plan->target_count ? &plan->targets[i] : &plan->sources[i - plan->target_count];
        joint->maps = pv_take(memory, joint->count, sizeof(const pv_dws_map *));
        joint->count = 0;
    }
    for (int m = 0; m < plan->count && !memory->failed; m++) {
        const pv_dws_map *map = &plan->maps[m];
        if (map->op || map->entrywise) continue;
        join(find(plan->targets, &plan->target_count, map->target, map->to), map, map->out);
        join(find(plan->sources, &plan->source_count, map->source, map->from), map, map->in);
    }
}

pv_status pv_dws_plan_make(pv_dws_plan *plan, const pv_dws_space *space, const pv_dws_layer_opts *opts,
                           const char *prefix, pv_nn_params *params, pv_memory *memory)
{
    enum { MAPS_A_PAIR = 10 }; /* at most 4 between weights and 2 in each other family */
    *plan = (pv_dws_plan){0};
    plan->maps = pv_take(memory, MAPS_A_PAIR * space->layers * space->layers, sizeof *plan->maps);
    if (!plan->maps) return pv_memory_status(memory);
    planner p = {.plan = plan, .space = space, .opts = opts, .params = params, .prefix = prefix};
    family(&p, "weight_to_weight", -1, 1, weight_to_weight);
    family(&p, "bias_to_bias", 0, 0, bias_to_bias);
    family(&p, "bias_to_weight", -1, 0, bias_to_weight);
    family(&p, "weight_to_bias", 0, 1, weight_to_bias);
    gather(plan, space->tensors, memory);
    if (p.indivisible)
        return pv_fail(PV_ERR_CONFIG, "model.heads: %d must divide the width %d of a set layer", opts->heads,
                       p.indivisible);
    pv_sab_work_reserve(&plan->work, memory);
    return pv_memory_status(memory);
}
