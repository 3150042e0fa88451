/* Messages, and the updates of units and of weights, block by block. */
#include "pv_scalegmn_layer.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 96 };

/* Places of dropout in a layer; each has two sites a block. */
enum { AT_MESSAGES, AT_MESSAGES_AGAINST, AT_UPDATE, AT_UNIT, AT_EVEN, AT_EDGE, PLACES };

void pv_scalegmn_shape_reserve(pv_scalegmn_shape *s)
{
    pv_memory *const memory = s->work.set->memory;
    const int64_t nodes = (int64_t)s->graph.nodes * s->work.width;
    const int64_t rows = (int64_t)PV_SCALEGMN_ROWS * s->work.width;
    const int blocks =
        s->graph.edge_blocks > s->graph.node_blocks ? s->graph.edge_blocks : s->graph.node_blocks;
    s->sites = PLACES * 2 * blocks;
    PV_TAKE(memory, nodes, &s->sent, &s->dsent, &s->even, &s->deven, &s->dx);
    PV_TAKE(memory, nodes, &s->source, &s->target, &s->dsource, &s->dtarget);
    PV_TAKE(memory, s->parts * nodes, &s->djoined);
    PV_TAKE(memory, rows, &s->edge, &s->dedge, &s->mapped, &s->product, &s->dproduct, &s->message);
}

static pv_scalegmn_place at_block(const pv_scalegmn_shape *s, const pv_scalegmn_pass *pass, int place,
                                  int block, bool backward)
{
    pv_scalegmn_place at = pass->place;
    at.site += place * (s->sites / PLACES) + 2 * block;
    at.backward = backward;
    return at;
}

static size_t node_bytes(const pv_scalegmn_shape *s)
{
    return sizeof(pv_real) * (size_t)s->graph.nodes * (size_t)s->work.width;
}

/* ---- the weights' features of a block ---- */

static const pv_real *edges_of(const pv_scalegmn_shape *s, const pv_scalegmn_block *block,
                               const pv_scalegmn_pass *pass)
{
    if (pass->e) return pass->e + (int64_t)block->first * s->work.width;
    pv_scalegmn_embed_edges(&s->graph, block, pass->row, s->edge);
    return s->edge;
}

/* Their gradients, by a Linear from dy: added to those in `de`, or the embedding's. */
static void edges_back(const pv_scalegmn_shape *s, const pv_scalegmn_block *block,
                       const pv_scalegmn_pass *pass, const pv_packed_linear *linear, const pv_real *e,
                       const pv_real *dy, bool add, pv_real *de, pv_real *drow)
{
    if (pass->e) {
        pv_packed_backward(linear, block->count, e, dy, add, de + (int64_t)block->first * s->work.width);
        return;
    }
    pv_packed_backward(linear, block->count, e, dy, false, s->dedge);
    pv_scalegmn_embed_edges_backward(&s->graph, block, pass->row, s->dedge, drow);
}

/* ---- messages ---- */

void pv_scalegmn_messages_new(pv_scalegmn_layer *layer, bool against)
{
    const pv_scalegmn_shape *const s = layer->shape;
    pv_packed_set *const set = s->work.set;
    const int features = s->work.features;
    layer->messages[against] = (pv_scalegmn_messages){
        .from = against ? s->graph.target : s->graph.source,
        .to = against ? s->graph.source : s->graph.target,
        .part = 1 + against,
        .place = against ? AT_MESSAGES_AGAINST : AT_MESSAGES,
        .unit = pv_packed_linear_add(set, "w_v", features, features, false, PV_LINEAR_PYTORCH),
        .edge = pv_packed_linear_add(set, "w_e", features, features, false, PV_LINEAR_PYTORCH),
        .map = pv_scalegmn_map_new(&s->work, "message_fn", 1, against, !against)};
}

/* y[i] = what the unit of row i of the block sends, times x[i]. */
static void times_sent(const pv_scalegmn_shape *s, const pv_scalegmn_block *block,
                       const pv_scalegmn_messages *m, const pv_real *x, pv_real *y)
{
    const int64_t width = s->work.width;
    memcpy(y, x, sizeof *y * (size_t)block->count * (size_t)width);
    for (int i = 0; i < block->count; i++)
        s->work.kernels->multiply(width, s->sent + m->from[block->first + i] * width, y + i * width);
}

