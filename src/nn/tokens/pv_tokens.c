/* The baseline that takes an INR for a sequence: a transformer over its units. */
#include "nn/core/pv_dropout.h"
#include "nn/core/pv_encoder.h"
#include "nn/core/pv_heads.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* WIDER: of the hidden layer of a perceptron; SITES: of dropout in a layer */
enum { MAX_LAYERS = 64, MAX_TENSORS = 64, WIDER = 4, SITES = 3 };

typedef struct layer {
    pv_packed_linear in, out, linear1, linear2;
    pv_packed_norm norm1, norm2;
} layer;

/* A transformer over the rows of an INR: every unit with its incoming weights and bias is a token (after
 * INR2Vec, De Luigi et al. 2023, whose encoder takes rows; the layers are those of
 * torch.nn.TransformerEncoder with norm_first and GELU, without dropout of attention itself). */
typedef struct net {
    pv_encoder encoder; /* the mean of the tokens */
    const pv_transformer_kernels *kernels;
    pv_dropout dropout;
    int layers, tensors, tokens, width, padded;
    int dims[MAX_TENSORS + 1], biases[MAX_TENSORS]; /* biases: numbers of a unit's */
    pv_heads heads;
    pv_packed_linear embed[MAX_TENSORS];
    pv_packed *position;
    layer layer[MAX_LAYERS];
    pv_packed_norm last;
    pv_real *x[MAX_LAYERS + 1]; /* [max_batch][tokens][padded] before layer l, behind the last */
    pv_real *unit, *dunit;      /* [tokens][widest padded input]: rows as tokens */
    pv_real *normed, *sum, *mixed, *dx, *dropped; /* [tokens][padded] */
    pv_real *qkv, *dqkv;                          /* [tokens][3 channels] */
    pv_real *out, *dout;                          /* [tokens][channels] */
    pv_real *before, *after, *slope;              /* [tokens][WIDER width], padded, around the GELU */
    pv_real *share, *dshare;                      /* [tokens][heads.row.width] */
} net;

static int64_t token_values(const net *n)
{
    return (int64_t)n->tokens * n->padded;
}

/* ---- attention of all tokens of a sample ---- */

static void attend(const net *n)
{
    const int channels = n->heads.row.channels;
    memset(n->out, 0, sizeof *n->out * (size_t)n->tokens * (size_t)channels);
    for (int i = 0; i < n->tokens; i++) {
        const pv_attention_row row = pv_heads_row(&n->heads, n->qkv, i);
        n->kernels->attend(&row, NULL, n->share);
        n->kernels->gather(&row, NULL, n->share, n->out + (int64_t)i * channels);
    }
}

static void attend_backward(const net *n)
{
    const int channels = n->heads.row.channels;
    memset(n->dqkv, 0, sizeof *n->dqkv * (size_t)n->tokens * 3 * (size_t)channels);
    for (int i = 0; i < n->tokens; i++) {
        const pv_attention_row row = pv_heads_row(&n->heads, n->qkv, i);
        n->kernels->attend(&row, NULL, n->share);
        memset(n->dshare, 0, sizeof *n->dshare * (size_t)n->tokens * (size_t)row.width);
        n->kernels->attend_backward(&row, n->share, n->dout + (int64_t)i * channels, n->dshare, NULL,
                                    n->dqkv + (int64_t)i * 3 * channels, n->dqkv + channels,
                                    n->dqkv + 2 * (int64_t)channels);
    }
}

/* ---- a layer: x + attention(norm(x)), then the same with the perceptron ---- */

/* A layer at work on one sample, whose places of dropout begin at `site`. */
typedef struct work {
    const pv_pass *pass;
    int sample, site;
} work;

static void drop(const net *n, const work *at, int site, int64_t count, pv_real *x)
{
    pv_dropout_apply(&n->dropout, at->pass, at->site + site, at->sample, count, x);
}

