/* The updates of nodes and of edges: residual maps with layer norm and perceptrons. */
#include "pv_gnn_layers.h"

#include <stdio.h>
#include <string.h>

static pv_packed_linear add_linear(pv_packed_set *set, const char *prefix, const char *leaf, int in, int out,
                                   bool bias)
{
    char name[PV_NN_NAME];
    snprintf(name, sizeof name, "%s.%s", prefix, leaf);
    return pv_packed_linear_add(set, name, in, out, bias, PV_LINEAR_XAVIER);
}

static pv_packed_norm add_norm(pv_packed_set *set, const char *prefix, const char *leaf, int width,
                               bool wanted)
{
    char name[PV_NN_NAME];
    snprintf(name, sizeof name, "%s.%s", prefix, leaf);
    return wanted ? pv_packed_norm_add(set, name, width)
                  : (pv_packed_norm){.width = width, .padded = pv_packed_pad(set, width)};
}

static void norm_forward(const pv_packed_norm *norm, const pv_transformer_kernels *kernels, int64_t rows,
                         const pv_real *x, pv_real *y)
{
    if (norm->weight)
        kernels->norm(rows, norm->width, norm->padded, x, norm->weight->values, norm->bias->values, y);
    else if (x != y)
        memcpy(y, x, sizeof *y * (size_t)rows * (size_t)norm->padded);
}

static void norm_backward(const pv_packed_norm *norm, const pv_transformer_kernels *kernels, int64_t rows,
                          const pv_real *x, pv_real *dy)
{
    if (norm->weight)
        kernels->norm_backward(rows, norm->width, norm->padded, x, norm->weight->values, dy,
                               norm->weight->gradients, norm->bias->gradients);
}

/* Masks and scales in training; backward does the same to the gradient. */
static void drop(const pv_dropout *dropout, const pv_gnn_range *range, int site, int64_t n, pv_real *x)
{
    if (range->pass->training && dropout->rate > 0)
        pv_dropout_apply(dropout, range->pass, site, range->sample, n, x);
}

/* ---- nodes ---- */

void pv_gnn_nodes_new(pv_gnn_nodes *n, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      const char *prefix, int site)
{
    char name[PV_NN_NAME];
    snprintf(name, sizeof name, "%s.self_attn.proj_out", prefix);
    const pv_linear out =
        pv_linear_new(set->params, name, opts->d_attn, opts->d_node, true, PV_LINEAR_XAVIER);
    n->out = pv_packed_linear_new(set, &out, shape->channels, shape->out_map, shape->node,
                                  pv_packed_map(set, 0, opts->d_node, shape->node));
    n->lin0 = add_linear(set, prefix, "lin0", opts->d_node, opts->d_node, true);
    n->norm0 = add_norm(set, prefix, "node_ln0", opts->d_node, opts->use_ln);
    n->norm1 = add_norm(set, prefix, "node_ln1", opts->d_node, opts->use_ln);
    n->mlp0 = add_linear(set, prefix, "node_mlp.0", opts->d_node, opts->d_node_hid, false);
    n->mlp2 = add_linear(set, prefix, "node_mlp.2", opts->d_node_hid, opts->d_node, true);
    n->site = site;
}

/* What lies between the two ends of an update. */
typedef struct node_steps {
    pv_real *projected, *sum0, *normed0, *sum1; /* [rows][node] */
    pv_real *before, *after, *slope;            /* [rows][node_hidden], around the GELU */
} node_steps;

static node_steps run_nodes(const pv_gnn_nodes *n, const pv_gnn_shape *s, const pv_gnn_range *range,
                            const pv_real *x, const pv_real *out, bool slope)
{
    const node_steps w = {s->node_work[0], s->node_work[1], s->node_work[2], s->node_work[3],
                          s->node_act[0],  s->node_act[1],  s->node_act[2]};
    const int64_t rows = range->count, values = rows * s->node, hidden = rows * s->node_hidden;
    pv_packed_forward(&n->out, rows, out, false, w.projected);
    pv_packed_forward(&n->lin0, rows, w.projected, false, w.sum0);
    drop(&s->node_dropout, range, n->site, values, w.sum0);
    s->kernels->add(values, x, w.sum0);
    norm_forward(&n->norm0, s->kernels, rows, w.sum0, w.normed0);
    pv_packed_forward(&n->mlp0, rows, w.normed0, false, w.before);
    if (slope)
        s->kernels->gelu_slope(hidden, w.before, w.after, w.slope);
    else
        s->kernels->gelu(hidden, w.before, w.after);
    pv_packed_forward(&n->mlp2, rows, w.after, false, w.sum1);
    drop(&s->node_dropout, range, n->site + 1, values, w.sum1);
    s->kernels->add(values, w.normed0, w.sum1);
    return w;
}

