/* Attention of the nodes, its queries, keys and values modulated by edges, row by row. */
#include "pv_gnn_layers.h"

#include <math.h>
#include <string.h>

static void take_steps(pv_gnn_steps *steps, pv_memory *memory, int64_t values, int64_t hidden)
{
    PV_TAKE(memory, values, &steps->sum0, &steps->normed, &steps->sum1, &steps->dropped);
    PV_TAKE(memory, hidden, &steps->act, &steps->slope, &steps->dact);
}

static void reserve(pv_gnn_shape *s, pv_memory *memory)
{
    const int64_t n = s->nodes, channels = s->heads.row.channels, width = s->heads.row.width;
    PV_TAKE(memory, n * 3 * channels, &s->qkv, &s->dqkv);
    PV_TAKE(memory, n * s->edge_maps * channels, &s->edges);
    PV_TAKE(memory, n * width, &s->share, &s->dshare);
    PV_TAKE(memory, s->edge * width, &s->pooled, &s->dpooled, &s->flipped);
    PV_TAKE(memory, s->edge * channels, &s->dadded);
    PV_TAKE(memory, n * s->node, &s->projected, &s->dprojected);
    PV_TAKE(memory, n * s->edge, &s->back, &s->dback);
    PV_TAKE(memory, n * s->edge_hidden, &s->act, &s->slope, &s->source, &s->target, &s->dsource, &s->dtarget);
    take_steps(&s->of_nodes, memory, n * s->node, n * s->node_hidden);
    take_steps(&s->of_edges, memory, n * s->edge, n * s->edge_hidden);
}

pv_status pv_gnn_shape_set(pv_gnn_shape *shape, const pv_packed_set *set, const pv_gnn_opts *opts, int heads,
                           int nodes)
{
    *shape = (pv_gnn_shape){.dense = set->params->kernels,
                            .kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
                            .graph = PV_ISA_CHOOSE(pv_gnn_kernels),
                            .nodes = nodes,
                            .node = pv_packed_pad(set, opts->d_node),
                            .edge = pv_packed_pad(set, opts->d_edge),
                            .node_hidden = pv_packed_pad(set, opts->d_node_hid),
                            .edge_hidden = pv_packed_pad(set, opts->d_edge_hid),
                            .edge_maps = opts->modulate_v ? 3 : 2,
                            .node_dropout = {opts->dropout_node, set->params->kernels},
                            .edge_dropout = {opts->dropout_edge, set->params->kernels}};
    const pv_status st = pv_heads_set(&shape->heads, set, nodes, "model.d_attn", opts->d_attn, heads);
    if (st != PV_OK) return st;
    pv_attention_row *const row = &shape->heads.row;
    row->scale = (pv_real)(1 / sqrt(opts->d_attn));
    row->modulated = opts->modulate_v;
    row->edge_stride = shape->edge_maps * row->channels;
    reserve(shape, set->memory);
    return pv_memory_status(set->memory);
}

enum { QUERY, KEY, ADDED, FACTOR }; /* the maps of an edge in the published order, head by head */

void pv_gnn_attention_new(pv_gnn_attention *a, pv_packed_set *set, const pv_gnn_shape *shape,
                          const pv_gnn_opts *opts)
{
    static const int node_parts[] = {0, 1, 2}, edge_parts[] = {QUERY, KEY, FACTOR}, added_part[] = {ADDED};
    const pv_heads *const heads = &shape->heads;
    const int all = opts->modulate_v ? 4 : 3, width = heads->head_width, channels = heads->row.channels;
    pv_linear linear =
        pv_linear_new(set->params, "qkv_node", opts->d_node, 3 * opts->d_attn, false, PV_LINEAR_XAVIER);
    a->shape = shape;
    a->node =
        pv_packed_linear_new(set, &linear, shape->node, pv_packed_map(set, 0, opts->d_node, shape->node),
                             3 * channels, pv_heads_map(heads, set, 3 * width, width, 3, node_parts));
    linear =
        pv_linear_new(set->params, "qkv_edge", opts->d_edge, all * opts->d_attn, false, PV_LINEAR_XAVIER);
    const int *const in = pv_packed_map(set, 0, opts->d_edge, shape->edge);
    a->edge =
        pv_packed_linear_new(set, &linear, shape->edge, in, shape->edge_maps * channels,
                             pv_heads_map(heads, set, all * width, width, shape->edge_maps, edge_parts));
    a->added = pv_packed_linear_new(set, &linear, shape->edge, in, channels,
                                    pv_heads_map(heads, set, all * width, width, 1, added_part));
}

