/* The baseline that takes an INR for a sequence: a transformer over its units. */
#include "nn/core/pv_dropout.h"
#include "nn/core/pv_model_kind.h"
#include "nn/core/pv_packed.h"
#include "nn/core/pv_transformer_kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_LAYERS = 64,
    MAX_TENSORS = 64,
    WIDER = 4,
    SITES = 3
}; /* WIDER: of the hidden layer of a perceptron */

typedef struct layer {
    pv_packed_linear in, out, linear1, linear2;
    pv_packed_norm norm1, norm2;
} layer;

/* A transformer over the rows of an INR: every unit with its incoming weights and bias is a token (after
 * INR2Vec, De Luigi et al. 2023, whose encoder takes rows; the layers are those of
 * torch.nn.TransformerEncoder with norm_first and GELU, without dropout of attention itself). */
typedef struct net {
    pv_nn_params *params;
    const pv_transformer_kernels *kernels;
    pv_packed_set packed;
    pv_dropout dropout;
    int layers, tensors, inputs, tokens, width, padded, channels, classes, batch;
    int dims[MAX_TENSORS + 1];
    pv_attention_row row; /* attention, without the pointers of a token */
    pv_packed_linear embed[MAX_TENSORS];
    pv_packed *position;
    layer layer[MAX_LAYERS];
    pv_packed_norm last;
    pv_linear head;
    pv_real *x[MAX_LAYERS + 1];  /* [max_batch][tokens][padded] before layer l, behind the last */
    const pv_real *rows;         /* [batch][inputs] of the last forward, borrowed */
    pv_real *feature, *dfeature; /* [max_batch][width] */
    pv_real *unit, *dunit;       /* [tokens][widest padded input]: rows as tokens */
    pv_real *normed, *sum, *mixed, *dx, *dropped; /* [tokens][padded] */
    pv_real *qkv, *dqkv;                          /* [tokens][3 channels] */
    pv_real *out, *dout;                          /* [tokens][channels] */
    pv_real *before, *after, *slope;              /* [tokens][WIDER width], padded, around the GELU */
    pv_real *share, *dshare;                      /* [tokens][row.width] */
} net;

static int64_t token_values(const net *n)
{
    return (int64_t)n->tokens * n->padded;
}

static void drop(const net *n, const pv_pass *pass, int sample, int site, int64_t count, pv_real *x)
{
    if (pass->training && n->dropout.rate > 0) pv_dropout_apply(&n->dropout, pass, site, sample, count, x);
}

static void norm(const net *n, const pv_packed_norm *p, const pv_real *x, pv_real *y)
{
    n->kernels->norm(n->tokens, p->width, p->padded, x, p->weight->values, p->bias->values, y);
}

static void norm_backward(const net *n, const pv_packed_norm *p, const pv_real *x, pv_real *dy)
{
    n->kernels->norm_backward(n->tokens, p->width, p->padded, x, p->weight->values, dy, p->weight->gradients,
                              p->bias->gradients);
}

/* ---- attention of all tokens of a sample ---- */

static pv_attention_row row_of(const net *n, int token)
{
    pv_attention_row row = n->row;
    row.query = n->qkv + (int64_t)token * 3 * n->channels;
    row.keys = n->qkv + n->channels;
    row.values = n->qkv + 2 * (int64_t)n->channels;
    return row;
}

static void attend(const net *n)
{
    memset(n->out, 0, sizeof *n->out * (size_t)n->tokens * (size_t)n->channels);
    for (int i = 0; i < n->tokens; i++) {
        const pv_attention_row row = row_of(n, i);
        n->kernels->attend(&row, NULL, n->share);
        n->kernels->gather(&row, NULL, n->share, n->out + (int64_t)i * n->channels);
    }
}

