/* Perceptrons, stage by stage. */
#include "nn/core/pv_perceptron.h"
#include "nn/core/pv_batch_norm.h"
#include "nn/core/pv_dropout.h"
#include "nn/core/pv_linear.h"

#include <stdio.h>

enum { MAX_HIDDEN = 64 }; /* hidden layers */

struct pv_perceptron {
    pv_nn_params *params;
    pv_dropout dropout;
    bool normed;
    int hidden_layers, inputs, width, classes, batch; /* batch: of the last forward */
    pv_linear linear[MAX_HIDDEN + 1];
    pv_batch_norm norm[MAX_HIDDEN];
    const pv_real *x_given; /* of the last forward, borrowed */
    pv_real *x[MAX_HIDDEN]; /* behind hidden layer i */
    pv_real *y[MAX_HIDDEN]; /* behind its linear map, kept for batch norm; else the same as x */
    pv_real *dx, *dy;
};

/* What linear map i is given. */
static const pv_real *input_of(const pv_perceptron *n, int i)
{
    return i ? n->x[i - 1] : n->x_given;
}

/* From behind linear map i to x[i]. */
static void activate(pv_perceptron *n, const pv_pass *pass, int i)
{
    if (n->normed) {
        pv_batch_norm_settle(&n->norm[i], pass);
        pv_batch_norm_apply(&n->norm[i], 0, n->batch, n->y[i], n->x[i]);
    } else {
        n->params->kernels->relu((int64_t)n->batch * n->width, n->y[i], n->x[i]);
    }
    for (int sample = 0; sample < n->batch; sample++)
        pv_dropout_apply(&n->dropout, pass, i, sample, n->width, n->x[i] + (int64_t)sample * n->width);
}

/* Stage i ends behind linear map i. */
pv_batch_sums pv_perceptron_forward(pv_perceptron *n, const pv_pass *pass, int i, const pv_real *x, int batch,
                                    pv_real *logits)
{
    n->x_given = x;
    n->batch = batch;
    if (i) activate(n, pass, i - 1);
    pv_real *const y = i < n->hidden_layers ? n->y[i] : logits;
    pv_linear_forward(&n->linear[i], n->params, batch, 1, input_of(n, i), 0, y);
    if (i == n->hidden_layers || !n->normed || !pass->training) return (pv_batch_sums){0};
    pv_batch_norm_clear(&n->norm[i]);
    pv_batch_norm_collect(&n->norm[i], 0, batch, y);
    return pv_batch_norm_sums(&n->norm[i]);
}

/* Stage i begins behind linear map i, where n->dx holds the gradient, or in front of batch norm. */
pv_batch_sums pv_perceptron_backward(pv_perceptron *n, const pv_pass *pass, int i, const pv_real *dlogits,
                                     pv_real *dx)
{
    const pv_real *dy = dlogits;
    if (i < n->hidden_layers) {
        pv_real *const given = n->dx;
        if (n->normed) {
            pv_batch_norm_backward_settle(&n->norm[i], pass);
            pv_batch_norm_backward_apply(&n->norm[i], 0, n->batch, n->y[i], given);
        }
        n->dx = n->dy;
        n->dy = given;
        dy = given;
    }
    pv_real *const out = i ? n->dx : dx;
    pv_linear_backward(&n->linear[i], n->params, n->batch, 1, input_of(n, i), dy, 0, out);
    if (i == 0) return (pv_batch_sums){0};
    n->params->kernels->relu_backward((int64_t)n->batch * n->width, input_of(n, i),
                                      (pv_real)pv_dropout_scale(&n->dropout), out);
    if (!n->normed) return (pv_batch_sums){0};
    pv_batch_norm_clear(&n->norm[i - 1]);
    pv_batch_norm_backward_collect(&n->norm[i - 1], 0, n->batch, n->y[i - 1], out);
    return pv_batch_norm_backward_sums(&n->norm[i - 1]);
}

const pv_real *pv_perceptron_features(const pv_perceptron *n, int *width)
{
    *width = n->linear[n->hidden_layers].in;
    return input_of(n, n->hidden_layers);
}

double pv_perceptron_flops(const pv_perceptron *n)
{
    double flops = 0;
    for (int i = 0; i <= n->hidden_layers; i++)
        flops += 2.0 * n->linear[i].in * n->linear[i].out;
    return flops;
}

/* Tensor names carry the index that each module has in a torch Sequential. */
static void register_layers(pv_perceptron *n)
{
    char name[PV_NN_NAME];
    int index = 0;
    for (int i = 0; i <= n->hidden_layers; i++) {
        if (i) pv_nn_params_next_stage(n->params);
        snprintf(name, sizeof name, "seq.%d", index++);
        n->linear[i] = pv_linear_new(n->params, name, i ? n->width : n->inputs,
                                     i < n->hidden_layers ? n->width : n->classes, true, PV_LINEAR_PYTORCH);
        if (i == n->hidden_layers) break;
        n->norm[i] = (pv_batch_norm){.params = n->params, .features = n->width};
        if (n->normed) {
            snprintf(name, sizeof name, "seq.%d", index++);
            pv_batch_norm_add(&n->norm[i], name, 1);
        }
        index += n->dropout.rate > 0 ? 2 : 1;
    }
}

static void reserve(pv_perceptron *n, pv_memory *memory, int64_t max_batch)
{
    for (int i = 0; i < n->hidden_layers; i++) {
        PV_TAKE(memory, max_batch * n->width, &n->x[i]);
        n->y[i] = n->normed ? pv_take(memory, max_batch * n->width, sizeof(pv_real)) : n->x[i];
        if (n->normed) pv_batch_norm_reserve(&n->norm[i]);
    }
    PV_TAKE(memory, max_batch * n->width, &n->dx, &n->dy);
}

pv_status pv_perceptron_new(const pv_model_request *request, int inputs, pv_nn_params *params,
                            pv_perceptron **out)
{
    const pv_model_opts *opts = request->opts;
    if (opts->layers > MAX_HIDDEN)
        return pv_fail(PV_ERR_CONFIG, "model.layers: at most %d, not %d", MAX_HIDDEN, opts->layers);
    pv_perceptron *n = pv_take(params->memory, 1, sizeof *n);
    if (!n) return pv_memory_status(params->memory);
    *out = n;
    *n = (pv_perceptron){.params = params,
                         .dropout = {opts->dropout, params->kernels},
                         .normed = opts->batch_norm,
                         .hidden_layers = opts->layers,
                         .inputs = inputs,
                         .width = opts->hidden,
                         .classes = request->classes};
    register_layers(n);
    reserve(n, params->memory, request->max_batch);
    return PV_OK;
}
