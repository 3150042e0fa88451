/* The scale-equivariant graph metanetwork: a net that knows the signs of a sine's units.
 *
 * Source   Kalogeropoulos, Bouritsas, Panagakis 2024, "Scale Equivariant Graph Metanetworks", for the group
 *          of permutations and signs, in the configuration that the published code
 *          (github.com/jkalogero/scalegmn) classifies INRs of FashionMNIST with.  Features of units and
 *          weights begin as linear maps of biases and weights, scaled by learned positions (added, for inputs
 *          and outputs, which have no sign).  Messages are W z phi(rho(z) + rho(-z)), z being the product of
 *          a unit's and a weight's features, and are summed; units are updated by the same map of their
 *          features beside the sums, with a linear skip, weights to W e phi(of invariants of both ends);
 *          inputs and outputs have perceptrons of their own.  Read out is the sum of invariants of hidden
 *          units beside the features of inputs and outputs.  All hidden layers are as wide as the features;
 *          model.dropout is that of units between layers and within all perceptrons (dropout_all).
 * Differs  Tensors that no value passes through there (readout.phi, message_fn.eq_layers_in of messages along
 *          the weights, .eq_layers_last of those against) are left out; the read-out's tensors stand last.
 *          Weights to outputs have the position of their output (pv_scalegmn_graph.c).
 * Without  positive scales (ReLU) and the heterogeneous group, canonical |x| in place of rho(x) + rho(-x),
 *          deeper message and update functions, sine updates, read-out of the last layer alone, and the
 *          equivariant head for editing. */
#include "pv_scalegmn_layer.h"

#include "nn/core/pv_model_kind.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 64, MAX_SITES = 65536 };

/* Invariants of the net's last hidden units, summed, beside inputs and outputs; then a perceptron, whose last
 * map is the head. */
typedef struct readout {
    pv_scalegmn_invariant invariant;
    pv_scalegmn_mlp all;       /* of the vectors; without its last map */
    int vectors;               /* 1 + inputs + outputs */
    pv_real *joined, *djoined; /* [max_batch][vectors][width]; of one sample */
    pv_real *part;             /* [rows][width] */
} readout;

typedef struct net {
    pv_scalegmn_shape shape;
    pv_packed_set packed;
    pv_head head;
    int layers, inputs, batch; /* inputs: numbers of a row; batch: of the last forward */
    const pv_real *rows;       /* of the last forward, borrowed */
    pv_scalegmn_layer layer[MAX_LAYERS];
    readout readout;
    pv_real *x[MAX_LAYERS + 1];  /* [max_batch][nodes][width] before layer l, behind the last */
    pv_real *e[MAX_LAYERS];      /* [max_batch][edges][width]; NULL before layer 0: embedded when wanted */
    pv_real *joined[MAX_LAYERS]; /* [max_batch][nodes][parts width] */
    pv_real *dx, *de;            /* of one sample */
} net;

static int64_t node_values(const net *n)
{
    return (int64_t)n->shape.graph.nodes * n->shape.work.width;
}

static int64_t edge_values(const net *n)
{
    return (int64_t)n->shape.graph.edges * n->shape.work.width;
}

/* ---- read-out ---- */

/* The sites of the read-out follow those of the layers. */
static pv_scalegmn_place at_readout(const net *n, const pv_pass *pass, int sample, int part, bool backward)
{
    return (pv_scalegmn_place){
        .pass = pass, .sample = sample, .site = n->layers * n->shape.sites + 2 * part, .backward = backward};
}

/* Which of the vectors a unit is: hidden ones are summed in vector 0. */
static int vector_of(const pv_scalegmn_graph *g, int node)
{
    return node < g->inputs ? 1 + node : 1 + g->inputs + node - (g->nodes - g->outputs);
}

static void copy_vector(const net *n, const pv_real *from, pv_real *to)
{
    memcpy(to, from, sizeof *to * (size_t)n->shape.work.width);
}

/* Leaves the activation in work.plain. */
static void run_all(const net *n, const pv_pass *pass, int sample, bool backward, const pv_real *joined)
{
    const pv_scalegmn_place place = at_readout(n, pass, sample, n->shape.graph.node_blocks, backward);
    pv_packed_forward(&n->readout.all.first, 1, joined, false, n->shape.work.plain.before);
    pv_scalegmn_mlp_finish(&n->shape.work, &n->readout.all, 1, &place, NULL);
}