static void attend_backward(const net *n)
{
    memset(n->dqkv, 0, sizeof *n->dqkv * (size_t)n->tokens * 3 * (size_t)n->channels);
    for (int i = 0; i < n->tokens; i++) {
        const pv_attention_row row = row_of(n, i);
        n->kernels->attend(&row, NULL, n->share);
        memset(n->dshare, 0, sizeof *n->dshare * (size_t)n->tokens * (size_t)row.width);
        n->kernels->attend_backward(&row, n->share, n->dout + (int64_t)i * n->channels, n->dshare, NULL,
                                    n->dqkv + (int64_t)i * 3 * n->channels, n->dqkv + n->channels,
                                    n->dqkv + 2 * (int64_t)n->channels);
    }
}

/* ---- a layer: x + attention(norm(x)), then the same with the perceptron ---- */

/* Leaves the first sum in n->sum and what backward needs in the workspace; y may be NULL. */
static void run_layer(const net *n, const layer *l, const pv_pass *pass, int sample, int site,
                      const pv_real *x, pv_real *y)
{
    const int64_t values = token_values(n), hidden = (int64_t)n->tokens * l->linear1.out;
    norm(n, &l->norm1, x, n->normed);
    pv_packed_forward(&l->in, n->tokens, n->normed, false, n->qkv);
    attend(n);
    pv_packed_forward(&l->out, n->tokens, n->out, false, n->sum);
    drop(n, pass, sample, site, values, n->sum);
    n->kernels->add(values, x, n->sum);
    norm(n, &l->norm2, n->sum, n->mixed);
    pv_packed_forward(&l->linear1, n->tokens, n->mixed, false, n->before);
    n->kernels->gelu_slope(hidden, n->before, n->after, n->slope);
    drop(n, pass, sample, site + 1, hidden, n->after);
    if (!y) return;
    pv_packed_forward(&l->linear2, n->tokens, n->after, false, y);
    drop(n, pass, sample, site + 2, values, y);
    n->kernels->add(values, n->sum, y);
}

/* dx: of what the layer gives on entry, of what it is given on return. */
static void layer_backward(const net *n, const layer *l, const pv_pass *pass, int sample, int site,
                           const pv_real *x, pv_real *dx)
{
    const int64_t values = token_values(n), hidden = (int64_t)n->tokens * l->linear1.out;
    const size_t bytes = sizeof *dx * (size_t)values;
    run_layer(n, l, pass, sample, site, x, NULL);
    memcpy(n->dropped, dx, bytes);
    drop(n, pass, sample, site + 2, values, n->dropped);
    pv_packed_backward(&l->linear2, n->tokens, n->after, n->dropped, false, n->before);
    drop(n, pass, sample, site + 1, hidden, n->before);
    n->kernels->multiply(hidden, n->slope, n->before);
    pv_packed_backward(&l->linear1, n->tokens, n->mixed, n->before, false, n->dropped);
    norm_backward(n, &l->norm2, n->sum, n->dropped);
    n->kernels->add(values, n->dropped, dx);
    memcpy(n->dropped, dx, bytes);
    drop(n, pass, sample, site, values, n->dropped);
    pv_packed_backward(&l->out, n->tokens, n->out, n->dropped, false, n->dout);
    attend_backward(n);
    pv_packed_backward(&l->in, n->tokens, n->normed, n->dqkv, false, n->dropped);
    norm_backward(n, &l->norm1, x, n->dropped);
    n->kernels->add(values, n->dropped, dx);
}

/* ---- tokens ---- */

/* The units of layer l as rows of weights and bias, padded. */
static void fill_units(const net *n, int l, const pv_real *weights)
{
    const int in = n->dims[l], out = n->dims[l + 1], stride = n->embed[l].in;
    memset(n->unit, 0, sizeof *n->unit * (size_t)out * (size_t)stride);
    for (int u = 0; u < out; u++) {
        memcpy(n->unit + (int64_t)u * stride, weights + (int64_t)u * in, sizeof *n->unit * (size_t)in);
        n->unit[(int64_t)u * stride + in] = weights[(int64_t)in * out + u];
    }
}

