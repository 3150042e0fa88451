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
    PV_TAKE(memory, rows, &s->mapped, &s->product, &s->dproduct, &s->message);
    PV_TAKE(memory, (int64_t)s->graph.types * s->work.width, &s->types, &s->dtypes, &s->typed, &s->dtyped);
    const int along = s->graph.along.count, against = s->ways > 1 ? s->graph.against.count : 0;
    PV_TAKE(memory, (int64_t)(along > against ? along : against) * s->work.width, &s->sender, &s->dsender,
            &s->first, &s->dfirst, &s->odd, &s->dodd);
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

/* ---- weights as they are embedded ---- */

static void clear(pv_real *x, int64_t rows, int64_t width)
{
    memset(x, 0, sizeof *x * (size_t)(rows * width));
}

/* A linear map of what edges of every type are embedded as, and back. */
static void typed_forward(const pv_scalegmn_shape *s, const pv_packed_linear *linear)
{
    pv_scalegmn_embed_types(&s->graph, s->types);
    pv_packed_forward(linear, s->graph.types, s->types, false, s->typed);
}

static void typed_backward(const pv_scalegmn_shape *s, const pv_packed_linear *linear)
{
    pv_packed_backward(linear, s->graph.types, s->types, s->dtyped, false, s->dtypes);
    pv_scalegmn_embed_types_backward(&s->graph, s->dtypes);
}

/* y[i] = weight i of a block times row of_edge[i] of x. */
static void spread(const pv_scalegmn_shape *s, const pv_scalegmn_block *block, const pv_real *row,
                   const int *of_edge, const pv_real *x, pv_real *y)
{
    const int width = s->work.width;
    clear(y, block->count, width);
    for (int i = 0; i < block->count; i++, y += width)
        s->work.dense->add_row(1, width, row[s->graph.weight[block->first + i]],
                               x + (int64_t)of_edge[block->first + i] * width, y);
}