static void read_out(const net *n, const pv_pass *pass, int sample, const pv_real *x, pv_real *feature)
{
    const pv_scalegmn_work *const w = &n->shape.work;
    const pv_scalegmn_graph *const g = &n->shape.graph;
    pv_real *const joined = n->readout.joined + (int64_t)sample * n->readout.vectors * w->width;
    memset(joined, 0, sizeof *joined * (size_t)w->width);
    for (int b = 0; b < g->node_blocks; b++) {
        const pv_scalegmn_block *const block = &g->node_block[b];
        const pv_scalegmn_place place = at_readout(n, pass, sample, b, false);
        const pv_real *const of_block = x + (int64_t)block->first * w->width;
        if (block->target == PV_SCALEGMN_HIDDEN) {
            pv_scalegmn_invariant_forward(w, &n->readout.invariant, block->count, &place, of_block,
                                          n->readout.part);
            w->dense->sum_rows(block->count, w->width, 1, n->readout.part, joined);
        } else {
            for (int i = 0; i < block->count; i++)
                copy_vector(n, of_block + (int64_t)i * w->width,
                            joined + (int64_t)vector_of(g, block->first + i) * w->width);
        }
    }
    run_all(n, pass, sample, false, joined);
    memcpy(feature, w->plain.after, sizeof *feature * (size_t)w->features);
}

static void read_back(const net *n, const pv_pass *pass, int sample, const pv_real *x,
                      const pv_real *dfeature, pv_real *dx)
{
    const pv_scalegmn_work *const w = &n->shape.work;
    const pv_scalegmn_graph *const g = &n->shape.graph;
    const pv_real *const joined = n->readout.joined + (int64_t)sample * n->readout.vectors * w->width;
    run_all(n, pass, sample, true, joined);
    memset(w->plain.dafter, 0, sizeof *dx * (size_t)w->width);
    memcpy(w->plain.dafter, dfeature, sizeof *dx * (size_t)w->features);
    pv_scalegmn_mlp_unfinish(w, &n->readout.all, 1, NULL);
    pv_packed_backward(&n->readout.all.first, 1, joined, w->plain.dafter, false, n->readout.djoined);
    for (int b = 0; b < g->node_blocks; b++) {
        const pv_scalegmn_block *const block = &g->node_block[b];
        const pv_scalegmn_place place = at_readout(n, pass, sample, b, true);
        const int64_t at = (int64_t)block->first * w->width;
        const bool hidden = block->target == PV_SCALEGMN_HIDDEN;
        for (int i = 0; i < block->count; i++)
            copy_vector(
                n, n->readout.djoined + (hidden ? 0 : (int64_t)vector_of(g, block->first + i) * w->width),
                (hidden ? n->readout.part : dx + at) + (int64_t)i * w->width);
        if (!hidden) continue;
        pv_scalegmn_invariant_forward(w, &n->readout.invariant, block->count, &place, x + at, dx + at);
        pv_scalegmn_invariant_backward(w, &n->readout.invariant, block->count, x + at, n->readout.part,
                                       dx + at);
    }
}

/* ---- a sample ---- */

static pv_scalegmn_pass at_layer(const net *n, const pv_pass *pass, int sample, int l, const pv_real *row)
{
    return (pv_scalegmn_pass){.place = {.pass = pass, .sample = sample, .site = l * n->shape.sites},
                              .row = row,
                              .x = n->x[l] + sample * node_values(n),
                              .e = l ? n->e[l] + sample * edge_values(n) : NULL,
                              .joined = n->joined[l] + sample * node_values(n) * n->shape.parts};
}

static void sample_forward(const net *n, const pv_pass *pass, int sample, const pv_real *row)
{
    const int64_t nodes = sample * node_values(n), edges = sample * edge_values(n);
    pv_scalegmn_embed_nodes(&n->shape.graph, row, n->x[0] + nodes);
    for (int l = 0; l < n->layers; l++) {
        const pv_scalegmn_pass at = at_layer(n, pass, sample, l, row);
        pv_scalegmn_layer_forward(&n->layer[l], &at, l + 1 < n->layers ? n->e[l + 1] + edges : NULL,
                                  n->x[l + 1] + nodes);
    }
    read_out(n, pass, sample, n->x[n->layers] + nodes, n->head.x + (int64_t)sample * n->shape.work.features);
}

static void sample_backward(const net *n, const pv_pass *pass, int sample, const pv_real *row, pv_real *drow)
{
    if (drow) memset(drow, 0, sizeof *drow * (size_t)n->inputs);
    read_back(n, pass, sample, n->x[n->layers] + sample * node_values(n),
              n->head.dx + (int64_t)sample * n->shape.work.features, n->dx);
    for (int l = n->layers - 1; l >= 0; l--) {
        const pv_scalegmn_pass at = at_layer(n, pass, sample, l, row);
        pv_scalegmn_layer_backward(&n->layer[l], &at, n->de, n->dx, drow);
    }
    pv_scalegmn_embed_nodes_backward(&n->shape.graph, row, n->dx, drow);
}