static void embed(const net *n, const pv_real *row, pv_real *x)
{
    pv_real *token = x;
    for (int l = 0; l < n->tensors; l++) {
        fill_units(n, l, row);
        pv_packed_forward(&n->embed[l], n->dims[l + 1], n->unit, false, token);
        token += (int64_t)n->dims[l + 1] * n->padded;
        row += (int64_t)(n->dims[l] + 1) * n->dims[l + 1];
    }
    n->kernels->add(token_values(n), n->position->values, x);
}

static void embed_backward(const net *n, const pv_real *row, const pv_real *dx, pv_real *drow)
{
    n->kernels->add(token_values(n), dx, n->position->gradients);
    for (int l = 0; l < n->tensors; l++) {
        const int in = n->dims[l], out = n->dims[l + 1], stride = n->embed[l].in;
        fill_units(n, l, row);
        pv_packed_backward(&n->embed[l], out, n->unit, dx, false, drow ? n->dunit : NULL);
        for (int u = 0; drow && u < out; u++) {
            memcpy(drow + (int64_t)u * in, n->dunit + (int64_t)u * stride, sizeof *drow * (size_t)in);
            drow[(int64_t)in * out + u] = n->dunit[(int64_t)u * stride + in];
        }
        dx += (int64_t)out * n->padded;
        row += (int64_t)(in + 1) * out;
        if (drow) drow += (int64_t)(in + 1) * out;
    }
}

/* ---- a batch ---- */

static void forward_sample(const net *n, const pv_pass *pass, int sample)
{
    const int64_t at = sample * token_values(n);
    pv_real *const feature = n->feature + (int64_t)sample * n->width;
    embed(n, n->rows + (int64_t)sample * n->inputs, n->x[0] + at);
    for (int l = 0; l < n->layers; l++)
        run_layer(n, &n->layer[l], pass, sample, l * SITES, n->x[l] + at, n->x[l + 1] + at);
    norm(n, &n->last, n->x[n->layers] + at, n->normed);
    memset(feature, 0, sizeof *feature * (size_t)n->width);
    for (int t = 0; t < n->tokens; t++)
        for (int k = 0; k < n->width; k++)
            feature[k] += n->normed[(int64_t)t * n->padded + k] / (pv_real)n->tokens;
}

static void backward_sample(const net *n, const pv_pass *pass, int sample, pv_real *drow)
{
    const int64_t at = sample * token_values(n);
    for (int t = 0; t < n->tokens; t++)
        for (int k = 0; k < n->padded; k++)
            n->dx[(int64_t)t * n->padded + k] =
                k < n->width ? n->dfeature[(int64_t)sample * n->width + k] / (pv_real)n->tokens : 0;
    norm_backward(n, &n->last, n->x[n->layers] + at, n->dx);
    for (int l = n->layers - 1; l >= 0; l--)
        layer_backward(n, &n->layer[l], pass, sample, l * SITES, n->x[l] + at, n->dx);
    embed_backward(n, n->rows + (int64_t)sample * n->inputs, n->dx, drow);
}

/* Stage 0 is the transformer, stage 1 the linear map behind it. */
static pv_batch_sums forward(void *context, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits)
{
    net *n = context;
    if (stage == 0) {
        n->batch = batch;
        n->rows = rows;
        pv_packed_load(&n->packed);
        for (int sample = 0; sample < batch; sample++)
            forward_sample(n, pass, sample);
    } else {
        pv_linear_forward(&n->head, n->params, batch, 1, n->feature, 0, logits);
        pv_linear_add_bias(&n->head, n->params, batch, 1, logits);
    }
    return (pv_batch_sums){0};
}

static pv_batch_sums backward(void *context, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows)
{
    net *n = context;
    if (stage == 1) {
        pv_linear_backward(&n->head, n->params, n->batch, 1, n->feature, dlogits, 0, n->dfeature);
        pv_linear_bias_backward(&n->head, n->params, n->batch, 1, dlogits);
    } else {
        pv_packed_clear(&n->packed);
        for (int sample = 0; sample < n->batch; sample++)
            backward_sample(n, pass, sample, drows ? drows + (int64_t)sample * n->inputs : NULL);
        pv_packed_flush(&n->packed);
    }
    return (pv_batch_sums){0};
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    *width = n->head.in;
    return n->feature;
}