/* Leaves the first sum in n->sum and what backward needs in the workspace; y may be NULL. */
static void run_layer(const net *n, const layer *l, const work *at, const pv_real *x, pv_real *y)
{
    const int64_t values = token_values(n), hidden = (int64_t)n->tokens * l->linear1.out;
    pv_packed_norm_forward(&l->norm1, n->tokens, x, n->normed);
    pv_packed_forward(&l->in, n->tokens, n->normed, false, n->qkv);
    attend(n);
    pv_packed_forward(&l->out, n->tokens, n->out, false, n->sum);
    drop(n, at, 0, values, n->sum);
    n->kernels->add(values, x, n->sum);
    pv_packed_norm_forward(&l->norm2, n->tokens, n->sum, n->mixed);
    pv_packed_forward(&l->linear1, n->tokens, n->mixed, false, n->before);
    n->kernels->gelu_slope(hidden, n->before, n->after, n->slope);
    drop(n, at, 1, hidden, n->after);
    if (!y) return;
    pv_packed_forward(&l->linear2, n->tokens, n->after, false, y);
    drop(n, at, 2, values, y);
    n->kernels->add(values, n->sum, y);
}

/* dx: of what the layer gives on entry, of what it is given on return. */
static void layer_backward(const net *n, const layer *l, const work *at, const pv_real *x, pv_real *dx)
{
    const int64_t values = token_values(n), hidden = (int64_t)n->tokens * l->linear1.out;
    const size_t bytes = sizeof *dx * (size_t)values;
    run_layer(n, l, at, x, NULL);
    memcpy(n->dropped, dx, bytes);
    drop(n, at, 2, values, n->dropped);
    pv_packed_backward(&l->linear2, n->tokens, n->after, n->dropped, false, n->before);
    drop(n, at, 1, hidden, n->before);
    n->kernels->multiply(hidden, n->slope, n->before);
    pv_packed_backward(&l->linear1, n->tokens, n->mixed, n->before, false, n->dropped);
    pv_packed_norm_backward(&l->norm2, n->tokens, n->sum, n->dropped);
    n->kernels->add(values, n->dropped, dx);
    memcpy(n->dropped, dx, bytes);
    drop(n, at, 0, values, n->dropped);
    pv_packed_backward(&l->out, n->tokens, n->out, n->dropped, false, n->dout);
    attend_backward(n);
    pv_packed_backward(&l->in, n->tokens, n->normed, n->dqkv, false, n->dropped);
    pv_packed_norm_backward(&l->norm1, n->tokens, x, n->dropped);
    n->kernels->add(values, n->dropped, dx);
}

/* ---- tokens ---- */

/* Numbers of the weights and biases of layer l in a row. */
static int64_t layer_values(const net *n, int l)
{
    return (int64_t)(n->dims[l] + n->biases[l]) * n->dims[l + 1];
}

/* The units of layer l as rows of weights and bias, padded. */
static void fill_units(const net *n, int l, const pv_real *weights)
{
    const int in = n->dims[l], bias = n->biases[l], out = n->dims[l + 1], stride = n->embed[l].in;
    const pv_real *const biases = weights + (int64_t)in * out;
    memset(n->unit, 0, sizeof *n->unit * (size_t)out * (size_t)stride);
    for (int u = 0; u < out; u++) {
        pv_real *const unit = n->unit + (int64_t)u * stride;
        memcpy(unit, weights + (int64_t)u * in, sizeof *unit * (size_t)in);
        memcpy(unit + in, biases + (int64_t)u * bias, sizeof *unit * (size_t)bias);
    }
}

/* And back, of their gradients. */
static void take_units(const net *n, int l, pv_real *weights)
{
    const int in = n->dims[l], bias = n->biases[l], out = n->dims[l + 1], stride = n->embed[l].in;
    pv_real *const biases = weights + (int64_t)in * out;
    for (int u = 0; u < out; u++) {
        const pv_real *const unit = n->dunit + (int64_t)u * stride;
        memcpy(weights + (int64_t)u * in, unit, sizeof *unit * (size_t)in);
        memcpy(biases + (int64_t)u * bias, unit + in, sizeof *unit * (size_t)bias);
    }
}

static void embed(const net *n, const pv_real *row, pv_real *x)
{
    pv_real *token = x;
    for (int l = 0; l < n->tensors; l++) {
        fill_units(n, l, row);
        pv_packed_forward(&n->embed[l], n->dims[l + 1], n->unit, false, token);
        token += (int64_t)n->dims[l + 1] * n->padded;
        row += layer_values(n, l);
    }
    n->kernels->add(token_values(n), n->position->values, x);
}

