/* The graph network: the relational transformer on the graph of an INR, and a perceptron on what is read
 * out. */
#include "nn/core/pv_encoder.h"
#include "pv_gnn_graph.h"
#include "pv_gnn_layers.h"

#include <string.h>

enum { MAX_LAYERS = 64, MAX_SITES = 1 << 16 }; /* places of a model that drop, pv_dropout.h */

typedef struct layer {
    pv_gnn_attention attention;
    pv_gnn_nodes nodes;
    pv_gnn_edges edges; /* not in the last layer */
    /* What backward needs of every sample, beside the nodes; the last layer's edges are of read rows only. */
    pv_real *out;  /* [max_batch][rows][channels] of attention */
    pv_real *kept; /* [max_batch][rows][nodes][edge] edges that the layer is given; NULL for the first */
} layer;

/* The relational transformer (Zhang et al.; Kofinas et al. 2024), as published with Shamsian et al. 2024. */
typedef struct net {
    pv_encoder encoder; /* of the nodes that the read-out looks at */
    pv_gnn_graph graph;
    pv_gnn_shape shape;
    pv_gnn_opts opts;
    int layers, classes;
    int read_first; /* of those nodes */
    layer layer[MAX_LAYERS];
    pv_real *nodes[MAX_LAYERS + 1]; /* [max_batch][nodes][node] before layer l; behind the last: read nodes */
    pv_real *list;                  /* [max_batch][graph.inputs + 1][edge] embedded edges */
    pv_real *edges, *dedges[2];     /* [nodes][nodes][edge], of one sample */
    pv_real *dnodes[2], *dout, *dlist;
} net;

static int64_t edge_values(const net *n, int rows)
{
    return (int64_t)rows * n->shape.nodes * n->shape.edge;
}

/* The rows of the graph that layer l computes: all, and in the last one only those that are read. */
static pv_gnn_range range_of(const net *n, const pv_pass *pass, int sample, int l)
{
    const bool last = l == n->layers - 1;
    return (pv_gnn_range){.pass = pass,
                          .sample = sample,
                          .first = last ? n->read_first : 0,
                          .count = last ? n->encoder.readout.count : n->shape.nodes};
}

static pv_real *nodes_of(const net *n, int l, int sample)
{
    const int rows = l == n->layers ? n->encoder.readout.count : n->shape.nodes;
    return n->nodes[l] + (int64_t)sample * rows * n->shape.node;
}

static pv_real *out_of(const net *n, int l, int sample)
{
    const int rows = range_of(n, NULL, sample, l).count;
    return n->layer[l].out + (int64_t)sample * rows * n->shape.heads.row.channels;
}

/* The edges that layer l is given, from the first row that it computes. */
static const pv_real *edges_of(const net *n, int l, int sample)
{
    const pv_gnn_range range = range_of(n, NULL, sample, l);
    return l == 0 ? n->edges + edge_values(n, range.first)
                  : n->layer[l].kept + sample * edge_values(n, range.count);
}

/* The embedded edges of a sample; n->edges is the whole of them once they are spread. */
static pv_real *list_of(const net *n, int sample)
{
    return n->list + (int64_t)sample * (n->graph.inputs + 1) * n->shape.edge;
}

/* ---- one sample ---- */

static const pv_real *forward(void *context, const pv_pass *pass, int sample, const pv_real *row)
{
    net *const n = context;
    pv_gnn_graph_forward(&n->graph, row, nodes_of(n, 0, sample), list_of(n, sample));
    pv_gnn_graph_spread(&n->graph, list_of(n, sample), n->edges);
    for (int l = 0; l < n->layers; l++) {
        const layer *const at = &n->layer[l];
        const pv_gnn_range range = range_of(n, pass, sample, l);
        const pv_real *const x = nodes_of(n, l, sample), *const edges = edges_of(n, l, sample);
        pv_real *const out = out_of(n, l, sample), *const updated = nodes_of(n, l + 1, sample);
        pv_gnn_attention_forward(&at->attention, &range, x, edges, out);
        pv_gnn_nodes_forward(&at->nodes, &range, x + (int64_t)range.first * n->shape.node, out, updated);
        if (l == n->layers - 1) break;
        const pv_gnn_range next = range_of(n, pass, sample, l + 1);
        pv_gnn_edges_forward(&at->edges, &next, updated, edges,
                             n->layer[l + 1].kept + sample * edge_values(n, next.count));
    }
    return nodes_of(n, n->layers, sample);
}