/* ---- making one ---- */

/* Where the interleaved channels of `parts` maps come from; pv_transformer_kernels.h. */
static int *head_map(const net *n, int heads, int parts)
{
    int *map = pv_take(n->packed.memory, (int64_t)parts * n->channels, sizeof *map);
    for (int c = 0; map && c < parts * n->channels; c++) {
        const int part = c / n->channels, head = c % n->channels % n->row.heads,
                  d = c % n->channels / n->row.heads;
        const bool real = head < heads && d < n->width / heads;
        map[c] = real ? part * n->width + head * (n->width / heads) + d : -1;
    }
    return map;
}

static void shape_attention(net *n, int heads)
{
    const int lanes = n->params->kernels->lanes;
    int power = 1;
    while (power < heads)
        power *= 2;
    const int width = power > lanes ? power : lanes;
    n->channels = (n->width / heads * power + width - 1) / width * width;
    n->row = (pv_attention_row){.nodes = n->tokens,
                                .channels = n->channels,
                                .heads = power,
                                .width = width,
                                .node_stride = 3 * n->channels,
                                .scale = (pv_real)(1 / sqrt((double)n->width / heads))};
}

static void register_attention(net *n, layer *l, const char *prefix, int heads)
{
    const int *const tokens = pv_packed_map(&n->packed, 0, n->width, n->padded);
    char name[PV_NN_NAME + 32];
    pv_linear linear = {.in = n->width, .out = 3 * n->width};
    const pv_linear xavier = {.in = n->width, .out = 3 * n->width};
    snprintf(name, sizeof name, "%s.self_attn.in_proj_weight", prefix);
    linear.weight = pv_nn_params_add(n->params, name, 2, xavier.out, xavier.in, true,
                                     (pv_init){PV_INIT_UNIFORM, sqrt(6.0 / (xavier.in + xavier.out))});
    snprintf(name, sizeof name, "%s.self_attn.in_proj_bias", prefix);
    linear.bias = pv_nn_params_add(n->params, name, 1, xavier.out, 1, true, (pv_init){PV_INIT_CONSTANT, 0});
    l->in =
        pv_packed_linear_new(&n->packed, &linear, n->padded, tokens, 3 * n->channels, head_map(n, heads, 3));
    snprintf(name, sizeof name, "%s.self_attn.out_proj", prefix);
    linear = pv_linear_new(n->params, name, n->width, n->width, true, PV_LINEAR_PYTORCH);
    l->out = pv_packed_linear_new(&n->packed, &linear, n->channels, head_map(n, heads, 1), n->padded, tokens);
}

static void register_tensors(net *n, int heads)
{
    char name[PV_NN_NAME];
    n->position =
        pv_packed_add(&n->packed, "position", 2, n->tokens, n->width, (pv_init){PV_INIT_NORMAL, 0.02});
    for (int l = 0; l < n->tensors; l++) {
        snprintf(name, sizeof name, "embed.%d", l);
        n->embed[l] =
            pv_packed_linear_add(&n->packed, name, n->dims[l] + 1, n->width, true, PV_LINEAR_PYTORCH);
    }
    for (int i = 0; i < n->layers; i++) {
        layer *const l = &n->layer[i];
        char leaf[PV_NN_NAME + 16];
        snprintf(name, sizeof name, "encoder.layers.%d", i);
        register_attention(n, l, name, heads);
        snprintf(leaf, sizeof leaf, "%s.linear1", name);
        l->linear1 =
            pv_packed_linear_add(&n->packed, leaf, n->width, WIDER * n->width, true, PV_LINEAR_PYTORCH);
        snprintf(leaf, sizeof leaf, "%s.linear2", name);
        l->linear2 =
            pv_packed_linear_add(&n->packed, leaf, WIDER * n->width, n->width, true, PV_LINEAR_PYTORCH);
        snprintf(leaf, sizeof leaf, "%s.norm1", name);
        l->norm1 = pv_packed_norm_add(&n->packed, leaf, n->width);
        snprintf(leaf, sizeof leaf, "%s.norm2", name);
        l->norm2 = pv_packed_norm_add(&n->packed, leaf, n->width);
    }
    n->last = pv_packed_norm_add(&n->packed, "encoder.norm", n->width);
    pv_nn_params_next_stage(n->params);
    n->head = pv_linear_new(n->params, "head", n->width, n->classes, true, PV_LINEAR_PYTORCH);
}

