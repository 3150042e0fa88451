/* The graph of an INR: embeds its weights and biases, and takes their gradients back. */
#include "pv_gnn_graph.h"

#include <stdio.h>
#include <string.h>

enum {
    WAVES = 128,      /* frequencies */
    BLOCK = 64,       /* inputs that are embedded at once */
    PHASOR_INPUTS = 3 /* of a node: cosine, sine, and the bias of an output */
};

/* ---- the embedding of a list of inputs ---- */

static void embed_new(pv_gnn_embed *embed, pv_packed_set *set, const char *name, const pv_gnn_opts *opts,
                      int in, int width)
{
    char index[16];
    int module = 0;
    *embed = (pv_gnn_embed){.in = in,
                            .in_padded = pv_packed_pad(set, in),
                            .out = pv_packed_pad(set, width),
                            .basis = -1,
                            .maps = opts->input_layers + 1};
    pv_nn_params_prefix(set->params, "construct_graph.%s.", name);
    if (opts->sin_emb)
        embed->basis = pv_nn_params_add_constant(set->params, "0._B", in, WAVES,
                                                 (pv_init){PV_INIT_NORMAL, opts->inp_factor});
    if (opts->sin_emb) module++;
    for (int i = 0; i < opts->input_layers; i++, module += 2) {
        const int from = i ? width : opts->sin_emb ? 2 * WAVES : in;
        snprintf(index, sizeof index, "%d", module);
        embed->map[i] = pv_packed_linear_add(set, index, from, width, true, PV_LINEAR_PYTORCH);
    }
}

/* What the first map is given. */
static const pv_real *embed_features(const pv_gnn_embed *e, const pv_gnn_graph *g, int64_t rows,
                                     const pv_real *x)
{
    if (e->basis < 0) return x;
    g->gnn_kernels->fourier(rows, e->in, e->in_padded, WAVES, x, pv_nn_values(g->set->params, e->basis),
                            g->features);
    return g->features;
}

/* What map i is given: from the first to the last but one, with the SiLU before it, whose slope is kept. */
static const pv_real *embed_given(const pv_gnn_embed *e, const pv_gnn_graph *g, int i, int64_t rows,
                                  const pv_real *features)
{
    if (i == 0) return features;
    if (i == e->maps - 1) return g->act[i - 1];
    g->kernels->silu_slope(rows * e->out, g->act[i - 1], g->silu, g->slope);
    return g->silu;
}

static void embed_forward(const pv_gnn_embed *e, const pv_gnn_graph *g, int64_t count, const pv_real *x,
                          pv_real *y)
{
    for (int64_t first = 0; first < count; first += BLOCK) {
        const int64_t rows = count - first < BLOCK ? count - first : BLOCK;
        const pv_real *const features = embed_features(e, g, rows, x + first * e->in_padded);
        for (int i = 0; i < e->maps; i++)
            pv_packed_forward(&e->map[i], rows, embed_given(e, g, i, rows, features), false,
                              i < e->maps - 1 ? g->act[i] : y + first * e->out);
    }
}

/* dx NULL: not wanted. */
static void embed_backward(const pv_gnn_embed *e, const pv_gnn_graph *g, int64_t count, const pv_real *x,
                           const pv_real *dy, pv_real *dx)
{
    for (int64_t first = 0; first < count; first += BLOCK) {
        const int64_t rows = count - first < BLOCK ? count - first : BLOCK;
        const pv_real *const features = embed_features(e, g, rows, x + first * e->in_padded);
        for (int i = 0; i < e->maps - 1; i++)
            pv_packed_forward(&e->map[i], rows, embed_given(e, g, i, rows, features), false, g->act[i]);
        const pv_real *d = dy + first * e->out;
        for (int i = e->maps - 1; i > 0; i--) {
            pv_real *const into = g->dact[i % 2];
            pv_packed_backward(&e->map[i], rows, embed_given(e, g, i, rows, features), d, false, into);
            if (i < e->maps - 1) g->kernels->multiply(rows * e->out, g->slope, into);
            d = into;
        }
        pv_real *const dfeatures = !dx ? NULL : e->basis < 0 ? dx + first * e->in_padded : g->dfeatures;
        pv_packed_backward(&e->map[0], rows, features, d, false, dfeatures);
        if (dx && e->basis >= 0)
            g->gnn_kernels->fourier_backward(rows, e->in, e->in_padded, WAVES, features,
                                             pv_nn_values(g->set->params, e->basis), dfeatures,
                                             dx + first * e->in_padded);
    }
}

static double embed_flops(const pv_gnn_embed *e)
{
    double sum = 0;
    for (int i = 0; i < e->maps; i++)
        sum += 2.0 * e->map[i].in * e->map[i].out;
    return sum;
}

/* ---- the graph ---- */