static void embed_backward(const net *n, const pv_real *row, const pv_real *dx, pv_real *drow)
{
    n->kernels->add(token_values(n), dx, n->position->gradients);
    for (int l = 0; l < n->tensors; l++) {
        fill_units(n, l, row);
        pv_packed_backward(&n->embed[l], n->dims[l + 1], n->unit, dx, false, drow ? n->dunit : NULL);
        if (drow) take_units(n, l, drow);
        dx += (int64_t)n->dims[l + 1] * n->padded;
        row += layer_values(n, l);
        if (drow) drow += layer_values(n, l);
    }
}

/* ---- a sample ---- */

static const pv_real *forward(void *context, const pv_pass *pass, int sample, const pv_real *row)
{
    const net *const n = context;
    const int64_t at = sample * token_values(n);
    embed(n, row, n->x[0] + at);
    for (int l = 0; l < n->layers; l++)
        run_layer(n, &n->layer[l], &(work){pass, sample, l * SITES}, n->x[l] + at, n->x[l + 1] + at);
    pv_packed_norm_forward(&n->last, n->tokens, n->x[n->layers] + at, n->normed);
    return n->normed;
}

static void backward(void *context, const pv_pass *pass, int sample, const pv_real *row, pv_real *drow)
{
    const net *const n = context;
    const int64_t at = sample * token_values(n);
    pv_packed_norm_backward(&n->last, n->tokens, n->x[n->layers] + at, n->dx);
    for (int l = n->layers - 1; l >= 0; l--)
        layer_backward(n, &n->layer[l], &(work){pass, sample, l * SITES}, n->x[l] + at, n->dx);
    embed_backward(n, row, n->dx, drow);
}

/* ---- making one ---- */

static void register_attention(net *n, layer *l)
{
    static const int parts[] = {0, 1, 2};
    pv_packed_set *const set = &n->encoder.packed;
    const int *const tokens = pv_packed_map(set, 0, n->width, n->padded);
    const int head = n->heads.head_width, channels = n->heads.row.channels, out = 3 * n->width;
    const pv_init xavier = {PV_INIT_UNIFORM, sqrt(6.0 / (n->width + out))}, zero = {PV_INIT_CONSTANT, 0};
    pv_linear in = {.in = n->width, .out = out};
    in.weight = pv_nn_params_add(set->params, "self_attn.in_proj_weight", 2, out, n->width, true, xavier);
    in.bias = pv_nn_params_add(set->params, "self_attn.in_proj_bias", 1, out, 1, true, zero);
    l->in = pv_packed_linear_new(set, &in, n->padded, tokens, 3 * channels,
                                 pv_heads_map(&n->heads, set, head, n->width, 3, parts));
    const pv_linear back =
        pv_linear_new(set->params, "self_attn.out_proj", n->width, n->width, true, PV_LINEAR_PYTORCH);
    l->out = pv_packed_linear_new(set, &back, channels, pv_heads_map(&n->heads, set, head, 0, 1, parts),
                                  n->padded, tokens);
}