static void reserve(net *n, pv_memory *memory, int64_t max_batch)
{
    const int64_t tokens = n->tokens, hidden = tokens * n->layer[0].linear1.out;
    int64_t widest = 0;
    for (int l = 0; l < n->tensors; l++) {
        const int64_t unit = (int64_t)n->dims[l + 1] * n->embed[l].in;
        widest = unit > widest ? unit : widest;
    }
    for (int l = 0; l <= n->layers; l++)
        n->x[l] = pv_take(memory, max_batch * token_values(n), sizeof(pv_real));
    struct {
        pv_real **where;
        int64_t count;
    } blocks[] = {{&n->feature, max_batch * n->width},
                  {&n->dfeature, max_batch * n->width},
                  {&n->unit, widest},
                  {&n->dunit, widest},
                  {&n->normed, token_values(n)},
                  {&n->sum, token_values(n)},
                  {&n->mixed, token_values(n)},
                  {&n->dx, token_values(n)},
                  {&n->dropped, token_values(n)},
                  {&n->qkv, tokens * 3 * n->channels},
                  {&n->dqkv, tokens * 3 * n->channels},
                  {&n->out, tokens * n->channels},
                  {&n->dout, tokens * n->channels},
                  {&n->before, hidden},
                  {&n->after, hidden},
                  {&n->slope, hidden},
                  {&n->share, tokens * n->row.width},
                  {&n->dshare, tokens * n->row.width}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        *blocks[i].where = pv_take(memory, blocks[i].count, sizeof(pv_real));
}

static double forward_flops(const void *context)
{
    const net *n = context;
    const double tokens = n->tokens, width = n->width;
    double sum = width * n->classes;
    for (int l = 0; l < n->tensors; l++)
        sum += (n->dims[l] + 1.0) * n->dims[l + 1] * width;
    sum += n->layers * tokens * width * ((4 + 2 * WIDER) * width + 2 * tokens);
    return 2 * sum;
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    const pv_model_opts *opts = request->opts;
    if (opts->layers > MAX_LAYERS)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_LAYERS, opts->layers);
    if (request->layers > MAX_TENSORS)
        return pv_fail(PV_ERR_CONFIG, "an INR of more than %d layers", MAX_TENSORS);
    if (opts->hidden % opts->heads != 0)
        return pv_fail(PV_ERR_CONFIG, "model.heads: must divide model.hidden, %d, and %d does not",
                       opts->hidden, opts->heads);
    net *n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (net){.params = params,
               .kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
               .packed = {.params = params, .memory = params->memory},
               .dropout = {opts->dropout, params->kernels},
               .layers = opts->layers,
               .tensors = request->layers,
               .width = opts->hidden,
               .classes = request->classes};
    n->padded = pv_packed_pad(&n->packed, n->width);
    n->dims[0] = request->dims[0];
    for (int l = 0; l < n->tensors; l++) {
        n->dims[l + 1] = request->dims[l + 1];
        n->inputs += (n->dims[l] + 1) * n->dims[l + 1];
        n->tokens += n->dims[l + 1];
    }
    shape_attention(n, opts->heads);
    register_tensors(n, opts->heads);
    reserve(n, params->memory, request->max_batch);
    return pv_memory_status(params->memory);
}

const pv_model_kind pv_model_tokens = {
    .plugin = {.name = "tokens",
               .alias = "inr2vec",
               .help = "transformer over the units of the INR, each with its weights a token"},
    .make = make,
    .forward = forward,
    .backward = backward,
    .features = features,
    .forward_flops = forward_flops};