/* What the input and the position of every unit are. */
static int lay_nodes(pv_gnn_graph *g, const pv_arch *arch, pv_reading features)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int *const dims = arch->dims, layers = arch->layers;
    int node = 0, row = 0;
    pv_reading_layout(arch, features, tensors);
    for (int l = 0; l <= layers; l++) {
        const pv_arch_tensor *const bias = l ? &tensors[2 * l - 1] : NULL;
        for (int u = 0; u < dims[l]; u++, node++) {
            g->bias_count[node] = bias ? bias->cols : 0;
            g->bias_place[node] = bias ? bias->offset + u * bias->cols : 0;
            g->bias_input[node] = bias && bias->cols == 1 ? g->node_inputs - 1 : 0;
            g->position[node] = row;
            if (l == 0 || l == layers) row++;
        }
        if (l > 0 && l < layers) row++;
    }
    return row;
}

static void lay_edges(pv_gnn_graph *g, const pv_arch *arch, pv_reading features)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int *const dims = arch->dims, layers = arch->layers, n = g->nodes;
    int from = g->first, weight = 0;
    pv_reading_layout(arch, features, tensors);
    for (int64_t e = 0; e < (int64_t)n * n; e++)
        g->edge_input[e] = e / n < g->first || e % n < g->first ? -1 : g->inputs;
    for (int l = 0; l < layers; l++) {
        const int to = from + dims[l];
        int place = tensors[2 * l].offset;
        for (int out = 0; out < dims[l + 1]; out++)
            for (int in = 0; in < dims[l]; in++, weight++) {
                const int64_t i = from + in, j = to + out;
                g->weight_place[weight] = place++;
                g->edge_input[i * n + j] = weight;
                if (g->reversed) g->edge_input[j * n + i] = g->weights + weight;
            }
        from = to;
    }
}

static void reserve(pv_gnn_graph *g, pv_memory *memory)
{
    const int64_t width = g->node_width > g->edge_width ? g->node_width : g->edge_width;
    const int64_t padded = g->edge.in_padded, units = g->nodes - g->first;
    const int64_t of_edges = (g->inputs + 1) * padded, of_nodes = units * g->node.in_padded;
    PV_TAKE(memory, of_nodes, &g->node_x);
    PV_TAKE(memory, of_edges, &g->edge_x);
    PV_TAKE(memory, of_edges > of_nodes ? of_edges : of_nodes, &g->dx);
    PV_TAKE(memory, BLOCK * 2 * WAVES, &g->features, &g->dfeatures);
    for (int i = 0; i < g->node.maps; i++)
        PV_TAKE(memory, BLOCK * width, &g->act[i]);
    PV_TAKE(memory, BLOCK * width, &g->slope, &g->silu, &g->dact[0], &g->dact[1]);
}

pv_status pv_gnn_graph_new(pv_gnn_graph *graph, pv_packed_set *set, const pv_gnn_opts *opts,
                           const pv_arch *arch, pv_reading features)
{
    const int *const dims = arch->dims, layers = arch->layers;
    pv_gnn_graph *const g = graph;
    const pv_init normal = {PV_INIT_NORMAL, 1};
    const bool token = opts->graph_features == PV_GRAPH_CLS_TOKEN;
    *g = (pv_gnn_graph){.kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
                        .gnn_kernels = PV_ISA_CHOOSE(pv_gnn_kernels),
                        .first = token,
                        .nodes = token + dims[0],
                        .node_inputs = pv_reading_bias(arch, features, 0) > 1 ? PHASOR_INPUTS : 1,
                        .reversed = opts->rev_edge_features,
                        .set = set,
                        .node_width = pv_packed_pad(set, opts->d_node),
                        .edge_width = pv_packed_pad(set, opts->d_edge)};
    for (int l = 0; l < layers; l++) {
        g->nodes += dims[l + 1];
        g->weights += dims[l] * dims[l + 1];
    }
    g->inputs = g->reversed ? 2 * g->weights : g->weights;
    PV_TAKE(set->memory, (int64_t)g->nodes * g->nodes, &g->edge_input);
    PV_TAKE(set->memory, g->weights, &g->weight_place);
    PV_TAKE(set->memory, g->nodes - g->first, &g->bias_place, &g->bias_count, &g->bias_input, &g->position);
    if (set->memory->failed) return pv_memory_status(set->memory);
    const int positions = lay_nodes(g, arch, features);
    lay_edges(g, arch, features);
    if (token) g->class_token = pv_packed_add(set, "cls_token", 1, 1, opts->d_node, normal);
    g->positions = pv_packed_add(set, "construct_graph.pos_embed", 2, positions, opts->d_node, normal);
    embed_new(&g->edge, set, "proj_weight", opts, g->reversed ? 3 : 1, opts->d_edge);
    embed_new(&g->node, set, "proj_bias", opts, g->node_inputs, opts->d_node);
    pv_nn_params_prefix(set->params, "construct_graph.");
    g->node.map[g->node.maps - 1] =
        pv_packed_linear_add(set, "proj_node_in", opts->d_node, opts->d_node, true, PV_LINEAR_PYTORCH);
    g->edge.map[g->edge.maps - 1] =
        pv_packed_linear_add(set, "proj_edge_in", opts->d_edge, opts->d_edge, true, PV_LINEAR_PYTORCH);
    reserve(g, set->memory);
    return pv_memory_status(set->memory);
}