/* The maps of a row's edges, its shares, and its edges pooled by them. */
static void attend(const pv_gnn_attention *a, const pv_attention_row *row, const pv_real *edges)
{
    const pv_gnn_shape *const s = a->shape;
    pv_packed_forward(&a->edge, row->nodes, edges, false, s->edges);
    s->kernels->attend(row, s->edges, s->share);
    memset(s->pooled, 0, sizeof *s->pooled * (size_t)s->edge * (size_t)row->width);
    s->dense->matrix->outer(s->edge, row->width, row->nodes, PV_OUTER_BLOCK, 1, edges, s->share, s->pooled);
}

void pv_gnn_attention_forward(const pv_gnn_attention *a, const pv_gnn_range *range, const pv_real *nodes,
                              const pv_real *edges, pv_real *out)
{
    const pv_gnn_shape *const s = a->shape;
    const int channels = s->heads.row.channels;
    memset(out, 0, sizeof *out * (size_t)range->count * (size_t)channels);
    pv_packed_forward(&a->node, s->nodes, nodes, false, s->qkv);
    for (int i = 0; i < range->count; i++, out += channels) {
        const pv_attention_row row = pv_heads_row(&s->heads, s->qkv, range->first + i);
        attend(a, &row, edges + (int64_t)i * s->nodes * s->edge);
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

void pv_gnn_attention_backward(const pv_gnn_attention *a, const pv_gnn_range *range, const pv_real *nodes,
                               const pv_real *edges, const pv_real *dout, pv_real *dnodes, pv_real *dedges)
{
    const pv_gnn_shape *const s = a->shape;
    const int channels = s->heads.row.channels, width = s->heads.row.width;
    const int64_t stride = s->heads.row.node_stride, step = (int64_t)s->nodes * s->edge;
    const pv_matrix_kernels *const matrix = s->dense->matrix;
    memset(s->dqkv, 0, sizeof *s->dqkv * (size_t)(s->nodes * stride));
    memset(s->dadded, 0, sizeof *s->dadded * (size_t)s->edge * (size_t)channels);
    pv_packed_forward(&a->node, s->nodes, nodes, false, s->qkv);
    for (int i = 0; i < range->count; i++, dout += channels, edges += step, dedges += step) {
        const int node = range->first + i;
        const pv_attention_row row = pv_heads_row(&s->heads, s->qkv, node);
        attend(a, &row, edges);
        s->graph->spread_pooled_backward(&row, s->edge, a->added.weight->transposed, s->pooled, dout,
                                         s->dadded, s->dpooled, s->flipped);
        const pv_product_term to_share = pv_product_of(edges, s->dpooled, width, s->edge);
        const pv_product_term to_edges = pv_product_of(s->share, s->flipped, s->edge, width);
        matrix->product(s->nodes, width, 1, &to_share, 0, s->dshare);
        s->kernels->attend_backward(&row, s->share, dout, s->dshare, s->edges, s->dqkv + node * stride,
                                    s->dqkv + channels, s->dqkv + 2 * (int64_t)channels);
        matrix->product(s->nodes, s->edge, 1, &to_edges, 1, dedges);
        pv_packed_backward(&a->edge, s->nodes, edges, s->edges, true, dedges);
    }
    add_transposed(a->added.weight, s->dadded);
    pv_packed_backward(&a->node, s->nodes, nodes, s->dqkv, true, dnodes);
}
