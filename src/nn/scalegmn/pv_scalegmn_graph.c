/* The graph of an INR, and the features that its nodes and edges begin with. */
#include "pv_scalegmn_graph.h"

static pv_scalegmn_role role_of(const pv_scalegmn_graph *g, int node)
{
    if (node < g->inputs) return PV_SCALEGMN_INPUT;
    return node < g->nodes - g->outputs ? PV_SCALEGMN_HIDDEN : PV_SCALEGMN_OUTPUT;
}

/* ---- making one ---- */

/* Appends the blocks of `count` nodes or edges from `first` on. */
static void add_blocks(pv_scalegmn_block *blocks, int *at, int first, int count, pv_scalegmn_role source,
                       pv_scalegmn_role target)
{
    for (int i = 0; i < count; i += PV_SCALEGMN_ROWS) {
        const int rest = count - i;
        blocks[(*at)++] = (pv_scalegmn_block){.first = first + i,
                                              .count = rest < PV_SCALEGMN_ROWS ? rest : PV_SCALEGMN_ROWS,
                                              .source = source,
                                              .target = target};
    }
}

static int blocks_of(int count)
{
    return (count + PV_SCALEGMN_ROWS - 1) / PV_SCALEGMN_ROWS;
}

static bool reserve(pv_scalegmn_graph *g, pv_memory *memory)
{
    g->node_block = pv_take(memory, g->node_blocks, sizeof *g->node_block);
    g->edge_block = pv_take(memory, g->edge_blocks, sizeof *g->edge_block);
    g->source = pv_take(memory, g->edges, sizeof *g->source);
    g->target = pv_take(memory, g->edges, sizeof *g->target);
    g->weight = pv_take(memory, g->edges, sizeof *g->weight);
    g->edge_type = pv_take(memory, g->edges, sizeof *g->edge_type);
    g->bias = pv_take(memory, g->nodes, sizeof *g->bias);
    g->cosine = pv_take(memory, g->nodes, sizeof *g->cosine);
    g->node_type = pv_take(memory, g->nodes, sizeof *g->node_type);
    return !memory->failed;
}

/* Inputs and outputs have a type each, the units of a hidden layer share one.  Likewise the weights that
 * leave an input, those that lead to an output, and those between two hidden layers.
 * Differs   where the INR has several outputs the published code gives weights to them the types of others,
 * which depend on the order of hidden units. */
static void fill(pv_scalegmn_graph *g, const pv_arch *arch, pv_reading features)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int *const dims = arch->dims, layers = arch->layers;
    int edge = 0, first = 0, edge_block = 0, node_block = 0;
    pv_reading_layout(arch, features, tensors);
    for (int i = 0; i < g->inputs; i++) {
        g->bias[i] = g->cosine[i] = -1;
        g->node_type[i] = i;
    }
    for (int l = 0; l < layers; l++) {
        const int in = dims[l], out = dims[l + 1], next = first + in;
        const bool last = l == layers - 1;
        const pv_arch_tensor *const weight = &tensors[2 * l], *const bias = weight + 1;
        add_blocks(g->edge_block, &edge_block, edge, in * out, role_of(g, first), role_of(g, next));
        for (int o = 0; o < out; o++) {
            g->bias[next + o] = bias->offset + (o + 1) * bias->cols - 1;
            g->cosine[next + o] = bias->cols > 1 ? bias->offset + o * bias->cols : -1;
            g->node_type[next + o] = g->inputs + l + (last ? o : 0);
            for (int i = 0; i < in; i++, edge++) {
                g->source[edge] = first + i;
                g->target[edge] = next + o;
                g->weight[edge] = weight->offset + o * in + i;
                g->edge_type[edge] = l == 0 ? i : g->inputs + l - 1 + (last ? o : 0);
            }
        }
        first = next;
    }
    const int hidden = g->nodes - g->inputs - g->outputs;
    add_blocks(g->node_block, &node_block, 0, g->inputs, PV_SCALEGMN_INPUT, PV_SCALEGMN_INPUT);
    add_blocks(g->node_block, &node_block, g->inputs, hidden, PV_SCALEGMN_HIDDEN, PV_SCALEGMN_HIDDEN);
    add_blocks(g->node_block, &node_block, g->nodes - g->outputs, g->outputs, PV_SCALEGMN_OUTPUT,
               PV_SCALEGMN_OUTPUT);
}

