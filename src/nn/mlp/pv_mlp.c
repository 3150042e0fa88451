#include "nn/core/pv_batch_norm.h"
#include "nn/core/pv_dropout.h"
#include "nn/core/pv_linear.h"
#include "nn/core/pv_model_kind.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HIDDEN = 64 }; /* hidden layers */

/* The baseline on flattened rows: (Linear, [BatchNorm1d], ReLU, [Dropout]) times `hidden_layers`, Linear. */
typedef struct net {
    pv_nn_params *params;
    pv_dropout dropout;
    bool normed;
    int hidden_layers, inputs, width, classes, batch; /* batch: of the last forward */
    pv_linear linear[MAX_HIDDEN + 1];
    pv_batch_norm norm[MAX_HIDDEN];
    pv_real *x[MAX_HIDDEN + 1]; /* x[0] the rows; x[i] behind hidden layer i - 1 */
    pv_real *y[MAX_HIDDEN];     /* behind the linear map, kept for batch norm; else the same as x */
    pv_real *dx, *dy;
} net;

static void forward(void *context, const pv_pass *pass, const pv_real *rows, int batch, pv_real *logits)
{
    net *n = context;
    n->batch = batch;
    memcpy(n->x[0], rows, sizeof *rows * (size_t)batch * (size_t)n->inputs);
    for (int i = 0; i < n->hidden_layers; i++) {
        pv_linear_forward(&n->linear[i], n->params, batch, 1, n->x[i], 0, n->y[i]);
        pv_linear_add_bias(&n->linear[i], n->params, batch, 1, n->y[i]);
        if (n->normed) {
            pv_batch_norm_clear(&n->norm[i]);
            if (pass->training) pv_batch_norm_collect(&n->norm[i], 0, batch, n->y[i]);
            pv_batch_norm_settle(&n->norm[i], pass);
            pv_batch_norm_apply(&n->norm[i], 0, batch, n->y[i], n->x[i + 1]);
        } else {
            n->params->kernels->relu((int64_t)batch * n->width, n->y[i], n->x[i + 1]);
        }
        for (int sample = 0; pass->training && n->dropout.rate > 0 && sample < batch; sample++)
            pv_dropout_apply(&n->dropout, pass, i, sample, n->width,
                             n->x[i + 1] + (int64_t)sample * n->width);
    }
    pv_linear_forward(&n->linear[n->hidden_layers], n->params, batch, 1, n->x[n->hidden_layers], 0, logits);
    pv_linear_add_bias(&n->linear[n->hidden_layers], n->params, batch, 1, logits);
}

static void backward(void *context, const pv_pass *pass, const pv_real *dlogits, pv_real *drows)
{
    net *n = context;
    const int batch = n->batch;
    const pv_real *dy = dlogits;
    for (int i = n->hidden_layers; i >= 0; i--) {
        pv_real *dx = i ? n->dx : drows;
        pv_linear_backward(&n->linear[i], n->params, batch, 1, n->x[i], dy, 0, dx);
        pv_linear_bias_backward(&n->linear[i], n->params, batch, 1, dy);
        pv_nn_ready(n->params, pass, n->linear[i].weight);
        if (i == 0) break;
        n->params->kernels->relu_backward((int64_t)batch * n->width, n->x[i],
                                          (pv_real)pv_dropout_scale(&n->dropout), dx);
        if (n->normed) {
            pv_batch_norm *norm = &n->norm[i - 1];
            pv_batch_norm_clear(norm);
            pv_batch_norm_backward_collect(norm, 0, batch, n->y[i - 1], dx);
            pv_batch_norm_backward_settle(norm, pass);
            pv_batch_norm_backward_apply(norm, 0, batch, n->y[i - 1], dx);
        }
        n->dx = n->dy;
        n->dy = dx;
        dy = dx;
    }
}

static const pv_real *features(const void *context, int *width)
{
    const net *n = context;
    *width = n->linear[n->hidden_layers].in;
    return n->x[n->hidden_layers];
}

static const pv_model_kind_ops mlp_ops = {.forward = forward, .backward = backward, .features = features};

/* Tensor names carry the index that each module has in a torch Sequential. */
static void register_layers(net *n)
{
    char name[PV_NN_NAME];
    int index = 0;
    for (int i = 0; i <= n->hidden_layers; i++) {
        snprintf(name, sizeof name, "seq.%d", index++);
        n->linear[i] = pv_linear_new(n->params, name, i ? n->width : n->inputs,
                                     i < n->hidden_layers ? n->width : n->classes, true, PV_LINEAR_PYTORCH);
        if (i == n->hidden_layers) break;
        pv_batch_norm_open(&n->norm[i], n->params, n->width);
        if (n->normed) {
            snprintf(name, sizeof name, "seq.%d", index++);
            pv_batch_norm_add(&n->norm[i], name, 1);
        }
        index += n->dropout.rate > 0 ? 2 : 1;
    }
}

static void reserve(net *n, pv_nn_memory *memory, int64_t max_batch)
{
    n->x[0] = pv_nn_take(memory, max_batch * n->inputs, sizeof(pv_real));
    for (int i = 0; i < n->hidden_layers; i++) {
        n->x[i + 1] = pv_nn_take(memory, max_batch * n->width, sizeof(pv_real));
        n->y[i] = n->normed ? pv_nn_take(memory, max_batch * n->width, sizeof(pv_real)) : n->x[i + 1];
        if (n->normed) pv_batch_norm_reserve(&n->norm[i], memory);
    }
    n->dx = pv_nn_take(memory, max_batch * n->width, sizeof(pv_real));
    n->dy = pv_nn_take(memory, max_batch * n->width, sizeof(pv_real));
}

pv_status pv_mlp_new(const pv_model_request *request, pv_model *model)
{
    const pv_model_opts *opts = request->opts;
    if (opts->layers > MAX_HIDDEN)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_HIDDEN, opts->layers);
    net *n = pv_nn_take(&model->memory, 1, sizeof *n);
    if (!n) return pv_nn_memory_status(&model->memory);
    *n = (net){.params = &model->params,
               .dropout = {opts->dropout, model->params.kernels},
               .normed = opts->batch_norm,
               .hidden_layers = opts->layers,
               .width = opts->hidden,
               .classes = request->classes};
    for (int i = 0; i < request->layers; i++)
        n->inputs += (request->dims[i] + 1) * request->dims[i + 1];
    register_layers(n);
    reserve(n, &model->memory, request->max_batch);
    for (int i = 0; i <= n->hidden_layers; i++)
        model->sample_flops += 3 * 2.0 * n->linear[i].in * n->linear[i].out;
    model->ops = &mlp_ops;
    model->net = n;
    return pv_nn_memory_status(&model->memory);
}