/* Which of the two buffers holds a gradient changes from layer to layer. */
static void swap(pv_real **pair)
{
    pv_real *const first = pair[0];
    pair[0] = pair[1];
    pair[1] = first;
}

static void clear(pv_real *values, int64_t count)
{
    memset(values, 0, sizeof *values * (size_t)count);
}

static void backward(void *context, const pv_pass *pass, int sample, const pv_real *row, pv_real *drow)
{
    net *const n = context;
    const int64_t read_values = (int64_t)n->encoder.readout.count * n->shape.node;
    pv_gnn_graph_spread(&n->graph, list_of(n, sample), n->edges);
    /* [0]: of what a layer gives; [1]: of what it is given */
    memcpy(n->dnodes[0], n->encoder.dvectors, sizeof(pv_real) * (size_t)read_values);
    for (int l = n->layers - 1; l >= 0; l--) {
        const layer *const at = &n->layer[l];
        const pv_gnn_range range = range_of(n, pass, sample, l);
        const pv_real *const x = nodes_of(n, l, sample), *const edges = edges_of(n, l, sample);
        const int64_t first = (int64_t)range.first * n->shape.node;
        clear(n->dnodes[1], (int64_t)n->shape.nodes * n->shape.node);
        clear(n->dedges[1], edge_values(n, range.count));
        if (l < n->layers - 1) {
            const pv_gnn_range next = range_of(n, pass, sample, l + 1);
            pv_gnn_edges_backward(&at->edges, &next, nodes_of(n, l + 1, sample), edges, n->dedges[0],
                                  n->dnodes[0], n->dedges[1]);
        }
        pv_gnn_nodes_backward(&at->nodes, &range, x + first, out_of(n, l, sample), n->dnodes[0],
                              n->dnodes[1] + first, n->dout);
        pv_gnn_attention_backward(&at->attention, &range, x, edges, n->dout, n->dnodes[1], n->dedges[1]);
        swap(n->dnodes);
        swap(n->dedges);
    }
    const pv_gnn_range given = range_of(n, pass, sample, 0);
    pv_gnn_graph_collect(&n->graph, n->dedges[0], given.first, given.count, n->dlist);
    pv_gnn_graph_backward(&n->graph, row, n->dnodes[0], n->dlist, drow);
}

/* ---- making one ---- */

static void choose_readout(net *n, int outputs)
{
    const bool last = n->opts.graph_features == PV_GRAPH_CAT_LAST_LAYER;
    const bool mean = n->opts.graph_features == PV_GRAPH_MEAN;
    n->read_first = last ? n->graph.nodes - outputs : 0;
    n->encoder.readout = (pv_readout){.count = last   ? outputs
                                               : mean ? n->graph.nodes
                                                      : 1,
                                      .width = n->opts.d_node,
                                      .padded = n->shape.node,
                                      .mean = mean};
}