/* ---- a pass: stage 0 up to what the last map is given, stage 1 that map ---- */

static void each_invariant(const net *n,
                           void (*what)(const pv_scalegmn_work *work, const pv_scalegmn_invariant *g))
{
    for (int l = 0; l < n->layers; l++) {
        for (int i = 0; i < n->shape.ways; i++)
            what(&n->shape.work, &n->layer[l].messages[i].map.invariant);
        what(&n->shape.work, &n->layer[l].update.invariant);
    }
    what(&n->shape.work, &n->readout.invariant);
}

static pv_batch_sums forward(void *context, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits)
{
    net *const n = context;
    if (stage == 1) {
        pv_head_forward(&n->head, batch, logits);
        return (pv_batch_sums){0};
    }
    n->batch = batch;
    n->rows = rows;
    pv_packed_load(&n->packed);
    each_invariant(n, pv_scalegmn_invariant_join);
    for (int i = 0; i < batch; i++)
        sample_forward(n, pass, i, rows + (int64_t)i * n->inputs);
    return (pv_batch_sums){0};
}

static pv_batch_sums backward(void *context, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows)
{
    net *const n = context;
    if (stage == 1) {
        pv_head_backward(&n->head, n->batch, dlogits);
        return (pv_batch_sums){0};
    }
    pv_packed_clear(&n->packed);
    each_invariant(n, pv_scalegmn_invariant_clear);
    for (int i = 0; i < n->batch; i++) {
        const int64_t at = (int64_t)i * n->inputs;
        sample_backward(n, pass, i, n->rows + at, drows ? drows + at : NULL);
    }
    each_invariant(n, pv_scalegmn_invariant_part);
    pv_packed_flush(&n->packed);
    return (pv_batch_sums){0};
}

static const pv_real *features(const void *context, int *width)
{
    const net *const n = context;
    return pv_stack_features(&n->head.stack, n->head.x, width);
}

static double forward_flops(const void *context)
{
    const net *const n = context;
    const pv_scalegmn_work *const w = &n->shape.work;
    const pv_scalegmn_graph *const g = &n->shape.graph;
    const int hidden = g->nodes - g->inputs - g->outputs;
    double sum = 2.0 * w->features * w->features * n->readout.vectors;
    sum += hidden * pv_scalegmn_invariant_flops(w, &n->readout.invariant);
    for (int l = 0; l < n->layers; l++)
        sum += pv_scalegmn_layer_flops(&n->layer[l], l == 0);
    return sum + pv_stack_row_flops(&n->head.stack);
}

/* ---- making one ---- */

/* Messages one way: a published layer holds its updates.  The last layer leaves weights as they are. */
static void register_forward(net *n, pv_nn_params *params)
{
    for (int l = 0; l < n->layers; l++) {
        pv_nn_params_prefix(params, "gnn.fw_layers.%d.", l);
        if (l + 1 < n->layers) pv_scalegmn_edges_new(&n->layer[l], "update_edge_attr_fn");
        pv_scalegmn_messages_new(&n->layer[l], false);
        pv_scalegmn_update_new(&n->layer[l], "update_node_feats_fn");
    }
}

/* Messages both ways: the published net holds lists of each. */
static void register_both(net *n, pv_nn_params *params)
{
    char name[48];
    for (int against = 0; against < 2; against++)
        for (int l = 0; l < n->layers; l++) {
            pv_nn_params_prefix(params, "gnn.%s_layers.%d.", against ? "bw" : "fw", l);
            pv_scalegmn_messages_new(&n->layer[l], against);
        }
    pv_nn_params_prefix(params, "gnn.");
    for (int l = 0; l < n->layers; l++) {
        snprintf(name, sizeof name, "update_node_feats_fn.%d", l);
        pv_scalegmn_update_new(&n->layer[l], name);
    }
    for (int l = 0; l + 1 < n->layers; l++) {
        snprintf(name, sizeof name, "fw_update_edge_attr_fn.%d", l);
        pv_scalegmn_edges_new(&n->layer[l], name);
    }
}