/* Adds to dx, and to drow unless that is NULL. */
static void spread_back(const pv_scalegmn_shape *s, const pv_scalegmn_block *block, const pv_real *row,
                        const int *of_edge, const pv_real *x, const pv_real *dy, pv_real *dx, pv_real *drow)
{
    const int width = s->work.width;
    for (int i = 0; i < block->count; i++, dy += width) {
        const int weight = s->graph.weight[block->first + i];
        const int64_t at = (int64_t)of_edge[block->first + i] * width;
        s->work.dense->add_row(1, width, row[weight], dy, dx + at);
        for (int k = 0; drow && k < s->work.features; k++)
            drow[weight] += x[at + k] * dy[k];
    }
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
        .senders = against ? &s->graph.against : &s->graph.along,
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

static pv_scalegmn_role role_of(const pv_scalegmn_messages *m, const pv_scalegmn_block *block)
{
    return m->part == 1 ? block->target : block->source;
}

/* What there is to do before the blocks: what units send and, where weights are as embedded, the first step
 * of the map for every sender. */
static void send(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m, const pv_scalegmn_pass *pass)
{
    const int64_t width = s->work.width;
    pv_packed_forward(&m->unit, s->graph.nodes, pass->x, false, s->sent);
    if (pass->e) return;
    typed_forward(s, &m->edge);
    for (int i = 0; i < m->senders->count; i++) {
        memcpy(s->sender + i * width, s->typed + m->senders->type[i] * width,
               sizeof *s->sender * (size_t)width);
        s->work.kernels->multiply(width, s->sent + m->senders->unit[i] * width, s->sender + i * width);
    }
    for (int l = 0; l < s->graph.tensors; l++) {
        const pv_scalegmn_block *const group = &m->senders->group[l];
        const int64_t at = group->first * width;
        pv_scalegmn_map_open(&m->map, role_of(m, group), group->count, s->sender + at, s->first + at,
                             s->odd + at);
    }
}

/* From the gradients of senders to those of what units send and of embedded weights. */
static void send_back_senders(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m)
{
    const int64_t width = s->work.width;
    const pv_transformer_kernels *const kernels = s->work.kernels;
    clear(s->dtyped, s->graph.types, width);
    for (int l = 0; l < s->graph.tensors; l++) {
        const pv_scalegmn_block *const group = &m->senders->group[l];
        const int64_t at = group->first * width;
        pv_scalegmn_map_open_backward(&m->map, role_of(m, group), group->count, s->sender + at,
                                      s->dfirst + at, s->dodd + at, s->dsender + at);
    }
    for (int i = 0; i < m->senders->count; i++) {
        pv_real *const d = s->dsender + i * width, *const other = s->sender + i * width;
        const int64_t unit = m->senders->unit[i] * width, type = m->senders->type[i] * width;
        memcpy(other, d, sizeof *d * (size_t)width);
        kernels->multiply(width, s->sent + unit, other);
        kernels->add(width, other, s->dtyped + type);
        kernels->multiply(width, s->typed + type, d);
        kernels->add(width, d, s->dsent + unit);
    }
    typed_backward(s, &m->edge);
}

/* The map's first step for a block: of W e times what is sent. */
static void open_block(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m,
                       const pv_scalegmn_pass *pass, const pv_scalegmn_block *block)
{
    const pv_scalegmn_role role = role_of(m, block);
    if (pass->e) {
        pv_packed_forward(&m->edge, block->count, pass->e + (int64_t)block->first * s->work.width, false,
                          s->mapped);
        times_sent(s, block, m, s->mapped, s->product);
        pv_scalegmn_map_open(&m->map, role, block->count, s->product, s->work.first, s->work.odd);
        return;
    }
    spread(s, block, pass->row, m->senders->of_edge, s->first, s->work.first);
    if (role == PV_SCALEGMN_HIDDEN) spread(s, block, pass->row, m->senders->of_edge, s->odd, s->work.odd);
}

/* From work.dfirst and work.dodd. */
static void open_block_back(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m,
                            const pv_scalegmn_pass *pass, const pv_scalegmn_block *block, pv_real *de,
                            pv_real *drow)
{
    const int64_t width = s->work.width, at = block->first * width;
    const pv_scalegmn_role role = role_of(m, block);
    if (!pass->e) {
        const int *const of_edge = m->senders->of_edge;
        spread_back(s, block, pass->row, of_edge, s->first, s->work.dfirst, s->dfirst, drow);
        if (role == PV_SCALEGMN_HIDDEN)
            spread_back(s, block, pass->row, of_edge, s->odd, s->work.dodd, s->dodd, drow);
        return;
    }
    pv_scalegmn_map_open_backward(&m->map, role, block->count, s->product, s->work.dfirst, s->work.dodd,
                                  s->dproduct);
    s->work.kernels->multiply(block->count * width, s->dproduct, s->mapped);
    for (int i = 0; i < block->count; i++)
        s->work.kernels->add(width, s->mapped + i * width, s->dsent + m->from[block->first + i] * width);
    times_sent(s, block, m, s->dproduct, s->mapped);
    pv_packed_backward(&m->edge, block->count, pass->e + at, s->mapped, true, de + at);
}

static void messages_forward(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m,
                             const pv_scalegmn_pass *pass)
{
    const int64_t width = s->work.width, joined = s->parts * width;
    send(s, m, pass);
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const pv_scalegmn_place at = at_block(s, pass, m->place, b, false);
        open_block(s, m, pass, block);
        pv_scalegmn_map_close(&s->work, &m->map, role_of(m, block), block->count, &at, s->message);
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
    send(s, m, pass);
    clear(s->dsent, s->graph.nodes, width);
    clear(s->dfirst, m->senders->count, width);
    clear(s->dodd, m->senders->count, width);
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const pv_scalegmn_place at = at_block(s, pass, m->place, b, true);
        open_block(s, m, pass, block);
        for (int i = 0; i < block->count; i++)
            memcpy(s->message + i * width, s->djoined + m->to[block->first + i] * joined + m->part * width,
                   sizeof *s->message * (size_t)width);
        pv_scalegmn_map_close_backward(&s->work, &m->map, role_of(m, block), block->count, &at, s->message);
        open_block_back(s, m, pass, block, de, drow);
    }
    if (!pass->e) send_back_senders(s, m);
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
        pv_scalegmn_map_open(&layer->update, block->target, block->count, pass->joined + at * s->parts,
                             s->work.first, s->work.odd);
        pv_scalegmn_map_close(&s->work, &layer->update, block->target, block->count, &update, y + at);
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
        pv_scalegmn_map_open(&layer->update, block->target, block->count, pass->joined + at * s->parts,
                             s->work.first, s->work.odd);
        pv_scalegmn_map_close_backward(&s->work, &layer->update, block->target, block->count, &update,
                                       dx + at);
        pv_scalegmn_map_open_backward(&layer->update, block->target, block->count,
                                      pass->joined + at * s->parts, s->work.dfirst, s->work.dodd, djoined);
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

/* Leaves W e in s->mapped and phi in s->message; where weights are as embedded W of every type stands in
 * s->typed. */
static void run_edges(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                      const pv_scalegmn_pass *pass, int b, bool backward)
{
    const pv_scalegmn_block *const block = &s->graph.edge_block[b];
    const pv_scalegmn_place place = at_block(s, pass, AT_EDGE, b, backward);
    const int64_t width = s->work.width;
    for (int i = 0; i < block->count; i++) {
        pv_real *const before = s->work.plain.before + i * width;
        memcpy(before, s->source + s->graph.source[block->first + i] * width, sizeof *before * (size_t)width);
        s->work.kernels->add(width, s->target + s->graph.target[block->first + i] * width, before);
    }
    pv_scalegmn_mlp_finish(&s->work, &edges->phi, block->count, &place, s->message);
    if (pass->e)
        pv_packed_forward(&edges->linear, block->count, pass->e + block->first * width, false, s->mapped);
    else
        spread(s, block, pass->row, s->graph.edge_type, s->typed, s->mapped);
}

static void weights_forward(const pv_scalegmn_shape *s, const pv_scalegmn_edges *edges,
                            const pv_scalegmn_pass *pass, pv_real *next)
{
    const int64_t width = s->work.width;
    ends_forward(s, edges, pass);
    if (!pass->e) typed_forward(s, &edges->linear);
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
    if (!pass->e) typed_forward(s, &edges->linear);
    clear(s->dtyped, s->graph.types, width);
    clear(s->dsource, s->graph.nodes, width);
    clear(s->dtarget, s->graph.nodes, width);
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_block *const block = &s->graph.edge_block[b];
        const int64_t values = block->count * width, at = block->first * width;
        run_edges(s, edges, pass, b, true);
        kernels->multiply(values, de + at, s->mapped);  /* of phi */
        kernels->multiply(values, de + at, s->message); /* of W e */
        pv_scalegmn_mlp_unfinish(&s->work, &edges->phi, block->count, s->mapped);
        for (int i = 0; i < block->count; i++) {
            const pv_real *const dbefore = s->work.plain.dafter + i * width;
            kernels->add(width, dbefore, s->dsource + s->graph.source[block->first + i] * width);
            kernels->add(width, dbefore, s->dtarget + s->graph.target[block->first + i] * width);
        }
        if (pass->e)
            pv_packed_backward(&edges->linear, block->count, pass->e + at, s->message, false, de + at);
        else
            spread_back(s, block, pass->row, s->graph.edge_type, s->typed, s->message, s->dtyped, drow);
    }
    if (!pass->e) typed_backward(s, &edges->linear);
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
    if (s->ways > 1) messages_forward(s, &layer->messages[1], &against);
    if (layer->edges.linear.weight) weights_forward(s, &layer->edges, pass, next);
    pv_scalegmn_turn(&s->graph, pass->row, s->ways * width, joined, pass->joined + width);
    units_forward(layer, pass, y);
}

