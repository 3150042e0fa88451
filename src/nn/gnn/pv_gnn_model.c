/* The graph network: the relational transformer on the graph of an INR, and a perceptron on what is read
 * out. */
#include "nn/core/pv_model_kind.h"
#include "pv_gnn_layers.h"
#include "pv_gnn_graph.h"

#include <stdio.h>
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
    pv_nn_params *params;
    pv_packed_set packed;
    pv_gnn_graph graph;
    pv_gnn_shape shape;
    pv_gnn_opts opts;
    int layers, inputs, classes, batch;
    int read_first, read_count; /* nodes that the read-out looks at */
    int node, features;         /* features of a node and of a graph, unpadded */
    layer layer[MAX_LAYERS];
    pv_real *nodes[MAX_LAYERS + 1]; /* [max_batch][nodes][node] before layer l; behind the last: read nodes */
    pv_real *list;                  /* [max_batch][graph.inputs + 1][edge] embedded edges */
    const pv_real *rows;            /* [batch][inputs] of the last forward, borrowed */
    pv_linear head[2];
    pv_real *feature, *hidden, *dfeature, *dhidden; /* [max_batch][...] */
    pv_real *edges, *dedges[2];                     /* [nodes][nodes][edge], of one sample */
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
                          .count = last ? n->read_count : n->shape.nodes};
}

static pv_real *nodes_of(const net *n, int l, int sample)
{
    const int rows = l == n->layers ? n->read_count : n->shape.nodes;
    return n->nodes[l] + (int64_t)sample * rows * n->shape.node;
}

static pv_real *out_of(const net *n, int l, int sample)
{
    const int rows = l == n->layers - 1 ? n->read_count : n->shape.nodes;
    return n->layer[l].out + (int64_t)sample * rows * n->shape.channels;
}

/* The edges that layer l is given, from the first row that it computes. */
static const pv_real *edges_of(const net *n, int l, int sample)
{
    const pv_gnn_range range = range_of(n, NULL, sample, l);
    return l == 0 ? n->edges + edge_values(n, range.first)
                  : n->layer[l].kept + sample * edge_values(n, range.count);
}

static void spread_list(const net *n, int sample)
{
    const pv_real *list = n->list + (int64_t)sample * (n->graph.inputs + 1) * n->shape.edge;
    pv_gnn_graph_spread(&n->graph, list, 0, n->shape.nodes, n->edges);
}

/* ---- one sample ---- */

static void forward_sample(net *n, const pv_pass *pass, int sample)
{
    pv_real *const list = n->list + (int64_t)sample * (n->graph.inputs + 1) * n->shape.edge;
    pv_gnn_graph_forward(&n->graph, n->rows + (int64_t)sample * n->inputs, nodes_of(n, 0, sample), list);
    spread_list(n, sample);
    for (int l = 0; l < n->layers; l++) {
        layer *const at = &n->layer[l];
        const pv_gnn_range range = range_of(n, pass, sample, l);
        const pv_real *x = nodes_of(n, l, sample);
        pv_real *const out = out_of(n, l, sample), *const updated = nodes_of(n, l + 1, sample);
        pv_gnn_attention_forward(&at->attention, &n->shape, &range, x, edges_of(n, l, sample), out);
        pv_gnn_nodes_forward(&at->nodes, &n->shape, &range, x + (int64_t)range.first * n->shape.node, out,
                             updated);
        if (l == n->layers - 1) break;
        const pv_gnn_range next = range_of(n, pass, sample, l + 1);
        pv_gnn_edges_forward(&at->edges, &n->shape, &next, updated, edges_of(n, l, sample),
                             n->layer[l + 1].kept + sample * edge_values(n, next.count));
    }
}

/* The graph's features from the nodes that are read. */
static void read_out(const net *n, int sample)
{
    pv_real *const feature = n->feature + (int64_t)sample * n->features;
    const pv_real *node = nodes_of(n, n->layers, sample);
    const bool mean = n->opts.graph_features == PV_GRAPH_MEAN;
    memset(feature, 0, sizeof *feature * (size_t)n->features);
    for (int i = 0; i < n->read_count; i++, node += n->shape.node)
        for (int k = 0; k < n->node; k++)
            feature[mean ? k : i * n->node + k] += mean ? node[k] / (pv_real)n->read_count : node[k];
}