/* Leaves W e in s->mapped, and that times what is sent in s->product.  Returns e. */
static const pv_real *products(const pv_scalegmn_shape *s, const pv_scalegmn_pass *pass,
                               const pv_scalegmn_messages *m, const pv_scalegmn_block *block)
{
    const pv_real *const e = edges_of(s, block, pass);
    pv_packed_forward(&m->edge, block->count, e, false, s->mapped);
    times_sent(s, block, m, s->mapped, s->product);
    return e;
}

static pv_scalegmn_role role_of(const pv_scalegmn_messages *m, const pv_scalegmn_block *block)
{
    return m->part == 1 ? block->target : block->source;
}

static void messages_forward(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m,
                             const pv_scalegmn_pass *pass)
{
    const int64_t width = s->work.width, joined = s->parts * width;
    pv_packed_forward(&m->unit, s->graph.nodes, pass->x, false, s->sent);
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const pv_scalegmn_place at = at_block(s, pass, m->place, b, false);
        products(s, pass, m, block);
        pv_scalegmn_map_forward(&s->work, &m->map, role_of(m, block), block->count, &at, s->product,
                                s->message);
        for (int i = 0; i < block->count; i++)
            s->work.kernels->add(width, s->message + i * width,
                                 pass->joined + m->to[block->first + i] * joined + m->part * width);
    }
}

/* The gradients of the sums stand in s->djoined. */
static void messages_backward(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m,
                              const pv_scalegmn_pass *pass, pv_real *de, pv_real *dx, pv_real *drow)
{
    const int64_t width = s->work.width, joined = s->parts * width;
    const pv_transformer_kernels *const kernels = s->work.kernels;
    pv_packed_forward(&m->unit, s->graph.nodes, pass->x, false, s->sent);
    memset(s->dsent, 0, node_bytes(s));
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const pv_scalegmn_place at = at_block(s, pass, m->place, b, true);
        const pv_real *const e = products(s, pass, m, block);
        for (int i = 0; i < block->count; i++)
            memcpy(s->message + i * width, s->djoined + m->to[block->first + i] * joined + m->part * width,
                   sizeof *s->message * (size_t)width);
        pv_scalegmn_map_backward(&s->work, &m->map, role_of(m, block), block->count, &at, s->product,
                                 s->message, s->dproduct);
        kernels->multiply(block->count * width, s->dproduct, s->mapped);
        for (int i = 0; i < block->count; i++)
            kernels->add(width, s->mapped + i * width, s->dsent + m->from[block->first + i] * width);
        times_sent(s, block, m, s->dproduct, s->mapped);
        edges_back(s, block, pass, &m->edge, e, s->mapped, true, de, drow);
    }
    pv_packed_backward(&m->unit, s->graph.nodes, pass->x, s->dsent, true, dx);
}

/* ---- units ---- */

void pv_scalegmn_update_new(pv_scalegmn_layer *layer, const char *name)
{
    layer->update = pv_scalegmn_map_new(&layer->shape->work, name, layer->shape->parts, true, true);
}

static void units_forward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *y)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const int64_t width = s->work.width;
    for (int b = 0; b < s->graph.node_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.node_block[b];
        const pv_scalegmn_place update = at_block(s, pass, AT_UPDATE, b, false),
                                unit = at_block(s, pass, AT_UNIT, b, false);
        const int64_t at = block->first * width;
        pv_scalegmn_map_forward(&s->work, &layer->update, block->target, block->count, &update,
                                pass->joined + at * s->parts, y + at);
        pv_packed_forward(&layer->skip, block->count, pass->x + at, true, y + at);
        pv_scalegmn_drop(&s->work, &unit, 0, block->count * width, y + at);
    }
}

/* On entry dx is the gradient of the new features, on return of the old ones as far as they are joined or
 * skip; s->djoined that of the sums. */
static void units_backward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *dx)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const int64_t width = s->work.width, joined = s->parts * width;
    for (int b = 0; b < s->graph.node_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.node_block[b];
        const pv_scalegmn_place update = at_block(s, pass, AT_UPDATE, b, true),
                                unit = at_block(s, pass, AT_UNIT, b, true);
        const int64_t at = block->first * width;
        pv_real *const djoined = s->djoined + at * s->parts;
        pv_scalegmn_drop(&s->work, &unit, 0, block->count * width, dx + at);
        pv_packed_backward(&layer->skip, block->count, pass->x + at, dx + at, false, s->dx + at);
        pv_scalegmn_map_backward(&s->work, &layer->update, block->target, block->count, &update,
                                 pass->joined + at * s->parts, dx + at, djoined);
        for (int i = 0; i < block->count; i++)
            s->work.kernels->add(width, djoined + i * joined, s->dx + at + i * width);
    }
    memcpy(dx, s->dx, node_bytes(s));
}