static void fill_inputs(const pv_gnn_graph *g, const pv_real *row)
{
    const int stride = g->edge.in_padded;
    for (int u = 0; u < g->nodes - g->first; u++)
        for (int i = 0; i < g->bias_count[u]; i++)
            g->node_x[(int64_t)u * g->node.in_padded + g->bias_input[u] + i] = row[g->bias_place[u] + i];
    for (int w = 0; w < g->weights; w++) {
        const pv_real value = row[g->weight_place[w]];
        pv_real *x = g->edge_x + (int64_t)w * stride;
        x[0] = value;
        if (!g->reversed) continue;
        x[2] = value;
        x += (int64_t)g->weights * stride;
        x[1] = x[2] = value;
    }
}

void pv_gnn_graph_forward(pv_gnn_graph *graph, const pv_real *row, pv_real *nodes, pv_real *list)
{
    const pv_gnn_graph *const g = graph;
    const int units = g->nodes - g->first;
    pv_real *const first = nodes + g->first * g->node_width;
    fill_inputs(g, row);
    embed_forward(&g->node, g, units, g->node_x, first);
    embed_forward(&g->edge, g, g->inputs + 1, g->edge_x, list);
    for (int u = 0; u < units; u++)
        g->kernels->add(g->node_width, g->positions->values + (int64_t)g->position[u] * g->node_width,
                        first + (int64_t)u * g->node_width);
    if (g->class_token) memcpy(nodes, g->class_token->values, sizeof *nodes * (size_t)g->node_width);
}

void pv_gnn_graph_spread(const pv_gnn_graph *graph, const pv_real *list, pv_real *edges)
{
    const int64_t width = graph->edge_width, all = (int64_t)graph->nodes * graph->nodes;
    for (int64_t e = 0; e < all; e++, edges += width) {
        const int input = graph->edge_input[e];
        if (input < 0)
            memset(edges, 0, sizeof *edges * (size_t)width);
        else
            memcpy(edges, list + input * width, sizeof *edges * (size_t)width);
    }
}

void pv_gnn_graph_collect(const pv_gnn_graph *graph, const pv_real *dedges, int first, int rows,
                          pv_real *dlist)
{
    const int64_t width = graph->edge_width, n = graph->nodes;
    const int *input = graph->edge_input + first * n;
    memset(dlist, 0, sizeof *dlist * (size_t)(width * (graph->inputs + 1)));
    for (int64_t e = 0; e < rows * n; e++)
        if (input[e] >= 0) graph->kernels->add(width, dedges + e * width, dlist + input[e] * width);
}

void pv_gnn_graph_backward(pv_gnn_graph *graph, const pv_real *row, const pv_real *dnodes,
                           const pv_real *dlist, pv_real *drow)
{
    const pv_gnn_graph *const g = graph;
    const int units = g->nodes - g->first, stride = g->edge.in_padded, token = g->first * g->node_width;
    pv_real *const dx = drow ? g->dx : NULL;
    fill_inputs(g, row);
    if (g->class_token) g->kernels->add(g->node_width, dnodes, g->class_token->gradients);
    for (int u = 0; u < units; u++)
        g->kernels->add(g->node_width, dnodes + token + (int64_t)u * g->node_width,
                        g->positions->gradients + (int64_t)g->position[u] * g->node_width);
    embed_backward(&g->node, g, units, g->node_x, dnodes + token, dx);
    for (int u = 0; drow && u < units; u++)
        for (int i = 0; i < g->bias_count[u]; i++)
            drow[g->bias_place[u] + i] = dx[(int64_t)u * g->node.in_padded + g->bias_input[u] + i];
    embed_backward(&g->edge, g, g->inputs + 1, g->edge_x, dlist, dx);
    for (int w = 0; drow && w < g->weights; w++) {
        const pv_real *d = dx + (int64_t)w * stride, *back = d + (int64_t)g->weights * stride;
        drow[g->weight_place[w]] = g->reversed ? d[0] + d[2] + back[1] + back[2] : d[0];
    }
}

double pv_gnn_graph_flops(const pv_gnn_graph *graph)
{
    return (graph->inputs + 1) * embed_flops(&graph->edge) +
           (graph->nodes - graph->first) * embed_flops(&graph->node);
}