/* Tensors in the order of PyTorch's state_dict; the perceptron behind them. */
static pv_stack register_layers(net *n, pv_nn_params *params)
{
    pv_packed_set *const set = &n->encoder.packed;
    const pv_gnn_opts *const opts = &n->opts;
    const int sites = 2 + 2 * n->shape.nodes;
    for (int l = 0; l < n->layers; l++) {
        layer *const at = &n->layer[l];
        pv_nn_params_prefix(params, "layers.%d.self_attn.", l);
        pv_gnn_attention_new(&at->attention, set, &n->shape, opts);
        pv_nn_params_prefix(params, "layers.%d.", l);
        pv_gnn_nodes_new(&at->nodes, set, &n->shape, opts, l * sites);
        pv_nn_params_prefix(params, "layers.%d.edge_updates.", l);
        if (l < n->layers - 1) pv_gnn_edges_new(&at->edges, set, &n->shape, opts, l * sites + 2);
    }
    pv_nn_params_next_stage(params);
    const int in = pv_readout_features(&n->encoder.readout), hidden = opts->d_out_hid;
    pv_stack stack = {.depth = 2};
    stack.linear[0] = pv_linear_new(params, "proj_out.0", in, hidden, true, PV_LINEAR_PYTORCH);
    stack.linear[1] = pv_linear_new(params, "proj_out.2", hidden, n->classes, true, PV_LINEAR_PYTORCH);
    return stack;
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const pv_gnn_shape *const s = &n->shape;
    const int64_t channels = s->heads.row.channels, read = n->encoder.readout.count;
    for (int l = 0; l < n->layers; l++) {
        const pv_gnn_range range = range_of(n, NULL, 0, l);
        PV_TAKE(memory, max_batch * s->nodes * s->node, &n->nodes[l]);
        PV_TAKE(memory, max_batch * range.count * channels, &n->layer[l].out);
        if (l) PV_TAKE(memory, max_batch * edge_values(n, range.count), &n->layer[l].kept);
    }
    PV_TAKE(memory, max_batch * read * s->node, &n->nodes[n->layers]);
    PV_TAKE(memory, max_batch * (n->graph.inputs + 1) * s->edge, &n->list);
    PV_TAKE(memory, edge_values(n, s->nodes), &n->edges, &n->dedges[0], &n->dedges[1]);
    PV_TAKE(memory, (int64_t)s->nodes * s->node, &n->dnodes[0], &n->dnodes[1]);
    PV_TAKE(memory, s->nodes * channels, &n->dout);
    PV_TAKE(memory, (n->graph.inputs + 1) * (int64_t)s->edge, &n->dlist);
    PV_TAKE(memory, read * s->node, &n->encoder.dvectors);
}

/* Every edge goes through its maps once in every layer whose result is read. */
static double forward_flops(const void *context)
{
    const net *n = context;
    const pv_gnn_opts *const opts = &n->opts;
    const double node = opts->d_node, edge = opts->d_edge, attn = opts->d_attn, count = n->graph.nodes;
    double sum = pv_gnn_graph_flops(&n->graph) + pv_stack_row_flops(&n->encoder.head.stack);
    for (int l = 0; l < n->layers; l++) {
        const double rows = range_of(n, NULL, 0, l).count;
        sum += 2 * count * node * 3 * attn +
               2 * rows * (attn * node + node * node + 2 * node * opts->d_node_hid);
        sum += 2 * rows * count * (edge * (opts->modulate_v ? 4 : 3) * attn + 2 * attn);
        if (l == n->layers - 1) break;
        const double next = range_of(n, NULL, 0, l + 1).count;
        sum += 2 * count * 2 * node * opts->d_edge_hid + 2 * next * count * 5 * edge * opts->d_edge_hid;
    }
    return sum;
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_gnn_opts *const opts = request->opts->kind.options;
    pv_status st = PV_OK;
    if (request->opts->layers > MAX_LAYERS)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_LAYERS, request->opts->layers);
    net *n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (net){.encoder = {.packed = {.params = params, .memory = params->memory},
                           .forward = forward,
                           .backward = backward},
               .opts = *opts,
               .layers = request->opts->layers,
               .classes = request->classes};
    PV_TRY(pv_gnn_graph_new(&n->graph, &n->encoder.packed, opts, request->arch, request->opts->features));
    PV_TRY(pv_gnn_shape_set(&n->shape, &n->encoder.packed, opts, request->opts->heads, n->graph.nodes));
    if ((int64_t)n->layers * (2 + 2 * n->shape.nodes) > MAX_SITES)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "model.layers: %d layers on graphs of %d nodes are too many", n->layers,
                       n->shape.nodes));
    choose_readout(n, request->arch->dims[request->arch->layers]);
    reserve(n, params->memory, request->max_batch);
    pv_encoder_close(&n->encoder, request, register_layers(n, params));
    st = pv_memory_status(params->memory);