/* Tensors in the order of PyTorch's state_dict; the linear map behind them. */
static pv_stack register_tensors(net *n, int classes)
{
    pv_packed_set *const set = &n->encoder.packed;
    pv_nn_params *const params = set->params;
    const int width = n->width, wider = WIDER * n->width;
    char name[32];
    n->position = pv_packed_add(set, "position", 2, n->tokens, width, (pv_init){PV_INIT_NORMAL, 0.02});
    for (int l = 0; l < n->tensors; l++) {
        snprintf(name, sizeof name, "embed.%d", l);
        n->embed[l] =
            pv_packed_linear_add(set, name, n->dims[l] + n->biases[l], width, true, PV_LINEAR_PYTORCH);
    }
    for (int i = 0; i < n->layers; i++) {
        layer *const l = &n->layer[i];
        pv_nn_params_prefix(params, "encoder.layers.%d.", i);
        register_attention(n, l);
        l->linear1 = pv_packed_linear_add(set, "linear1", width, wider, true, PV_LINEAR_PYTORCH);
        l->linear2 = pv_packed_linear_add(set, "linear2", wider, width, true, PV_LINEAR_PYTORCH);
        l->norm1 = pv_packed_norm_add(set, "norm1", width, true);
        l->norm2 = pv_packed_norm_add(set, "norm2", width, true);
    }
    pv_nn_params_prefix(params, "encoder.");
    n->last = pv_packed_norm_add(set, "norm", width, true);
    pv_nn_params_next_stage(params);
    return (pv_stack){.depth = 1,
                      .linear = {pv_linear_new(params, "head", width, classes, true, PV_LINEAR_PYTORCH)}};
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const int64_t tokens = n->tokens, values = token_values(n), hidden = tokens * n->layer[0].linear1.out;
    const int64_t channels = n->heads.row.channels, width = n->heads.row.width;
    int64_t widest = 0;
    for (int l = 0; l < n->tensors; l++) {
        const int64_t unit = (int64_t)n->dims[l + 1] * n->embed[l].in;
        widest = unit > widest ? unit : widest;
    }
    for (int l = 0; l <= n->layers; l++)
        PV_TAKE(memory, max_batch * values, &n->x[l]);
    PV_TAKE(memory, widest, &n->unit, &n->dunit);
    PV_TAKE(memory, values, &n->normed, &n->sum, &n->mixed, &n->dx, &n->dropped);
    n->encoder.dvectors = n->dx;
    PV_TAKE(memory, tokens * 3 * channels, &n->qkv, &n->dqkv);
    PV_TAKE(memory, tokens * channels, &n->out, &n->dout);
    PV_TAKE(memory, hidden, &n->before, &n->after, &n->slope);
    PV_TAKE(memory, tokens * width, &n->share, &n->dshare);
}

static double forward_flops(const void *context)
{
    const net *n = context;
    const double tokens = n->tokens, width = n->width;
    double sum = 0;
    for (int l = 0; l < n->tensors; l++)
        sum += (double)layer_values(n, l) * width;
    sum += n->layers * tokens * width * ((4 + 2 * WIDER) * width + 2 * tokens);
    return 2 * sum + pv_stack_row_flops(&n->encoder.head.stack);
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_model_opts *opts = request->opts;
    if (opts->layers > MAX_LAYERS)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_LAYERS, opts->layers);
    if (request->arch->layers > MAX_TENSORS)
        return pv_fail(PV_ERR_CONFIG, "an INR of more than %d layers", MAX_TENSORS);
    net *n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (net){.encoder = {.packed = {.params = params, .memory = params->memory},
                           .forward = forward,
                           .backward = backward},
               .kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
               .dropout = {opts->dropout, params->kernels},
               .layers = opts->layers,
               .tensors = request->arch->layers,
               .width = opts->hidden};
    pv_packed_set *const set = &n->encoder.packed;
    n->padded = pv_packed_pad(set, n->width);
    memcpy(n->dims, request->arch->dims, sizeof *n->dims * (size_t)(request->arch->layers + 1));
    for (int l = 0; l < n->tensors; l++) {
        n->biases[l] = pv_reading_bias(request->arch, opts->features, l);
        n->tokens += n->dims[l + 1];
    }
    const pv_status st = pv_heads_set(&n->heads, set, n->tokens, "model.hidden", n->width, opts->heads);
    if (st != PV_OK) return st;
    n->heads.row.scale = (pv_real)(1 / sqrt(n->heads.head_width));
    n->encoder.readout =
        (pv_readout){.count = n->tokens, .width = n->width, .padded = n->padded, .mean = true};
    pv_encoder_close(&n->encoder, request, register_tensors(n, request->classes));
    reserve(n, params->memory, request->max_batch);
    return pv_memory_status(params->memory);
}

const pv_model_kind pv_model_tokens = {
    .plugin = {.name = "tokens",
               .alias = "inr2vec",
               .help = "transformer over the units of the INR, each with its weights a token"},
    .make = make,
    .forward = pv_encoder_forward,
    .backward = pv_encoder_backward,
    .features = pv_encoder_features,
    .forward_flops = forward_flops};
