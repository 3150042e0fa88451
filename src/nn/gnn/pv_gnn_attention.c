/* Attention of the nodes, its queries, keys and values modulated by edges, row by row. */
#include "pv_gnn_layers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int power_of_two(int n)
{
    int power = 1;
    while (power < n)
        power *= 2;
    return power;
}

static void reserve(pv_gnn_shape *s, pv_memory *memory)
{
    const int64_t n = s->nodes;
    struct {
        pv_real **where;
        int64_t count;
    } blocks[] = {{&s->qkv, n * 3 * s->channels},
                  {&s->dqkv, n * 3 * s->channels},
                  {&s->edges, n * s->edge_maps * s->channels},
                  {&s->share, n * s->width},
                  {&s->dshare, n * s->width},
                  {&s->pooled, (int64_t)s->edge * s->width},
                  {&s->dpooled, (int64_t)s->edge * s->width},
                  {&s->flipped, (int64_t)s->edge * s->width},
                  {&s->dadded, (int64_t)s->edge * s->channels},
                  {&s->source, n * s->edge_hidden},
                  {&s->target, n * s->edge_hidden},
                  {&s->dsource, n * s->edge_hidden},
                  {&s->dtarget, n * s->edge_hidden}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        *blocks[i].where = pv_take(memory, blocks[i].count, sizeof(pv_real));
    for (int i = 0; i < 6; i++) {
        s->node_work[i] = pv_take(memory, n * s->node, sizeof(pv_real));
        s->edge_work[i] = pv_take(memory, n * s->edge, sizeof(pv_real));
    }
    for (int i = 0; i < 3; i++)
        s->node_act[i] = pv_take(memory, n * s->node_hidden, sizeof(pv_real));
    for (int i = 0; i < 5; i++)
        s->edge_act[i] = pv_take(memory, n * s->edge_hidden, sizeof(pv_real));
}

/* Where the channels of `count` maps (`number` within a head's block of `all` maps) come from. */
static int *head_map(const pv_packed_set *set, const pv_gnn_shape *s, int all, int count, const int *number)
{
    int *map = pv_take(set->memory, (int64_t)count * s->channels, sizeof *map);
    for (int p = 0; map && p < count; p++)
        for (int c = 0; c < s->channels; c++) {
            const int head = c % s->padded_heads, d = c / s->padded_heads;
            const bool real = head < s->heads && d < s->head_width;
            map[p * s->channels + c] = real ? (head * all + number[p]) * s->head_width + d : -1;
        }
    return map;
}

pv_status pv_gnn_shape_set(pv_gnn_shape *shape, const pv_packed_set *set, const pv_gnn_opts *opts, int heads,
                           int nodes)
{
    const int lanes = set->params->kernels->lanes;
    if (opts->d_attn % heads != 0)
        return pv_fail(PV_ERR_CONFIG, "model.heads: must divide model.d_attn, %d, and %d does not",
                       opts->d_attn, heads);
    pv_gnn_shape *const s = shape;
    *s = (pv_gnn_shape){.dense = set->params->kernels,
                        .kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
                        .graph = PV_ISA_CHOOSE(pv_gnn_kernels),
                        .nodes = nodes,
                        .node = pv_packed_pad(set, opts->d_node),
                        .edge = pv_packed_pad(set, opts->d_edge),
                        .node_hidden = pv_packed_pad(set, opts->d_node_hid),
                        .edge_hidden = pv_packed_pad(set, opts->d_edge_hid),
                        .heads = heads,
                        .head_width = opts->d_attn / heads,
                        .padded_heads = power_of_two(heads),
                        .modulated = opts->modulate_v,
                        .edge_maps = opts->modulate_v ? 3 : 2,
                        .scale = (pv_real)(1 / sqrt(opts->d_attn)),
                        .node_dropout = {opts->dropout_node, set->params->kernels},
                        .edge_dropout = {opts->dropout_edge, set->params->kernels}};
    s->width = s->padded_heads > lanes ? s->padded_heads : lanes;
    s->channels = (s->head_width * s->padded_heads + s->width - 1) / s->width * s->width;
    static const int whole[] = {0};
    s->out_map = head_map(set, s, 1, 1, whole);
    reserve(s, set->memory);
    return pv_memory_status(set->memory);
}

enum { QUERY, KEY, ADDED, FACTOR }; /* the maps of an edge in the published order */

void pv_gnn_attention_new(pv_gnn_attention *a, pv_packed_set *set, const pv_gnn_shape *shape,
                          const pv_gnn_opts *opts, const char *prefix)
{
    static const int node_parts[] = {0, 1, 2}, edge_parts[] = {QUERY, KEY, FACTOR}, added_part[] = {ADDED};
    const int all = opts->modulate_v ? 4 : 3;
    char name[PV_NN_NAME];
    snprintf(name, sizeof name, "%s.qkv_node", prefix);
    pv_linear linear =
        pv_linear_new(set->params, name, opts->d_node, 3 * opts->d_attn, false, PV_LINEAR_XAVIER);
    a->node =
        pv_packed_linear_new(set, &linear, shape->node, pv_packed_map(set, 0, opts->d_node, shape->node),
                             3 * shape->channels, head_map(set, shape, 3, 3, node_parts));
    snprintf(name, sizeof name, "%s.qkv_edge", prefix);
    linear = pv_linear_new(set->params, name, opts->d_edge, all * opts->d_attn, false, PV_LINEAR_XAVIER);
    const int *const in = pv_packed_map(set, 0, opts->d_edge, shape->edge);
    a->edge = pv_packed_linear_new(set, &linear, shape->edge, in, shape->edge_maps * shape->channels,
                                   head_map(set, shape, all, shape->edge_maps, edge_parts));
    a->added = pv_packed_linear_new(set, &linear, shape->edge, in, shape->channels,
                                    head_map(set, shape, all, 1, added_part));
}

static pv_attention_row row_of(const pv_gnn_shape *s, int node)
{
    const int64_t stride = 3 * (int64_t)s->channels;
    return (pv_attention_row){.nodes = s->nodes,
                              .channels = s->channels,
                              .heads = s->padded_heads,
                              .width = s->width,
                              .edge_stride = s->edge_maps * s->channels,
                              .node_stride = (int)stride,
                              .modulated = s->modulated,
                              .scale = s->scale,
                              .query = s->qkv + node * stride,
                              .keys = s->qkv + s->channels,
                              .values = s->qkv + 2 * (int64_t)s->channels};
}

/* The maps of a row's edges, its shares, and its edges pooled by them. */
static void attend(const pv_gnn_attention *a, const pv_gnn_shape *s, const pv_attention_row *row,
                   const pv_real *edges)
{
    pv_packed_forward(&a->edge, s->nodes, edges, false, s->edges);
    s->kernels->attend(row, s->edges, s->share);
    memset(s->pooled, 0, sizeof *s->pooled * (size_t)s->edge * (size_t)s->width);
    s->dense->matrix->outer(s->edge, s->width, s->nodes, PV_OUTER_BLOCK, 1, edges, s->share, s->pooled);
}

void pv_gnn_attention_forward(const pv_gnn_attention *a, const pv_gnn_shape *shape, const pv_gnn_range *range,
                              const pv_real *nodes, const pv_real *edges, pv_real *out)
{
    const pv_gnn_shape *const s = shape;
    memset(out, 0, sizeof *out * (size_t)range->count * (size_t)s->channels);
    pv_packed_forward(&a->node, s->nodes, nodes, false, s->qkv);
    for (int i = 0; i < range->count; i++, out += s->channels) {
        const pv_attention_row row = row_of(s, range->first + i);
        attend(a, s, &row, edges + (int64_t)i * s->nodes * s->edge);
        s->kernels->gather(&row, s->edges, s->share, out);
        s->graph->spread_pooled(&row, s->edge, a->added.weight->transposed, s->pooled, out);
    }
}

/* The gradient of `added` is gathered transposed, as its weight is read. */
static void add_transposed(const pv_packed *weight, const pv_real *transposed)
{
    for (int r = 0; r < weight->rows; r++)
        for (int c = 0; c < weight->cols; c++)
            weight->gradients[r * weight->cols + c] += transposed[c * weight->rows + r];
}

void pv_gnn_attention_backward(const pv_gnn_attention *a, const pv_gnn_shape *shape,
                               const pv_gnn_range *range, const pv_real *nodes, const pv_real *edges,
                               const pv_real *dout, pv_real *dnodes, pv_real *dedges)
{
    const pv_gnn_shape *const s = shape;
    const int64_t stride = 3 * (int64_t)s->channels, step = (int64_t)s->nodes * s->edge;
    const pv_matrix_kernels *const matrix = s->dense->matrix;
    memset(s->dqkv, 0, sizeof *s->dqkv * (size_t)(s->nodes * stride));
    memset(s->dadded, 0, sizeof *s->dadded * (size_t)s->edge * (size_t)s->channels);
    pv_packed_forward(&a->node, s->nodes, nodes, false, s->qkv);
    for (int i = 0; i < range->count; i++, dout += s->channels, edges += step, dedges += step) {
        const int node = range->first + i;
        const pv_attention_row row = row_of(s, node);
        attend(a, s, &row, edges);
        s->graph->spread_pooled_backward(&row, s->edge, a->added.weight->transposed, s->pooled, dout,
                                         s->dadded, s->dpooled, s->flipped);
        const pv_product_term to_share = pv_product_of(edges, s->dpooled, s->width, s->edge);
        const pv_product_term to_edges = pv_product_of(s->share, s->flipped, s->edge, s->width);
        matrix->product(s->nodes, s->width, 1, &to_share, 0, s->dshare);
        s->kernels->attend_backward(&row, s->share, dout, s->dshare, s->edges, s->dqkv + node * stride,
                                    s->dqkv + s->channels, s->dqkv + 2 * (int64_t)s->channels);
        matrix->product(s->nodes, s->edge, 1, &to_edges, 1, dedges);
        pv_packed_backward(&a->edge, s->nodes, edges, s->edges, true, dedges);
    }
    add_transposed(a->added.weight, s->dadded);
    pv_packed_backward(&a->node, s->nodes, nodes, s->dqkv, true, dnodes);
}
