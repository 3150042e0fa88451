/* The updates of nodes and of edges: residual maps with layer norm and perceptrons. */
#include "pv_gnn_layers.h"

#include <string.h>

static pv_packed_linear add_linear(pv_packed_set *set, const char *name, int in, int out, bool bias)
{
    return pv_packed_linear_add(set, name, in, out, bias, PV_LINEAR_XAVIER);
}

/* ---- how both end ---- */

/* A GELU in place; its slope too if wanted. */
static void gelu(const pv_transformer_kernels *kernels, int64_t n, bool slope, pv_real *x, pv_real *dx)
{
    if (slope)
        kernels->gelu_slope(n, x, x, dx);
    else
        kernels->gelu(n, x, x);
}

/* Up to what norm1 is given; w->sum0 is the branch on entry. */
static void residual_run(const pv_gnn_residual *r, const pv_gnn_steps *w, const pv_gnn_range *range, int site,
                         int64_t rows, const pv_real *x, bool slope)
{
    const pv_transformer_kernels *const kernels = r->norm0.kernels;
    const int64_t values = rows * r->norm0.padded;
    pv_dropout_apply(r->dropout, range->pass, site, range->sample, values, w->sum0);
    kernels->add(values, x, w->sum0);
    pv_packed_norm_forward(&r->norm0, rows, w->sum0, w->normed);
    pv_packed_forward(&r->mlp0, rows, w->normed, false, w->act);
    gelu(kernels, rows * r->mlp0.out, slope, w->act, w->slope);
    pv_packed_forward(&r->mlp2, rows, w->act, false, w->sum1);
    pv_dropout_apply(r->dropout, range->pass, site + 1, range->sample, values, w->sum1);
    kernels->add(values, w->normed, w->sum1);
}

/* dy becomes the gradient of the sum in front of norm0, thus of x; the branch's is left in w->dropped. */
static void residual_backward(const pv_gnn_residual *r, const pv_gnn_steps *w, const pv_gnn_range *range,
                              int site, int64_t rows, pv_real *dy)
{
    const int64_t values = rows * r->norm0.padded;
    const size_t bytes = sizeof *dy * (size_t)values;
    pv_packed_norm_backward(&r->norm1, rows, w->sum1, dy);
    memcpy(w->dropped, dy, bytes);
    pv_dropout_apply(r->dropout, range->pass, site + 1, range->sample, values, w->dropped);
    pv_packed_backward(&r->mlp2, rows, w->act, w->dropped, false, w->dact);
    r->norm0.kernels->multiply(rows * r->mlp0.out, w->slope, w->dact);
    pv_packed_backward(&r->mlp0, rows, w->normed, w->dact, true, dy);
    pv_packed_norm_backward(&r->norm0, rows, w->sum0, dy);
    memcpy(w->dropped, dy, bytes);
    pv_dropout_apply(r->dropout, range->pass, site, range->sample, values, w->dropped);
}

/* ---- nodes ---- */

void pv_gnn_nodes_new(pv_gnn_nodes *n, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      int site)
{
    static const int whole[] = {0};
    const int node = opts->d_node, hidden = opts->d_node_hid;
    const pv_heads *const heads = &shape->heads;
    const pv_linear out =
        pv_linear_new(set->params, "self_attn.proj_out", opts->d_attn, node, true, PV_LINEAR_XAVIER);
    n->shape = shape;
    n->site = site;
    n->out = pv_packed_linear_new(set, &out, heads->row.channels,
                                  pv_heads_map(heads, set, heads->head_width, 0, 1, whole), shape->node,
                                  pv_packed_map(set, 0, node, shape->node));
    n->lin0 = add_linear(set, "lin0", node, node, true);
    n->residual.dropout = &shape->node_dropout;
    n->residual.norm0 = pv_packed_norm_add(set, "node_ln0", node, opts->use_ln);
    n->residual.norm1 = pv_packed_norm_add(set, "node_ln1", node, opts->use_ln);
    n->residual.mlp0 = add_linear(set, "node_mlp.0", node, hidden, false);
    n->residual.mlp2 = add_linear(set, "node_mlp.2", hidden, node, true);
}

static void run_nodes(const pv_gnn_nodes *n, const pv_gnn_range *range, const pv_real *x, const pv_real *out,
                      bool slope)
{
    const pv_gnn_shape *const s = n->shape;
    pv_packed_forward(&n->out, range->count, out, false, s->projected);
    pv_packed_forward(&n->lin0, range->count, s->projected, false, s->of_nodes.sum0);
    residual_run(&n->residual, &s->of_nodes, range, n->site, range->count, x, slope);
}

void pv_gnn_nodes_forward(const pv_gnn_nodes *n, const pv_gnn_range *range, const pv_real *x,
                          const pv_real *out, pv_real *y)
{
    run_nodes(n, range, x, out, false);
    pv_packed_norm_forward(&n->residual.norm1, range->count, n->shape->of_nodes.sum1, y);
}

void pv_gnn_nodes_backward(const pv_gnn_nodes *n, const pv_gnn_range *range, const pv_real *x,
                           const pv_real *out, pv_real *dy, pv_real *dx, pv_real *dout)
{
    const pv_gnn_shape *const s = n->shape;
    const int64_t rows = range->count;
    run_nodes(n, range, x, out, true);
    residual_backward(&n->residual, &s->of_nodes, range, n->site, rows, dy);
    s->kernels->add(rows * s->node, dy, dx);
    pv_packed_backward(&n->lin0, rows, s->projected, s->of_nodes.dropped, false, s->dprojected);
    pv_packed_backward(&n->out, rows, out, s->dprojected, false, dout);
}

/* ---- edges ---- */