void pv_gnn_nodes_forward(const pv_gnn_nodes *n, const pv_gnn_shape *shape, const pv_gnn_range *range,
                          const pv_real *x, const pv_real *out, pv_real *y)
{
    const node_steps w = run_nodes(n, shape, range, x, out, false);
    norm_forward(&n->norm1, shape->kernels, range->count, w.sum1, y);
}

void pv_gnn_nodes_backward(const pv_gnn_nodes *n, const pv_gnn_shape *shape, const pv_gnn_range *range,
                           const pv_real *x, const pv_real *out, pv_real *dy, pv_real *dx, pv_real *dout)
{
    const pv_gnn_shape *const s = shape;
    const int64_t rows = range->count, values = rows * s->node;
    const size_t bytes = sizeof *dy * (size_t)values;
    pv_real *const dropped = s->node_work[4], *const d = s->node_work[5];
    const node_steps w = run_nodes(n, s, range, x, out, true);
    norm_backward(&n->norm1, s->kernels, rows, w.sum1, dy);
    memcpy(dropped, dy, bytes);
    drop(&s->node_dropout, range, n->site + 1, values, dropped);
    pv_packed_backward(&n->mlp2, rows, w.after, dropped, false, w.before);
    s->kernels->multiply(rows * s->node_hidden, w.slope, w.before);
    pv_packed_backward(&n->mlp0, rows, w.normed0, w.before, true, dy);
    norm_backward(&n->norm0, s->kernels, rows, w.sum0, dy);
    s->kernels->add(values, dy, dx);
    memcpy(dropped, dy, bytes);
    drop(&s->node_dropout, range, n->site, values, dropped);
    pv_packed_backward(&n->lin0, rows, w.projected, dropped, false, d);
    pv_packed_backward(&n->out, rows, out, d, false, dout);
}

/* ---- edges ---- */

void pv_gnn_edges_new(pv_gnn_edges *e, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      const char *prefix, int site)
{
    char name[PV_NN_NAME];
    const int node = opts->d_node, edge = opts->d_edge, hidden = opts->d_edge_hid;
    snprintf(name, sizeof name, "%s.edge_mlp0.lin0_e", prefix);
    const pv_linear both = pv_linear_new(set->params, name, 2 * edge, hidden, true, PV_LINEAR_XAVIER);
    const pv_linear unbiased = {.in = both.in, .out = both.out, .weight = both.weight, .bias = -1};
    const int *const out = pv_packed_map(set, 0, hidden, shape->edge_hidden);
    e->own = pv_packed_linear_new(set, &unbiased, shape->edge, pv_packed_map(set, 0, edge, shape->edge),
                                  shape->edge_hidden, out);
    e->reverse = pv_packed_linear_new(set, &both, shape->edge, pv_packed_map(set, edge, edge, shape->edge),
                                      shape->edge_hidden, out);
    e->source = add_linear(set, prefix, "edge_mlp0.lin0_s", node, hidden, true);
    e->target = add_linear(set, prefix, "edge_mlp0.lin0_t", node, hidden, true);
    e->lin1 = add_linear(set, prefix, "edge_mlp0.lin1", hidden, edge, true);
    e->mlp0 = add_linear(set, prefix, "edge_mlp1.0", edge, hidden, false);
    e->mlp2 = add_linear(set, prefix, "edge_mlp1.2", hidden, edge, true);
    e->norm0 = add_norm(set, prefix, "eln0", edge, opts->use_ln);
    e->norm1 = add_norm(set, prefix, "eln1", edge, opts->use_ln);
    e->site = site;
}

/* What lies between the two ends of the update of a row. */
typedef struct edge_steps {
    pv_real *back, *sum0, *normed0, *sum1; /* [nodes][edge]; back: the reverse edges */
    pv_real *before0, *after0, *slope0, *before1, *after1, *slope1; /* [nodes][edge_hidden] */
} edge_steps;

static void apply_gelu(const pv_gnn_shape *s, bool slope, pv_real *x, pv_real *y, pv_real *dx)
{
    const int64_t n = (int64_t)s->nodes * s->edge_hidden;
    if (slope)
        s->kernels->gelu_slope(n, x, y, dx);
    else
        s->kernels->gelu(n, x, y);
}

