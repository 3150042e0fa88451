/* Batch normalisation whose sums are taken over the whole batch, between two stages of a pass. */
#include "nn/core/pv_batch_norm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double EPS = 1e-5, MOMENTUM = 0.1;

/* The tensors of a slot, in the order of their ids. */
enum { WEIGHT, BIAS, MEAN, VAR, TRACKED, TENSORS };

void pv_batch_norm_add(pv_batch_norm *norm, const char *prefix, int64_t positions)
{
    static const char *const names[TENSORS] = {"weight", "bias", "running_mean", "running_var",
                                               "num_batches_tracked"};
    norm->positions[norm->slots] = positions;
    for (int i = 0; i < TENSORS; i++) {
        char name[PV_NN_NAME + 32];
        snprintf(name, sizeof name, "%s.%s", prefix, names[i]);
        const int id = pv_nn_params_add(norm->params, name, i != TRACKED, norm->features, 1, i <= BIAS,
                                        (pv_init){PV_INIT_CONSTANT, i == WEIGHT || i == VAR});
        if (i == WEIGHT) norm->tensors[norm->slots] = id;
    }
    norm->slots++;
}

static pv_real *values(const pv_batch_norm *norm, int slot, int tensor)
{
    return pv_nn_values(norm->params, norm->tensors[slot] + tensor);
}

void pv_batch_norm_reserve(pv_batch_norm *norm)
{
    pv_memory *memory = norm->params->memory;
    const int64_t n = (int64_t)norm->slots * norm->features;
    PV_TAKE(memory, 2 * n, &norm->sums);
    PV_TAKE(memory, n, &norm->inverse);
    PV_TAKE(memory, n, &norm->centre, &norm->scale, &norm->shift, &norm->from_dz, &norm->from_y, &norm->c);
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
    pv_real *running_mean = &values(norm, slot, MEAN)[k], *running_var = &values(norm, slot, VAR)[k];
    *mean = pv_batch_norm_first(norm, slot)[k] / n;
    *var = fmax(pv_batch_norm_second(norm, slot)[k] / n - *mean * *mean, 0);
    *running_mean = (pv_real)((1 - MOMENTUM) * (double)*running_mean + MOMENTUM * *mean);
    *running_var = (pv_real)((1 - MOMENTUM) * (double)*running_var + MOMENTUM * *var * n / fmax(n - 1, 1));
}

void pv_batch_norm_settle(pv_batch_norm *norm, const pv_pass *pass)
{
    for (int slot = 0; slot < norm->slots; slot++) {
        const double n = (double)pass->global_batch * (double)norm->positions[slot];
        for (int k = 0; k < norm->features; k++) {
            double mean = (double)values(norm, slot, MEAN)[k], var = (double)values(norm, slot, VAR)[k];
            if (pass->training) take_statistics(norm, slot, k, n, &mean, &var);
            const int64_t at = (int64_t)slot * norm->features + k;
            norm->inverse[at] = 1 / sqrt(var + EPS);
            const double weight = (double)values(norm, slot, WEIGHT)[k], inverse = norm->inverse[at];
            norm->centre[at] = (pv_real)mean;
            norm->scale[at] = (pv_real)(weight * inverse);
            norm->shift[at] = (pv_real)((double)values(norm, slot, BIAS)[k] - mean * weight * inverse);
        }
        if (pass->training) values(norm, slot, TRACKED)[0] += 1;
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
    for (int slot = 0; slot < norm->slots; slot++) {
        const double *first = pv_batch_norm_first(norm, slot), *second = pv_batch_norm_second(norm, slot);
        for (int k = 0; k < norm->features; k++) {
            const double inverse = norm->inverse[(int64_t)slot * norm->features + k];
            pv_nn_gradients(norm->params, norm->tensors[slot] + WEIGHT)[k] += (pv_real)(second[k] * inverse);
            pv_nn_gradients(norm->params, norm->tensors[slot] + BIAS)[k] += (pv_real)first[k];
        }
    }
    return pv_batch_norm_sums(norm);
}

/* With xh = (y - mean) inverse:  dy = weight inverse (dz - mean(dz) - xh mean(dz xh)). */
void pv_batch_norm_backward_settle(pv_batch_norm *norm, const pv_pass *pass)
{
    for (int slot = 0; slot < norm->slots; slot++) {
        const double n = (double)pass->global_batch * (double)norm->positions[slot];
        for (int k = 0; k < norm->features; k++) {
            const int64_t at = (int64_t)slot * norm->features + k;
            const double inverse = norm->inverse[at], a = (double)values(norm, slot, WEIGHT)[k] * inverse;
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