void pv_scalegmn_layer_backward(const pv_scalegmn_layer *layer, const pv_scalegmn_pass *pass, pv_real *de,
                                pv_real *dx, pv_real *drow)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const int64_t width = s->work.width;
    pv_scalegmn_pass against = *pass;
    against.e = NULL;
    units_backward(layer, pass, dx);
    pv_scalegmn_turn_backward(&s->graph, pass->row, s->ways * width, s->parts * width, pass->joined + width,
                              s->djoined + width, drow);
    if (layer->edges.linear.weight)
        weights_backward(s, &layer->edges, pass, de, dx, drow);
    else
        memset(de, 0, sizeof *de * (size_t)s->graph.edges * (size_t)s->work.width);
    messages_backward(s, &layer->messages[0], pass, de, dx, drow);
    if (s->ways > 1) messages_backward(s, &layer->messages[1], &against, de, dx, drow);
}

static double messages_flops(const pv_scalegmn_shape *s, const pv_scalegmn_messages *m, bool embedded)
{
    const pv_scalegmn_work *const w = &s->work;
    const double square = 2.0 * w->features * w->features;
    double sum = square * s->graph.nodes;
    for (int b = 0; b < s->graph.edge_blocks; b++) {
        const pv_scalegmn_role role = role_of(m, &s->graph.edge_block[b]);
        sum += s->graph.edge_block[b].count * (embedded ? pv_scalegmn_close_flops(w, role)
                                                        : square + pv_scalegmn_map_flops(w, &m->map, role));
    }
    for (int l = 0; embedded && l < s->graph.tensors; l++) {
        const pv_scalegmn_role role = role_of(m, &m->senders->group[l]);
        sum += m->senders->group[l].count *
               (pv_scalegmn_map_flops(w, &m->map, role) - pv_scalegmn_close_flops(w, role));
    }
    return sum;
}

double pv_scalegmn_layer_flops(const pv_scalegmn_layer *layer, bool embedded)
{
    const pv_scalegmn_shape *const s = layer->shape;
    const double square = 2.0 * s->work.features * s->work.features;
    double sum =
        square * s->graph.nodes + messages_flops(s, &layer->messages[0], embedded); /* with the skip */
    if (s->ways > 1) sum += messages_flops(s, &layer->messages[1], true);
    for (int b = 0; b < s->graph.node_blocks; b++)
        sum += s->graph.node_block[b].count *
               pv_scalegmn_map_flops(&s->work, &layer->update, s->graph.node_block[b].target);
    if (layer->edges.linear.weight)
        sum += square * ((embedded ? 1.0 : 2.0) * s->graph.edges + 4.0 * s->graph.nodes);
    return sum;
}