static edge_steps run_edges(const pv_gnn_edges *e, const pv_gnn_shape *s, const pv_gnn_range *range, int i,
                            const pv_real *x, bool slope)
{
    /* What is before a GELU is needed no more behind it: both share a place. */
    const edge_steps w = {s->edge_work[0], s->edge_work[1], s->edge_work[2], s->edge_work[3], s->edge_act[0],
                          s->edge_act[0],  s->edge_act[1],  s->edge_act[2],  s->edge_act[2],  s->edge_act[3]};
    const int64_t n = s->nodes, width = s->edge, values = n * width, hidden = s->edge_hidden;
    const size_t bytes = sizeof *x * (size_t)width;
    const pv_real *const own = x + i * values;
    for (int64_t j = 0; j < n; j++) {
        memcpy(w.back + j * width, x + j * values + i * width, bytes);
        memcpy(w.before0 + j * hidden, s->source + i * hidden, sizeof *x * (size_t)hidden);
    }
    s->kernels->add(n * hidden, s->target, w.before0);
    pv_packed_forward(&e->own, n, own, true, w.before0);
    pv_packed_forward(&e->reverse, n, w.back, true, w.before0);
    apply_gelu(s, slope, w.before0, w.after0, w.slope0);
    pv_packed_forward(&e->lin1, n, w.after0, false, w.sum0);
    drop(&s->edge_dropout, range, e->site + 2 * i, values, w.sum0);
    s->kernels->add(values, own, w.sum0);
    norm_forward(&e->norm0, s->kernels, n, w.sum0, w.normed0);
    pv_packed_forward(&e->mlp0, n, w.normed0, false, w.before1);
    apply_gelu(s, slope, w.before1, w.after1, w.slope1);
    pv_packed_forward(&e->mlp2, n, w.after1, false, w.sum1);
    drop(&s->edge_dropout, range, e->site + 2 * i + 1, values, w.sum1);
    s->kernels->add(values, w.normed0, w.sum1);
    return w;
}

void pv_gnn_edges_forward(const pv_gnn_edges *e, const pv_gnn_shape *shape, const pv_gnn_range *range,
                          const pv_real *nodes, const pv_real *x, pv_real *y)
{
    const int64_t values = (int64_t)shape->nodes * shape->edge;
    pv_packed_forward(&e->source, shape->nodes, nodes, false, shape->source);
    pv_packed_forward(&e->target, shape->nodes, nodes, false, shape->target);
    for (int i = 0; i < range->count; i++) {
        const edge_steps w = run_edges(e, shape, range, range->first + i, x, false);
        norm_forward(&e->norm1, shape->kernels, shape->nodes, w.sum1, y + i * values);
    }
}

static void backward_row(const pv_gnn_edges *e, const pv_gnn_shape *s, const pv_gnn_range *range, int i,
                         const pv_real *x, pv_real *dy, pv_real *dx)
{
    const int64_t n = s->nodes, width = s->edge, values = n * width, hidden = s->edge_hidden;
    const size_t bytes = sizeof *dy * (size_t)values;
    pv_real *const dropped = s->edge_work[4], *const dback = s->edge_work[5], *const d = s->edge_act[4];
    const edge_steps w = run_edges(e, s, range, i, x, true);
    norm_backward(&e->norm1, s->kernels, n, w.sum1, dy);
    memcpy(dropped, dy, bytes);
    drop(&s->edge_dropout, range, e->site + 2 * i + 1, values, dropped);
    pv_packed_backward(&e->mlp2, n, w.after1, dropped, false, d);
    s->kernels->multiply(n * hidden, w.slope1, d);
    pv_packed_backward(&e->mlp0, n, w.normed0, d, true, dy);
    norm_backward(&e->norm0, s->kernels, n, w.sum0, dy);
    s->kernels->add(values, dy, dx + i * values);
    memcpy(dropped, dy, bytes);
    drop(&s->edge_dropout, range, e->site + 2 * i, values, dropped);
    pv_packed_backward(&e->lin1, n, w.after0, dropped, false, d);
    s->kernels->multiply(n * hidden, w.slope0, d);
    pv_packed_backward(&e->own, n, x + i * values, d, true, dx + i * values);
    pv_packed_backward(&e->reverse, n, w.back, d, false, dback);
    for (int64_t j = 0; j < n; j++)
        s->kernels->add(width, dback + j * width, dx + j * values + i * width);
    s->dense->sum_rows(n, (int)hidden, 1, d, s->dsource + i * hidden);
    s->kernels->add(n * hidden, d, s->dtarget);
}

void pv_gnn_edges_backward(const pv_gnn_edges *e, const pv_gnn_shape *shape, const pv_gnn_range *range,
                           const pv_real *nodes, const pv_real *x, pv_real *dy, pv_real *dnodes, pv_real *dx)
{
    const pv_gnn_shape *const s = shape;
    const size_t bytes = sizeof *dy * (size_t)s->nodes * (size_t)s->edge_hidden;
    pv_packed_forward(&e->source, s->nodes, nodes, false, s->source);
    pv_packed_forward(&e->target, s->nodes, nodes, false, s->target);
    memset(s->dsource, 0, bytes);
    memset(s->dtarget, 0, bytes);
    for (int i = 0; i < range->count; i++)
        backward_row(e, s, range, range->first + i, x, dy + (int64_t)i * s->nodes * s->edge, dx);
    pv_packed_backward(&e->source, s->nodes, nodes, s->dsource, true, dnodes);
    pv_packed_backward(&e->target, s->nodes, nodes, s->dtarget, true, dnodes);
}