/* Whether the type of a tensor's weights depends on the unit at their other end. */
static bool type_varies(const pv_scalegmn_graph *g, int l, bool against)
{
    return against ? l == 0 : l > 0 && l == g->tensors - 1;
}

static bool senders_new(pv_scalegmn_graph *g, pv_memory *memory, const int *dims, bool against)
{
    pv_scalegmn_senders *const s = against ? &g->against : &g->along;
    int edge = 0;
    for (int l = 0; l < g->tensors; l++)
        s->count += type_varies(g, l, against) ? dims[l] * dims[l + 1] : dims[l + against];
    s->unit = pv_take(memory, s->count, sizeof *s->unit);
    s->type = pv_take(memory, s->count, sizeof *s->type);
    s->of_edge = pv_take(memory, g->edges, sizeof *s->of_edge);
    s->group = pv_take(memory, g->tensors, sizeof *s->group);
    if (memory->failed) return false;
    for (int l = 0, first = 0; l < g->tensors; l++) {
        const int in = dims[l], out = dims[l + 1];
        const int count = type_varies(g, l, against) ? in * out : dims[l + against];
        s->group[l] = (pv_scalegmn_block){.first = first,
                                          .count = count,
                                          .source = role_of(g, g->source[edge]),
                                          .target = role_of(g, g->target[edge])};
        for (int i = 0; i < in * out; i++, edge++) {
            const int own = count == in * out ? i : against ? i / in : i % in;
            s->of_edge[edge] = first + own;
            s->unit[first + own] = against ? g->target[edge] : g->source[edge];
            s->type[first + own] = g->edge_type[edge];
        }
        first += count;
    }
    return true;
}

/* A Linear from one number, as the vector that it is. */
static pv_packed *axis_new(const pv_scalegmn_work *w, const char *name)
{
    const pv_linear column = pv_linear_new(w->set->params, name, 1, w->features, false, PV_LINEAR_PYTORCH);
    const pv_linear row = {.in = w->features, .out = 1, .weight = column.weight, .bias = -1};
    return pv_packed_linear_new(w->set, &row, w->width, pv_packed_map(w->set, 0, w->features, w->width), 1,
                                pv_packed_map(w->set, 0, 1, 1))
        .weight;
}

pv_status pv_scalegmn_graph_new(pv_scalegmn_graph *g, const pv_scalegmn_work *w, const pv_arch *arch,
                                pv_reading features)
{
    const pv_init normal = {PV_INIT_NORMAL, 1};
    const int *const dims = arch->dims, layers = arch->layers, hidden_layers = layers - 1;
    *g = (pv_scalegmn_graph){.inputs = dims[0], .outputs = dims[layers], .tensors = layers};
    for (int l = 0; l <= layers; l++)
        g->nodes += dims[l];
    for (int l = 0; l < layers; l++) {
        g->edges += dims[l] * dims[l + 1];
        g->edge_blocks += blocks_of(dims[l] * dims[l + 1]);
    }
    g->node_blocks =
        blocks_of(g->inputs) + blocks_of(g->nodes - g->inputs - g->outputs) + blocks_of(g->outputs);
    if (!reserve(g, w->set->memory)) return pv_memory_status(w->set->memory);
    fill(g, arch, features);
    g->types = g->edge_type[g->edges - 1] + 1;
    if (!senders_new(g, w->set->memory, dims, false) || !senders_new(g, w->set->memory, dims, true))
        return pv_memory_status(w->set->memory);
    g->node_axis = axis_new(w, "construct_graph.proj_bias");
    g->edge_axis = axis_new(w, "construct_graph.proj_weight");
    g->node_position = pv_packed_add(w->set, "positional_embeddings.pos_embed", 2,
                                     g->inputs + hidden_layers + g->outputs, w->features, normal);
    g->edge_position =
        pv_packed_add(w->set, "positional_embeddings_edge.pos_embed", 2, g->types, w->features, normal);
    return PV_OK;
}

