/* Architectures: limits, comparison, layout of a row. */
#include "inr/pv_arch.h"

#include <math.h>
#include <stdio.h>

enum { MAX_INPUTS = 3, MAX_OUTPUTS = 4 };

pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, pv_arch *arch)
{
    if (opts->hidden_count > PV_INR_MAX_LAYERS - 1)
        return pv_fail(PV_ERR_CONFIG, "inr.hidden: %u hidden layers, at most %d are allowed",
                       opts->hidden_count, PV_INR_MAX_LAYERS - 1);
    for (unsigned l = 0; l < opts->hidden_count; l++)
        if (opts->hidden[l] < 1 || opts->hidden[l] > PV_INR_MAX_WIDTH)
            return pv_fail(PV_ERR_CONFIG, "inr.hidden: the width %d is outside 1..%d", opts->hidden[l],
                           PV_INR_MAX_WIDTH);
    if (!((float)opts->w0 > 0) || !isfinite((float)opts->w0))
        return pv_fail(PV_ERR_CONFIG, "inr.w0: %g is not a positive number", opts->w0);
    if (!isfinite((float)opts->offset))
        return pv_fail(PV_ERR_CONFIG, "inr.offset: %g is not finite", opts->offset);
    if (inputs < 1 || inputs > MAX_INPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d coordinates, an INR takes 1..%d", inputs,
                       MAX_INPUTS);
    if (outputs < 1 || outputs > MAX_OUTPUTS)
        return pv_fail(PV_ERR_CONFIG, "the signal has %d channels, an INR gives 1..%d", outputs, MAX_OUTPUTS);
    *arch = (pv_arch){
        .layers = (int)opts->hidden_count + 1, .w0 = (float)opts->w0, .offset = (float)opts->offset};
    arch->dims[0] = inputs;
    for (unsigned l = 0; l < opts->hidden_count; l++)
        arch->dims[l + 1] = opts->hidden[l];
    arch->dims[arch->layers] = outputs;
    return PV_OK;
}

bool pv_arch_equal(const pv_arch *a, const pv_arch *b)
{
    if (a->layers != b->layers || a->w0 != b->w0 || a->offset != b->offset) return false;
    for (int i = 0; i <= a->layers; i++)
        if (a->dims[i] != b->dims[i]) return false;
    return true;
}

int pv_arch_params(const pv_arch *arch)
{
    int params = 0;
    for (int l = 0; l < arch->layers; l++)
        params += arch->dims[l + 1] * (arch->dims[l] + 1);
    return params;
}

int pv_arch_layout(const pv_arch *arch, pv_arch_tensor *tensors)
{
    int offset = 0;
    for (int l = 0; l < arch->layers; l++) {
        const int rows = arch->dims[l + 1], cols = arch->dims[l];
        pv_arch_tensor *weight = &tensors[2 * l], *bias = &tensors[2 * l + 1];
        *weight = (pv_arch_tensor){.offset = offset, .rows = rows, .cols = cols};
        *bias = (pv_arch_tensor){.offset = offset + rows * cols, .rows = rows, .cols = 1};
        snprintf(weight->name, sizeof weight->name, "seq.%d.weight", l);
        snprintf(bias->name, sizeof bias->name, "seq.%d.bias", l);
        offset += rows * cols + rows;
    }
    return 2 * arch->layers;
}