/* Returns the last map. */
static pv_stack register_rest(net *n, pv_nn_params *params, int classes)
{
    const pv_scalegmn_work *const w = &n->shape.work;
    char name[48];
    pv_nn_params_prefix(params, "gnn.");
    for (int l = 0; l < n->layers; l++) {
        snprintf(name, sizeof name, "skip_layers.%d", l);
        n->layer[l].skip =
            pv_packed_linear_add(w->set, name, w->features, w->features, false, PV_LINEAR_PYTORCH);
    }
    pv_nn_params_prefix(params, "gnn.readout.");
    n->readout.invariant = pv_scalegmn_invariant_new(w, "g1", 1);
    n->readout.all = pv_scalegmn_mlp_new(w, "global_mlp", n->readout.vectors, 0);
    pv_nn_params_next_stage(params);
    return (pv_stack){.depth = 1,
                      .linear = {pv_linear_new(params, "gnn.readout.global_mlp.fc.1", w->features, classes,
                                               true, PV_LINEAR_PYTORCH)}};
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const int64_t width = n->shape.work.width, vectors = n->readout.vectors * width;
    for (int l = 0; l <= n->layers; l++)
        PV_TAKE(memory, max_batch * node_values(n), &n->x[l]);
    for (int l = 0; l < n->layers; l++) {
        PV_TAKE(memory, max_batch * node_values(n) * n->shape.parts, &n->joined[l]);
        if (l) PV_TAKE(memory, max_batch * edge_values(n), &n->e[l]);
    }
    PV_TAKE(memory, node_values(n), &n->dx);
    PV_TAKE(memory, edge_values(n), &n->de);
    PV_TAKE(memory, max_batch * vectors, &n->readout.joined);
    PV_TAKE(memory, vectors, &n->readout.djoined);
    PV_TAKE(memory, PV_SCALEGMN_ROWS * width, &n->readout.part);
    pv_scalegmn_work_reserve(&n->shape.work);
    pv_scalegmn_shape_reserve(&n->shape);
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_model_opts *const opts = request->opts;
    const pv_scalegmn_opts *const own = opts->kind.options;
    pv_status st = PV_OK;
    if (opts->layers > MAX_LAYERS)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_LAYERS, opts->layers);
    if (!pv_arch_activation(request->arch)->odd)
        return pv_fail(PV_ERR_CONFIG, "model.kind: scalegmn is of odd activations, and these INRs are of %s",
                       pv_arch_activation(request->arch)->plugin.name);
    net *const n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (net){.packed = {.params = params, .memory = params->memory}, .layers = opts->layers};
    pv_scalegmn_work *const w = &n->shape.work;
    *w = (pv_scalegmn_work){.set = &n->packed,
                            .dense = params->kernels,
                            .kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
                            .dropout = {opts->dropout, params->kernels},
                            .features = opts->hidden,
                            .width = pv_packed_pad(&n->packed, opts->hidden)};
    n->shape.ways = own->direction == PV_DIRECTION_BOTH ? 2 : 1;
    n->shape.parts = 1 + n->shape.ways * pv_reading_bias(request->arch, opts->features, 0);
    PV_TRY(pv_scalegmn_graph_new(&n->shape.graph, w, request->arch, opts->features));
    n->readout.vectors = 1 + n->shape.graph.inputs + n->shape.graph.outputs;
    n->inputs = pv_reading_count(request->arch, opts->features);
    for (int l = 0; l < n->layers; l++)
        n->layer[l].shape = &n->shape;
    (n->shape.ways > 1 ? register_both : register_forward)(n, params);
    n->head = pv_head_new(params, register_rest(n, params, request->classes), request->max_batch);
    reserve(n, params->memory, request->max_batch);
    if ((n->layers + 1.0) * n->shape.sites > MAX_SITES)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "model.layers: %d layers on graphs of %d weights are too many",
                       n->layers, n->shape.graph.edges));
    st = pv_memory_status(params->memory);
done:
    return st;
}

static const char *const directions[] = {
    [PV_DIRECTION_FORWARD] = "forward", [PV_DIRECTION_BOTH] = "both", NULL};

static const pv_option options[] = {
    {PV_KEY(pv_scalegmn_opts, direction), .choices = directions, .initial = "forward",
     .fixes = PV_FIXES_MODEL,
     .meaning = "messages go along the weights, from inputs to outputs, or against them too"},
    {0}};

const pv_model_kind pv_model_scalegmn = {
    .plugin = {.name = "scalegmn",
               .help = "graph network that knows the signs of units: the output changes neither with their "
                       "order nor with their signs",
               PV_OWN(options, pv_scalegmn_opts)},
    .rows = PV_ROWS_WITH_SIGNS,
    .make = make,
    .forward = forward,
    .backward = backward,
    .features = features,
    .forward_flops = forward_flops};
