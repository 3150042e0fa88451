/* Batch normalisation whose sums are taken over the whole batch, between two stages of a pass. */
#include "nn/core/pv_batch_norm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double EPS = 1e-5, MOMENTUM = 0.1;

void pv_batch_norm_open(pv_batch_norm *norm, pv_nn_params *params, int features)
{
    *norm = (pv_batch_norm){.params = params, .features = features};
}

static int add_vector(pv_batch_norm *norm, const char *prefix, const char *name, int rank, bool trained,
                      double value)
{
    char full[PV_NN_NAME + 32];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    return pv_nn_params_add(norm->params, full, rank, norm->features, 1, trained,
                            (pv_init){PV_INIT_CONSTANT, value});
}

void pv_batch_norm_add(pv_batch_norm *norm, const char *prefix, int64_t positions)
{
    const int slot = norm->slots++;
    norm->positions[slot] = positions;
    norm->weight[slot] = add_vector(norm, prefix, "weight", 1, true, 1);
    norm->bias[slot] = add_vector(norm, prefix, "bias", 1, true, 0);
    norm->mean[slot] = add_vector(norm, prefix, "running_mean", 1, false, 0);
    norm->var[slot] = add_vector(norm, prefix, "running_var", 1, false, 1);
    norm->tracked[slot] = add_vector(norm, prefix, "num_batches_tracked", 0, false, 0);
}

void pv_batch_norm_reserve(pv_batch_norm *norm, pv_memory *memory)
{
    const int64_t n = (int64_t)norm->slots * norm->features;
    norm->sums = pv_take(memory, 2 * n, sizeof *norm->sums);
    norm->inverse = pv_take(memory, n, sizeof *norm->inverse);
    pv_real **vectors[] = {&norm->centre,  &norm->scale,  &norm->shift,
                           &norm->from_dz, &norm->from_y, &norm->c};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = pv_take(memory, n, sizeof(pv_real));
}

void pv_batch_norm_clear(pv_batch_norm *norm)
{
    memset(norm->sums, 0, sizeof *norm->sums * 2 * (size_t)norm->slots * (size_t)norm->features);
}

double *pv_batch_norm_first(const pv_batch_norm *norm, int slot)
{
    return norm->sums + (int64_t)slot * norm->features;
}
double *pv_batch_norm_second(const pv_batch_norm *norm, int slot)
{
    return pv_batch_norm_first(norm, norm->slots + slot);
}

void pv_batch_norm_collect(pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y)
{
    norm->params->kernels->moments(rows, norm->features, y, pv_batch_norm_first(norm, slot),
                                   pv_batch_norm_second(norm, slot));
}

pv_batch_sums pv_batch_norm_sums(const pv_batch_norm *norm)
{
    return (pv_batch_sums){norm->sums, 2 * norm->slots * norm->features};
}

/* Statistics of feature k of a slot from the sums; what PyTorch keeps for evaluation follows them. */
static void take_statistics(pv_batch_norm *norm, int slot, int k, double n, double *mean, double *var)
{
    pv_real *running_mean = &pv_nn_values(norm->params, norm->mean[slot])[k];
    pv_real *running_var = &pv_nn_values(norm->params, norm->var[slot])[k];
    *mean = pv_batch_norm_first(norm, slot)[k] / n;
    *var = fmax(pv_batch_norm_second(norm, slot)[k] / n - *mean * *mean, 0);
    *running_mean = (pv_real)((1 - MOMENTUM) * (double)*running_mean + MOMENTUM * *mean);
    *running_var = (pv_real)((1 - MOMENTUM) * (double)*running_var + MOMENTUM * *var * n / fmax(n - 1, 1));
}

void pv_batch_norm_settle(pv_batch_norm *norm, const pv_pass *pass)
{
    for (int slot = 0; slot < norm->slots; slot++) {
        const double n = (double)pass->global_batch * (double)norm->positions[slot];
        const pv_real *weight = pv_nn_values(norm->params, norm->weight[slot]);
        const pv_real *bias = pv_nn_values(norm->params, norm->bias[slot]);
        for (int k = 0; k < norm->features; k++) {
            double mean = (double)pv_nn_values(norm->params, norm->mean[slot])[k];
            double var = (double)pv_nn_values(norm->params, norm->var[slot])[k];
            if (pass->training) take_statistics(norm, slot, k, n, &mean, &var);
            const int64_t at = (int64_t)slot * norm->features + k;
            norm->inverse[at] = 1 / sqrt(var + EPS);
            norm->centre[at] = (pv_real)mean;
            norm->scale[at] = (pv_real)((double)weight[k] * norm->inverse[at]);
            norm->shift[at] = (pv_real)((double)bias[k] - mean * (double)weight[k] * norm->inverse[at]);
        }
        if (pass->training) pv_nn_values(norm->params, norm->tracked[slot])[0] += 1;
    }
}

void pv_batch_norm_apply(const pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y, pv_real *x)
{
    const int64_t at = (int64_t)slot * norm->features;
    norm->params->kernels->affine_relu(rows, norm->features, y, norm->scale + at, norm->shift + at, x);
}

void pv_batch_norm_backward_collect(pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y,
                                    const pv_real *dz)
{
    norm->params->kernels->norm_backward_sums(
        rows, norm->features, y, norm->centre + (int64_t)slot * norm->features, dz,
        pv_batch_norm_first(norm, slot), pv_batch_norm_second(norm, slot));
}

pv_batch_sums pv_batch_norm_backward_sums(pv_batch_norm *norm)
{
    for (int slot = 0; slot < norm->slots; slot++)
        for (int k = 0; k < norm->features; k++) {
            const double inverse = norm->inverse[(int64_t)slot * norm->features + k];
            pv_nn_gradients(norm->params, norm->weight[slot])[k] +=
                (pv_real)(pv_batch_norm_second(norm, slot)[k] * inverse);
            pv_nn_gradients(norm->params, norm->bias[slot])[k] += (pv_real)pv_batch_norm_first(norm, slot)[k];
        }
    return pv_batch_norm_sums(norm);
}

/* With xh = (y - mean) inverse:  dy = weight inverse (dz - mean(dz) - xh mean(dz xh)). */
void pv_batch_norm_backward_settle(pv_batch_norm *norm, const pv_pass *pass)
{
    for (int slot = 0; slot < norm->slots; slot++) {
        const double n = (double)pass->global_batch * (double)norm->positions[slot];
        const pv_real *weight = pv_nn_values(norm->params, norm->weight[slot]);
        for (int k = 0; k < norm->features; k++) {
            const int64_t at = (int64_t)slot * norm->features + k;
            const double inverse = norm->inverse[at], a = (double)weight[k] * inverse;
            norm->from_dz[at] = (pv_real)a;
            norm->from_y[at] = (pv_real)(-a * inverse * inverse * pv_batch_norm_second(norm, slot)[k] / n);
            norm->c[at] = (pv_real)(-a * pv_batch_norm_first(norm, slot)[k] / n);
        }
    }
}

void pv_batch_norm_backward_apply(const pv_batch_norm *norm, int slot, int64_t rows, const pv_real *y,
                                  pv_real *dz)
{
    const int64_t at = (int64_t)slot * norm->features;
    norm->params->kernels->norm_backward(rows, norm->features, y, norm->centre + at, norm->from_dz + at,
                                         norm->from_y + at, norm->c + at, dz);
}