/* ---- weights ---- */

/* phi's first map is of both ends beside each other, so of either end on its own. */
void pv_scalegmn_edges_new(pv_scalegmn_layer *layer, const char *name)
{
    const pv_scalegmn_work *const w = &layer->shape->work;
    pv_scalegmn_edges *const edges = &layer->edges;
    const int features = w->features;
    char full[NAME];
    snprintf(full, sizeof full, "%.64s.phi.fc.0", name);
    const pv_linear both =
        pv_linear_new(w->set->params, full, 2 * features, features, true, PV_LINEAR_PYTORCH);
    const pv_linear unbiased = {.in = both.in, .out = both.out, .weight = both.weight, .bias = -1};
    const int *const out = pv_packed_map(w->set, 0, features, w->width);
    edges->source = pv_packed_linear_new(w->set, &unbiased, w->width,
                                         pv_packed_map(w->set, 0, features, w->width), w->width, out);
    edges->target = pv_packed_linear_new(w->set, &both, w->width,
                                         pv_packed_map(w->set, features, features, w->width), w->width, out);
    snprintf(full, sizeof full, "%.64s.phi.fc.1", name);
    edges->phi.last = pv_packed_linear_add(w->set, full, features, features, true, PV_LINEAR_PYTORCH);
    snprintf(full, sizeof full, "%.64s.phi.ln.0", name);
    edges->phi.norm = pv_packed_norm_add(w->set, full, features, true);
    snprintf(full, sizeof full, "%.64s.W", name);
    edges->linear = pv_packed_linear_add(w->set, full, features, features, false, PV_LINEAR_PYTORCH);
    snprintf(full, sizeof full, "%.64s.g1.rho", name);
    edges->rho = pv_scalegmn_mlp_new(w, full, 1, 1);
}

/* phi's first map of both ends of all weights. */
static void ends_forward(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                         const pv_scalegmn_pass *pass)
{
    for (int b = 0; b < s->graph.node_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.node_block[b];
        const pv_scalegmn_place place = at_block(s, pass, AT_EVEN, b, false);
        const int64_t at = (int64_t)block->first * s->work.width;
        pv_scalegmn_even_forward(&s->work, &edges->rho, block->count, &place, pass->x + at, s->even + at);
    }
    pv_packed_forward(&edges->source, s->graph.nodes, s->even, false, s->source);
    pv_packed_forward(&edges->target, s->graph.nodes, s->even, false, s->target);
}

static void ends_backward(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                          const pv_scalegmn_pass *pass, pv_real *dx)
{
    pv_packed_backward(&edges->source, s->graph.nodes, s->even, s->dsource, false, s->deven);
    pv_packed_backward(&edges->target, s->graph.nodes, s->even, s->dtarget, true, s->deven);
    for (int b = 0; b < s->graph.node_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.node_block[b];
        const pv_scalegmn_place place = at_block(s, pass, AT_EVEN, b, true);
        const int64_t at = (int64_t)block->first * s->work.width;
        pv_scalegmn_even_forward(&s->work, &edges->rho, block->count, &place, pass->x + at, s->even + at);
        pv_scalegmn_even_backward(&s->work, &edges->rho, block->count, pass->x + at, s->deven + at, true,
                                  dx + at);
    }
}

/* Leaves W e in s->mapped and phi in s->message.  Returns e. */
static const pv_real *run_edges(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                                const pv_scalegmn_pass *pass, int b, bool backward)
{
    const pv_scalegmn_block *const block = &s->graph.edge_block[b];
    const pv_scalegmn_place place = at_block(s, pass, AT_EDGE, b, backward);
    const int64_t width = s->work.width;
    const pv_real *const e = edges_of(s, block, pass);
    for (int i = 0; i < block->count; i++) {
        pv_real *const before = s->work.plain.before + i * width;
        memcpy(before, s->source + s->graph.source[block->first + i] * width, sizeof *before * (size_t)width);
        s->work.kernels->add(width, s->target + s->graph.target[block->first + i] * width, before);
    }
    pv_scalegmn_mlp_finish(&s->work, &edges->phi, block->count, &place, s->message);
    pv_packed_forward(&edges->linear, block->count, e, false, s->mapped);
    return e;
}

