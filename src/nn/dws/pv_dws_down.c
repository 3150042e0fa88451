/* The down-sampling of wide inputs: attention over neurons, then a DeepSets layer. */
#include "pv_dws_down.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

pv_status pv_dws_down_new(pv_dws_down *down, const int *dims, int64_t entries, int outputs, int depth,
                          int max_batch, const char *prefix, pv_nn_params *params)
{
    char name[PV_NN_NAME];
    pv_memory *memory = params->memory;
    const int inputs = dims[0], units = dims[1];
    if (outputs >= inputs)
        return pv_fail(PV_ERR_CONFIG, "model.downsample: must be below the %d inputs of the INRs, not %d",
                       inputs, outputs);
    *down = (pv_dws_down){.params = params, .inputs = inputs, .units = units, .outputs = outputs};
    down->entries = entries;
    down->left = down->entries - (int64_t)units * (inputs - outputs);
    snprintf(name, sizeof name, "%sGamma", prefix);
    down->gamma = pv_stack_new(params, name, inputs, outputs, depth, true, PV_LINEAR_PYTORCH);
    snprintf(name, sizeof name, "%sLambda", prefix);
    down->lambda = pv_stack_new(params, name, inputs, outputs, depth, false, PV_LINEAR_PYTORCH);
    pv_stack_reserve(&down->gamma, memory, units);
    pv_stack_reserve(&down->lambda, memory, 1);
    snprintf(name, sizeof name, "%sattn.query", prefix);
    const int query = pv_nn_params_add(params, name, 1, inputs, 1, true, (pv_init){PV_INIT_CONSTANT, 1});
    down->query = (pv_linear){.in = inputs, .out = 1, .weight = query, .bias = -1};
    PV_TAKE(memory, (int64_t)max_batch * units, &down->shares);
    PV_TAKE(memory, (int64_t)max_batch * inputs, &down->mean);
    PV_TAKE(memory, max_batch * down->left, &down->rows, &down->drows);
    PV_TAKE(memory, outputs, &down->pooled);
    PV_TAKE(memory, inputs, &down->dmean);
    PV_TAKE(memory, units, &down->dshares);
    return PV_OK;
}

static void softmax(int n, pv_real *values)
{
    double largest = (double)values[0], sum = 0;
    for (int i = 1; i < n; i++)
        largest = fmax(largest, (double)values[i]);
    for (int i = 0; i < n; i++) {
        values[i] = (pv_real)exp((double)values[i] - largest);
        sum += (double)values[i];
    }
    for (int i = 0; i < n; i++)
        values[i] = (pv_real)((double)values[i] / sum);
}

/* What of a row belongs to other tensors. */
static size_t rest(const pv_dws_down *down)
{
    return sizeof(pv_real) * (size_t)(down->left - (int64_t)down->units * down->outputs);
}

static void sample_forward(pv_dws_down *down, int sample, const pv_real *row, pv_real *out)
{
    const int inputs = down->inputs, units = down->units, outputs = down->outputs;
    const pv_nn_params *params = down->params;
    pv_real *shares = down->shares + (int64_t)sample * units, *mean = down->mean + (int64_t)sample * inputs;
    pv_linear_forward(&down->query, params, units, 1, row, 0, shares);
    softmax(units, shares);
    pv_gemm(params->kernels, false, false, 1, inputs, units, 1, shares, row, 0, mean);
    pv_stack_forward(&down->gamma, params, units, 1, row, 0, out);
    pv_stack_forward(&down->lambda, params, 1, 1, mean, 0, down->pooled);
    params->kernels->add_row(units, outputs, -1, down->pooled, out);
    memcpy(out + (int64_t)units * outputs, row + (int64_t)units * inputs, rest(down));
}

const pv_real *pv_dws_down_forward(pv_dws_down *down, const pv_real *rows, int batch)
{
    down->given = rows;
    for (int s = 0; s < batch; s++)
        sample_forward(down, s, rows + s * down->entries, down->rows + s * down->left);
    return down->rows;
}

/* dshares, the gradient of the shares, becomes that of the softmax's arguments. */
static void softmax_backward(int n, const pv_real *shares, pv_real *dshares)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)shares[i] * (double)dshares[i];
    for (int i = 0; i < n; i++)
        dshares[i] = (pv_real)((double)shares[i] * ((double)dshares[i] - sum));
}

static void sample_backward(pv_dws_down *down, int sample, const pv_real *dout, pv_real *drow)
{
    const int inputs = down->inputs, units = down->units, outputs = down->outputs;
    const pv_nn_params *params = down->params;
    const pv_real *x = down->given + sample * down->entries, *shares = down->shares + (int64_t)sample * units;
    memset(down->pooled, 0, sizeof *down->pooled * (size_t)outputs);
    params->kernels->sum_rows(units, outputs, -1, dout, down->pooled);
    pv_stack_backward(&down->lambda, params, 1, 1, down->mean + (int64_t)sample * inputs, down->pooled, 0,
                      down->dmean);
    pv_gemm(params->kernels, false, true, units, 1, inputs, 1, x, down->dmean, 0, down->dshares);
    softmax_backward(units, shares, down->dshares);
    pv_stack_backward(&down->gamma, params, units, 1, x, dout, 0, drow);
    pv_linear_backward(&down->query, params, units, 1, x, down->dshares, 1, drow);
    if (!drow) return;
    pv_gemm(params->kernels, false, false, units, inputs, 1, 1, shares, down->dmean, 1, drow);
    memcpy(drow + (int64_t)units * inputs, dout + (int64_t)units * outputs, rest(down));
}

void pv_dws_down_backward(pv_dws_down *down, int batch, pv_real *drows)
{
    for (int s = 0; s < batch; s++)
        sample_backward(down, s, down->drows + s * down->left, drows ? drows + s * down->entries : NULL);
}

double pv_dws_down_flops(const pv_dws_down *down)
{
    return down->units * (pv_stack_row_flops(&down->gamma) + 4.0 * down->inputs) +
           pv_stack_row_flops(&down->lambda);
}