static void read_back(const net *n, int sample, pv_real *dnodes)
{
    const pv_real *const dfeature = n->dfeature + (int64_t)sample * n->features;
    const bool mean = n->opts.graph_features == PV_GRAPH_MEAN;
    memset(dnodes, 0, sizeof *dnodes * (size_t)n->read_count * (size_t)n->shape.node);
    for (int i = 0; i < n->read_count; i++, dnodes += n->shape.node)
        for (int k = 0; k < n->node; k++)
            dnodes[k] = mean ? dfeature[k] / (pv_real)n->read_count : dfeature[i * n->node + k];
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

static void backward_sample(net *n, const pv_pass *pass, int sample, pv_real *drow)
{
    const int64_t node_values = (int64_t)n->shape.nodes * n->shape.node;
    spread_list(n, sample);
    read_back(n, sample, n->dnodes[0]); /* [0]: of what a layer gives; [1]: of what it is given */
    for (int l = n->layers - 1; l >= 0; l--) {
        const layer *const at = &n->layer[l];
        const bool last = l == n->layers - 1;
        const pv_gnn_range range = range_of(n, pass, sample, l);
        const pv_real *const x = nodes_of(n, l, sample), *const edges = edges_of(n, l, sample);
        const pv_real *const out = out_of(n, l, sample);
        const int64_t first = (int64_t)range.first * n->shape.node;
        clear(n->dnodes[1], node_values);
        clear(n->dedges[1], edge_values(n, range.count));
        if (!last) {
            const pv_gnn_range next = range_of(n, pass, sample, l + 1);
            pv_gnn_edges_backward(&at->edges, &n->shape, &next, nodes_of(n, l + 1, sample), edges,
                                  n->dedges[0], n->dnodes[0], n->dedges[1]);
        }
        pv_gnn_nodes_backward(&at->nodes, &n->shape, &range, x + first, out, n->dnodes[0],
                              n->dnodes[1] + first, n->dout);
        pv_gnn_attention_backward(&at->attention, &n->shape, &range, x, edges, n->dout, n->dnodes[1],
                                  n->dedges[1]);
        swap(n->dnodes);
        swap(n->dedges);
    }
    const pv_gnn_range given = range_of(n, pass, sample, 0);
    pv_gnn_graph_collect(&n->graph, n->dedges[0], given.first, given.count, n->dlist);
    pv_gnn_graph_backward(&n->graph, n->rows + (int64_t)sample * n->inputs, n->dnodes[0], n->dlist, drow);
}

/* ---- a batch ---- */

/* Stage 0 is the graph, stage 1 the perceptron behind it. */
static pv_batch_sums forward(void *context, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits)
{
    net *n = context;
    if (stage == 0) {
        n->batch = batch;
        n->rows = rows;
        pv_packed_load(&n->packed);
        for (int sample = 0; sample < batch; sample++) {
            forward_sample(n, pass, sample);
            read_out(n, sample);
        }
        return (pv_batch_sums){0};
    }
    pv_linear_forward(&n->head[0], n->params, batch, 1, n->feature, 0, n->hidden);
    pv_linear_add_bias(&n->head[0], n->params, batch, 1, n->hidden);
    n->params->kernels->relu((int64_t)batch * n->head[0].out, n->hidden, n->hidden);
    pv_linear_forward(&n->head[1], n->params, batch, 1, n->hidden, 0, logits);
    pv_linear_add_bias(&n->head[1], n->params, batch, 1, logits);
    return (pv_batch_sums){0};
}

static void head_backward(net *n, const pv_real *dlogits)
{
    const int batch = n->batch;
    pv_linear_backward(&n->head[1], n->params, batch, 1, n->hidden, dlogits, 0, n->dhidden);
    pv_linear_bias_backward(&n->head[1], n->params, batch, 1, dlogits);
    n->params->kernels->relu_backward((int64_t)batch * n->head[0].out, n->hidden, 1, n->dhidden);
    pv_linear_backward(&n->head[0], n->params, batch, 1, n->feature, n->dhidden, 0, n->dfeature);
    pv_linear_bias_backward(&n->head[0], n->params, batch, 1, n->dhidden);
}

static pv_batch_sums backward(void *context, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows)
{
    net *n = context;
    if (stage == 1) {
        head_backward(n, dlogits);
        return (pv_batch_sums){0};
    }
    pv_packed_clear(&n->packed);
    for (int sample = 0; sample < n->batch; sample++)
        backward_sample(n, pass, sample, drows ? drows + (int64_t)sample * n->inputs : NULL);
    pv_packed_flush(&n->packed);
    return (pv_batch_sums){0};
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    *width = n->head[1].in;
    return n->hidden;
}

/* ---- making one ---- */

static void choose_readout(net *n, const pv_gnn_opts *opts, int outputs)
{
    n->node = opts->d_node;
    n->read_first = n->opts.graph_features == PV_GRAPH_CAT_LAST_LAYER ? n->graph.nodes - outputs : 0;
    n->read_count = n->opts.graph_features == PV_GRAPH_CAT_LAST_LAYER ? outputs
                    : n->opts.graph_features == PV_GRAPH_MEAN         ? n->graph.nodes
                                                                      : 1;
    n->features = n->opts.graph_features == PV_GRAPH_CAT_LAST_LAYER ? outputs * opts->d_node : opts->d_node;
}

/* Tensors in the order of PyTorch's state_dict. */
static void register_layers(net *n, const pv_gnn_opts *opts)
{
    const int sites = 2 + 2 * n->shape.nodes;
    for (int l = 0; l < n->layers; l++) {
        char name[PV_NN_NAME];
        layer *const at = &n->layer[l];
        snprintf(name, sizeof name, "layers.%d.self_attn", l);
        pv_gnn_attention_new(&at->attention, &n->packed, &n->shape, opts, name);
        snprintf(name, sizeof name, "layers.%d", l);
        pv_gnn_nodes_new(&at->nodes, &n->packed, &n->shape, opts, name, l * sites);
        snprintf(name, sizeof name, "layers.%d.edge_updates", l);
        if (l < n->layers - 1) pv_gnn_edges_new(&at->edges, &n->packed, &n->shape, opts, name, l * sites + 2);
    }
    pv_nn_params_next_stage(n->params);
    n->head[0] =
        pv_linear_new(n->params, "proj_out.0", n->features, opts->d_out_hid, true, PV_LINEAR_PYTORCH);
    n->head[1] = pv_linear_new(n->params, "proj_out.2", opts->d_out_hid, n->classes, true, PV_LINEAR_PYTORCH);
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const pv_gnn_shape *const s = &n->shape;
    const size_t real = sizeof(pv_real);
    for (int l = 0; l < n->layers; l++) {
        const pv_gnn_range range = range_of(n, NULL, 0, l);
        n->nodes[l] = pv_take(memory, max_batch * s->nodes * s->node, real);
        n->layer[l].out = pv_take(memory, max_batch * range.count * s->channels, real);
        if (l) n->layer[l].kept = pv_take(memory, max_batch * edge_values(n, range.count), real);
    }
    n->nodes[n->layers] = pv_take(memory, max_batch * n->read_count * s->node, real);
    n->list = pv_take(memory, max_batch * (n->graph.inputs + 1) * s->edge, real);
    n->feature = pv_take(memory, max_batch * n->features, real);
    n->dfeature = pv_take(memory, max_batch * n->features, real);
    n->hidden = pv_take(memory, max_batch * n->head[0].out, real);
    n->dhidden = pv_take(memory, max_batch * n->head[0].out, real);
    n->edges = pv_take(memory, edge_values(n, s->nodes), real);
    for (int i = 0; i < 2; i++) {
        n->dedges[i] = pv_take(memory, edge_values(n, s->nodes), real);
        n->dnodes[i] = pv_take(memory, (int64_t)s->nodes * s->node, real);
    }
    n->dout = pv_take(memory, (int64_t)s->nodes * s->channels, real);
    n->dlist = pv_take(memory, (n->graph.inputs + 1) * (int64_t)s->edge, real);
}

/* Every edge goes through its maps once in every layer whose result is read. */
static double forward_flops(const void *context)
{
    const net *n = context;
    const pv_gnn_opts *const opts = &n->opts;
    const double node = opts->d_node, edge = opts->d_edge, attn = opts->d_attn, count = n->graph.nodes;
    double sum = pv_gnn_graph_flops(&n->graph) + 2.0 * n->features * opts->d_out_hid +
                 2.0 * opts->d_out_hid * n->classes;
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
    *n = (net){.params = params,
               .packed = {.params = params, .memory = params->memory},
               .opts = *opts,
               .layers = request->opts->layers,
               .classes = request->classes};
    for (int i = 0; i < request->layers; i++)
        n->inputs += (request->dims[i] + 1) * request->dims[i + 1];
    PV_TRY(pv_gnn_graph_new(&n->graph, &n->packed, opts, request->dims, request->layers));
    PV_TRY(pv_gnn_shape_set(&n->shape, &n->packed, opts, request->opts->heads, n->graph.nodes));
    if ((int64_t)n->layers * (2 + 2 * n->shape.nodes) > MAX_SITES)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "model.layers: %d layers on graphs of %d nodes are too many", n->layers,
                       n->shape.nodes));
    choose_readout(n, opts, request->dims[request->layers]);
    register_layers(n, opts);
    reserve(n, params->memory, request->max_batch);
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
               .options = options,
               .options_size = sizeof(pv_gnn_opts)},
    .make = make,
    .forward = forward,
    .backward = backward,
    .features = features,
    .forward_flops = forward_flops};