done:
    return st;
}

static const char *const readouts[] = {[PV_GRAPH_CAT_LAST_LAYER] = "cat_last_layer",
                                       [PV_GRAPH_MEAN] = "mean",
                                       [PV_GRAPH_CLS_TOKEN] = "cls_token",
                                       NULL};

static const pv_option options[] = {
    {PV_KEY(pv_gnn_opts, d_node), .initial = "64", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "features of a node"},
    {PV_KEY(pv_gnn_opts, d_edge), .initial = "32", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "features of an edge"},
    {PV_KEY(pv_gnn_opts, d_attn), .initial = "128", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "channels of attention, all heads together"},
    {PV_KEY(pv_gnn_opts, d_node_hid), .initial = "128", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "width of the hidden layer in the update of nodes"},
    {PV_KEY(pv_gnn_opts, d_edge_hid), .initial = "64", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "width of the hidden layers in the update of edges"},
    {PV_KEY(pv_gnn_opts, d_out_hid), .initial = "128", PV_BETWEEN(1, 4096), .fixes = PV_FIXES_MODEL,
     .meaning = "width of the hidden layer of the classifier"},
    {PV_KEY(pv_gnn_opts, graph_features), .choices = readouts, .initial = "cat_last_layer",
     .fixes = PV_FIXES_MODEL,
     .meaning = "what is read out; cat_last_layer: the output units; mean: the mean of all nodes; "
                "cls_token: a learned node"},
    {PV_KEY(pv_gnn_opts, rev_edge_features), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "the input of an edge is its weight, that of the edge back, and their sum"},
    {PV_KEY(pv_gnn_opts, sin_emb), .initial = "true", .fixes = PV_FIXES_MODEL,
     .meaning = "weights and biases are embedded by 128 random Fourier features; false: linearly"},
    {PV_KEY(pv_gnn_opts, inp_factor), .initial = "1.0", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,
     .meaning = "standard deviation of the frequencies of the Fourier features"},
    {PV_KEY(pv_gnn_opts, input_layers), .initial = "1", PV_BETWEEN(1, PV_GNN_EMBED_MAX),
     .fixes = PV_FIXES_MODEL, .meaning = "linear layers of the embedding, with SiLU between them"},
    {PV_KEY(pv_gnn_opts, modulate_v), .initial = "true", .fixes = PV_FIXES_MODEL,
     .meaning = "edges also scale the values of attention"},
    {PV_KEY(pv_gnn_opts, use_ln), .initial = "true", .fixes = PV_FIXES_MODEL,
     .meaning = "layer normalisation"},
    {PV_KEY(pv_gnn_opts, dropout_node), .initial = "0.2", PV_FRACTION, .fixes = PV_FIXES_MODEL,
     .meaning = "probability of dropout in the update of nodes"},
    {PV_KEY(pv_gnn_opts, dropout_edge), .initial = "0.2", PV_FRACTION, .fixes = PV_FIXES_MODEL,
     .meaning = "probability of dropout in the update of edges"},
    {0}};

const pv_model_kind pv_model_gnn = {
    .plugin = {.name = "gnn",
               .help = "relational transformer on the graph of units and weights",
               PV_OWN(options, pv_gnn_opts)},
    .make = make,
    .forward = pv_encoder_forward,
    .backward = pv_encoder_backward,
    .features = pv_encoder_features,
    .forward_flops = forward_flops};