void pv_gnn_edges_new(pv_gnn_edges *e, pv_packed_set *set, const pv_gnn_shape *shape, const pv_gnn_opts *opts,
                      int site)
{
    const int node = opts->d_node, edge = opts->d_edge, hidden = opts->d_edge_hid;
    const pv_linear both =
        pv_linear_new(set->params, "edge_mlp0.lin0_e", 2 * edge, hidden, true, PV_LINEAR_XAVIER);
    const pv_linear unbiased = {.in = both.in, .out = both.out, .weight = both.weight, .bias = -1};
    const int *const out = pv_packed_map(set, 0, hidden, shape->edge_hidden);
    e->shape = shape;
    e->site = site;
    e->own = pv_packed_linear_new(set, &unbiased, shape->edge, pv_packed_map(set, 0, edge, shape->edge),
                                  shape->edge_hidden, out);
    e->reverse = pv_packed_linear_new(set, &both, shape->edge, pv_packed_map(set, edge, edge, shape->edge),
                                      shape->edge_hidden, out);
    e->source = add_linear(set, "edge_mlp0.lin0_s", node, hidden, true);
    e->target = add_linear(set, "edge_mlp0.lin0_t", node, hidden, true);
    e->lin1 = add_linear(set, "edge_mlp0.lin1", hidden, edge, true);
    e->residual.dropout = &shape->edge_dropout;
    e->residual.mlp0 = add_linear(set, "edge_mlp1.0", edge, hidden, false);
    e->residual.mlp2 = add_linear(set, "edge_mlp1.2", hidden, edge, true);
    e->residual.norm0 = pv_packed_norm_add(set, "eln0", edge, opts->use_ln);
    e->residual.norm1 = pv_packed_norm_add(set, "eln1", edge, opts->use_ln);
}

static void run_row(const pv_gnn_edges *e, const pv_gnn_range *range, int i, const pv_real *x, bool slope)
{
    const pv_gnn_shape *const s = e->shape;
    const int64_t n = s->nodes, width = s->edge, values = n * width, hidden = s->edge_hidden;
    const pv_real *const own = x + i * values;
    for (int64_t j = 0; j < n; j++) {
        memcpy(s->back + j * width, x + j * values + i * width, sizeof *x * (size_t)width);
        memcpy(s->act + j * hidden, s->source + i * hidden, sizeof *x * (size_t)hidden);
    }
    s->kernels->add(n * hidden, s->target, s->act);
    pv_packed_forward(&e->own, n, own, true, s->act);
    pv_packed_forward(&e->reverse, n, s->back, true, s->act);
    gelu(s->kernels, n * hidden, slope, s->act, s->slope);
    pv_packed_forward(&e->lin1, n, s->act, false, s->of_edges.sum0);
    residual_run(&e->residual, &s->of_edges, range, e->site + 2 * i, n, own, slope);
}

void pv_gnn_edges_forward(const pv_gnn_edges *e, const pv_gnn_range *range, const pv_real *nodes,
                          const pv_real *x, pv_real *y)
{
    const pv_gnn_shape *const s = e->shape;
    pv_packed_forward(&e->source, s->nodes, nodes, false, s->source);
    pv_packed_forward(&e->target, s->nodes, nodes, false, s->target);
    for (int i = 0; i < range->count; i++, y += (int64_t)s->nodes * s->edge) {
        run_row(e, range, range->first + i, x, false);
        pv_packed_norm_forward(&e->residual.norm1, s->nodes, s->of_edges.sum1, y);
    }
}

static void backward_row(const pv_gnn_edges *e, const pv_gnn_range *range, int i, const pv_real *x,
                         pv_real *dy, pv_real *dx)
{
    const pv_gnn_shape *const s = e->shape;
    const int64_t n = s->nodes, width = s->edge, values = n * width, hidden = s->edge_hidden;
    pv_real *const d = s->of_edges.dact;
    run_row(e, range, i, x, true);
    residual_backward(&e->residual, &s->of_edges, range, e->site + 2 * i, n, dy);
    s->kernels->add(values, dy, dx + i * values);
    pv_packed_backward(&e->lin1, n, s->act, s->of_edges.dropped, false, d);
    s->kernels->multiply(n * hidden, s->slope, d);
    pv_packed_backward(&e->own, n, x + i * values, d, true, dx + i * values);
    pv_packed_backward(&e->reverse, n, s->back, d, false, s->dback);
    for (int64_t j = 0; j < n; j++)
        s->kernels->add(width, s->dback + j * width, dx + j * values + i * width);
    s->dense->sum_rows(n, (int)hidden, 1, d, s->dsource + i * hidden);
    s->kernels->add(n * hidden, d, s->dtarget);
}

void pv_gnn_edges_backward(const pv_gnn_edges *e, const pv_gnn_range *range, const pv_real *nodes,
                           const pv_real *x, pv_real *dy, pv_real *dnodes, pv_real *dx)
{
    const pv_gnn_shape *const s = e->shape;
    const size_t bytes = sizeof *dy * (size_t)s->nodes * (size_t)s->edge_hidden;
    pv_packed_forward(&e->source, s->nodes, nodes, false, s->source);
    pv_packed_forward(&e->target, s->nodes, nodes, false, s->target);
    memset(s->dsource, 0, bytes);
    memset(s->dtarget, 0, bytes);
    for (int i = 0; i < range->count; i++)
        backward_row(e, range, range->first + i, x, dy + (int64_t)i * s->nodes * s->edge, dx);
    pv_packed_backward(&e->source, s->nodes, nodes, s->dsource, true, dnodes);
    pv_packed_backward(&e->target, s->nodes, nodes, s->dtarget, true, dnodes);
}
