/* Augmentations that disturb the function a little. */
#include "augment/pv_augmentation.h"
#include "pv_augment_maps.h"

#include <math.h>
#include <stdlib.h>

/* What the reference adds to a standard deviation; a tensor of one entry has no other. */
#define LEAST_DEVIATION 1e-8

static double deviation_of(const float *values, int count)
{
    double sum = 0, squares = 0;
    if (count < 2) return 0;
    for (int i = 0; i < count; i++)
        sum += (double)values[i];
    for (int i = 0; i < count; i++)
        squares += ((double)values[i] - sum / count) * ((double)values[i] - sum / count);
    return sqrt(squares / (count - 1));
}

void pv_augment_noise_by(const pv_arch *arch, double amount, const float *normal, float *row)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int count = pv_arch_layout(arch, tensors);
    for (int t = 0; t < count; t++) {
        float *const values = row + tensors[t].offset;
        const int entries = tensors[t].rows * tensors[t].cols;
        const double scale = amount * (deviation_of(values, entries) + LEAST_DEVIATION);
        for (int i = 0; i < entries; i++)
            values[i] += (float)(scale * (double)normal[tensors[t].offset + i]);
    }
}

void pv_augment_dropout_by(int params, double rate, const float *keep, float *row)
{
    const float factor = (float)(1 / (1 - rate));
    for (int i = 0; i < params; i++)
        row[i] *= keep[i] * factor;
}

static int by_size(const void *left, const void *right)
{
    const float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

void pv_augment_quantile_by(int params, double level, float *scratch, float *row)
{
    for (int i = 0; i < params; i++)
        scratch[i] = fabsf(row[i]);
    qsort(scratch, (size_t)params, sizeof *scratch, by_size);
    const double place = level * (params - 1);
    const int below = (int)place, above = below + 1 < params ? below + 1 : below;
    const double quantile =
        (double)scratch[below] + (place - below) * ((double)scratch[above] - (double)scratch[below]);
    for (int i = 0; i < params; i++)
        if ((double)fabsf(row[i]) < quantile) row[i] = 0;
}

static void noise(pv_augment_item *item, pv_augment_subject *it)
{
    for (int i = 0; i < item->params; i++)
        item->scratch[i] = (float)pv_rng_normal(it->rng);
    pv_augment_noise_by(item->arch, pv_augment_amount(item), item->scratch, it->row);
}

const pv_augmentation pv_augmentation_noise = {
    PV_AMOUNT_PLUGIN("noise", "adds Gaussian noise to every tensor", "0.32",
                     "standard deviations of the tensor", PV_BETWEEN(0, 1000)),
    .apply = noise};

static void dropout(pv_augment_item *item, pv_augment_subject *it)
{
    for (int i = 0; i < item->params; i++)
        item->scratch[i] = pv_rng_uniform(it->rng) >= pv_augment_amount(item) ? 1.0F : 0.0F;
    pv_augment_dropout_by(item->params, pv_augment_amount(item), item->scratch, it->row);
}

const pv_augmentation pv_augmentation_dropout = {
    PV_AMOUNT_PLUGIN("dropout", "sets weights to 0; the others are divided by 1 - rate", "0.1", "rate",
                     PV_BETWEEN(0, 0.99)),
    .apply = dropout};

static void quantile_dropout(pv_augment_item *item, pv_augment_subject *it)
{
    pv_augment_quantile_by(item->params, pv_rng_range(it->rng, 0, pv_augment_amount(item)), item->scratch,
                           it->row);
}

const pv_augmentation pv_augmentation_quantile_dropout = {
    PV_AMOUNT_PLUGIN("quantile_dropout", "sets the smallest weights to 0", "0.1", "largest share of weights",
                     PV_BETWEEN(0, 1)),
    .apply = quantile_dropout};
