/* The baseline that knows no symmetry: a perceptron on flattened rows. */
#include "nn/core/pv_perceptron.h"

static pv_batch_sums forward(void *net, const pv_pass *pass, int stage, const pv_real *rows, int batch,
                             pv_real *logits)
{
    return pv_perceptron_forward(net, pass, stage, rows, batch, logits);
}

static pv_batch_sums backward(void *net, const pv_pass *pass, int stage, const pv_real *dlogits,
                              pv_real *drows)
{
    return pv_perceptron_backward(net, pass, stage, dlogits, drows);
}

static const pv_real *features(const void *net, int *width)
{
    return pv_perceptron_features(net, width);
}

static double forward_flops(const void *net)
{
    return pv_perceptron_flops(net);
}

static pv_status make(const pv_model_request *request, pv_nn_params *params, void **out)
{
    pv_perceptron *net = NULL;
    const int inputs = pv_reading_count(request->arch, request->opts->features);
    const pv_status st = pv_perceptron_new(request, inputs, params, &net);
    *out = net;
    return st;
}

const pv_model_kind pv_model_mlp = {.plugin = {.name = "mlp", .help = "perceptron on the flattened weights"},
                                    .make = make,
                                    .forward = forward,
                                    .backward = backward,
                                    .features = features,
                                    .forward_flops = forward_flops};