/* ---- features ---- */

/* value * axis * position, or, of what has no sign, value * axis + position. */
static void embed(const pv_packed *axis, const pv_packed *positions, int type, bool sum, pv_real value,
                  pv_real *restrict x)
{
    const pv_real *const a = axis->values, *const p = positions->values + (int64_t)type * positions->cols;
    for (int k = 0; k < positions->cols; k++)
        x[k] = sum ? value * a[k] + p[k] : value * a[k] * p[k];
}

/* Returns the gradient of value. */
static pv_real embed_backward(const pv_packed *axis, const pv_packed *positions, int type, bool sum,
                              pv_real value, const pv_real *dx)
{
    const int64_t at = (int64_t)type * positions->cols;
    const pv_real *const a = axis->values, *const p = positions->values + at;
    pv_real *const da = axis->gradients, *const dp = positions->gradients + at;
    pv_real dvalue = 0;
    for (int k = 0; k < positions->cols; k++) {
        const pv_real scaled = sum ? dx[k] : dx[k] * p[k];
        da[k] += value * scaled;
        dp[k] += sum ? dx[k] : value * a[k] * dx[k];
        dvalue += a[k] * scaled;
    }
    return dvalue;
}

void pv_scalegmn_embed_nodes(const pv_scalegmn_graph *g, const pv_real *row, pv_real *x)
{
    for (int n = 0; n < g->nodes; n++)
        embed(g->node_axis, g->node_position, g->node_type[n], role_of(g, n) != PV_SCALEGMN_HIDDEN,
              g->bias[n] < 0 ? 1 : row[g->bias[n]], x + (int64_t)n * g->node_axis->cols);
}

void pv_scalegmn_embed_nodes_backward(const pv_scalegmn_graph *g, const pv_real *row, const pv_real *dx,
                                      pv_real *drow)
{
    for (int n = 0; n < g->nodes; n++) {
        const pv_real dvalue = embed_backward(
            g->node_axis, g->node_position, g->node_type[n], role_of(g, n) != PV_SCALEGMN_HIDDEN,
            g->bias[n] < 0 ? 1 : row[g->bias[n]], dx + (int64_t)n * g->node_axis->cols);
        if (drow && g->bias[n] >= 0) drow[g->bias[n]] += dvalue;
    }
}

void pv_scalegmn_embed_types(const pv_scalegmn_graph *g, pv_real *e)
{
    for (int t = 0; t < g->types; t++)
        embed(g->edge_axis, g->edge_position, t, false, 1, e + (int64_t)t * g->edge_axis->cols);
}

void pv_scalegmn_embed_types_backward(const pv_scalegmn_graph *g, const pv_real *de)
{
    for (int t = 0; t < g->types; t++)
        embed_backward(g->edge_axis, g->edge_position, t, false, 1, de + (int64_t)t * g->edge_axis->cols);
}

/* ---- cosines ---- */

void pv_scalegmn_turn(const pv_scalegmn_graph *g, const pv_real *row, int64_t values, int64_t stride,
                      pv_real *sums)
{
    for (int n = 0; n < g->nodes; n++, sums += stride)
        for (int64_t k = 0; g->cosine[n] >= 0 && k < values; k++)
            sums[values + k] = row[g->cosine[n]] * sums[k];
}

void pv_scalegmn_turn_backward(const pv_scalegmn_graph *g, const pv_real *row, int64_t values, int64_t stride,
                               const pv_real *sums, pv_real *dsums, pv_real *drow)
{
    for (int n = 0; n < g->nodes; n++, sums += stride, dsums += stride) {
        pv_real dcosine = 0;
        if (g->cosine[n] < 0) continue;
        for (int64_t k = 0; k < values; k++) {
            dcosine += sums[k] * dsums[values + k];
            dsums[k] += row[g->cosine[n]] * dsums[values + k];
        }
        if (drow) drow[g->cosine[n]] += dcosine;
    }
}