static void weights_forward(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                            const pv_scalegmn_pass *pass, pv_real *next)
{
    const int64_t width = s->work.width;
    ends_forward(s, edges, pass);
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const int64_t values = block->count * width;
        run_edges(s, edges, pass, b, false);
        s->work.kernels->multiply(values, s->message, s->mapped);
        memcpy(next + block->first * width, s->mapped, sizeof *next * (size_t)values);
    }
}

static void weights_backward(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                             const pv_scalegmn_pass *pass, pv_real *de, pv_real *dx, pv_real *drow)
{
    const int64_t width = s->work.width;
    const pv_transformer_kernels *const kernels = s->work.kernels;
    ends_forward(s, edges, pass);
    memset(s->dsource, 0, node_bytes(s));
    memset(s->dtarget, 0, node_bytes(s));
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const int64_t values = block->count * width;
        const pv_real *const e = run_edges(s, edges, pass, b, true), *const dnext = de + block->first * width;
        kernels->multiply(values, dnext, s->mapped);  /* of phi */
        kernels->multiply(values, dnext, s->message); /* of W e */
        pv_scalegmn_mlp_unfinish(&s->work, &edges->phi, block->count, s->mapped);
        for (int i = 0; i < block->count; i++) {
            const pv_real *const dbefore = s->work.plain.dafter + i * width;
            kernels->add(width, dbefore, s->dsource + s->graph.source[block->first + i] * width);
            kernels->add(width, dbefore, s->dtarget + s->graph.target[block->first + i] * width);
        }
        edges_back(s, block, pass, &edges->linear, e, s->message, false, de, drow);
    }
    ends_backward(s, edges, pass, dx);
}

/* ---- a layer ---- */

void pv_scalegmn_layer_forward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *next,
                               pv_real *y)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const int64_t width = s->work.width, joined = s->parts * width;
    pv_scalegmn_pass against = *pass;
    against.e = NULL; /* as published: what runs against the weights sees them as they are embedded */
    memset(pass->joined, 0, (size_t)s->parts * node_bytes(s));
    for (int n = 0; n < s->graph.nodes; n++)
        memcpy(pass->joined + n * joined, pass->x + n * width, sizeof *y * (size_t)width);
    messages_forward(s, &layer->messages[0], pass);
    if (s->parts > 2) messages_forward(s, &layer->messages[1], &against);
    if (layer->edges.linear.weight) weights_forward(s, &layer->edges, pass, next);
    units_forward(layer, pass, y);
}

void pv_scalegmn_layer_backward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *de,
                                pv_real *dx, pv_real *drow)
{
    const pv_scalegmn_shape *const s = layer->shape;
    pv_scalegmn_pass against = *pass;
    against.e = NULL;
    units_backward(layer, pass, dx);
    if (layer->edges.linear.weight)
        weights_backward(s, &layer->edges, pass, de, dx, drow);
    else
        memset(de, 0, sizeof *de * (size_t)s->graph.edges * (size_t)s->work.width);
    messages_backward(s, &layer->messages[0], pass, de, dx, drow);
    if (s->parts > 2) messages_backward(s, &layer->messages[1], &against, de, dx, drow);
}

double pv_scalegmn_layer_flops(const pv_scalegmn_layer *layer)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const pv_scalegmn_work *const w = &s->work;
    const double square = 2.0 * w->features * w->features;
    double sum = square * s->graph.nodes * s->parts; /* what units send, and skip */
    for (int b = 0; b < s->graph.node_blocks; b++)
        sum += s->graph.node_block[b].count *
               pv_scalegmn_map_flops(w, &layer->update, s->graph.node_block[b].target);
    for (int b = 0; b < s->graph.edge_blocks; b++)
        for (int i = 0; i < s->parts - 1; i++) {
            const pv_scalegmn_messages *const m = &layer->messages[i];
            const pv_scalegmn_block *const block = &s->graph.edge_block[b];
            sum += block->count * (square + pv_scalegmn_map_flops(w, &m->map, role_of(m, block)));
        }
    if (layer->edges.linear.weight) sum += square * (2.0 * s->graph.edges + 4.0 * s->graph.nodes);
    return sum;
}
