#include "inr/pv_siren.h"

#include "base/pv_mem.h"
#include "inr/pv_siren_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_INPUTS = 3, MAX_OUTPUTS = 4 };

pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, pv_arch *arch)
{
    if (opts->hidden_count > PV_SIREN_MAX_LAYERS - 1)
        return pv_fail(PV_ERR_CONFIG, "inr.hidden: %u hidden layers, at most %d are allowed",
                       opts->hidden_count, PV_SIREN_MAX_LAYERS - 1);
    for (unsigned l = 0; l < opts->hidden_count; l++)
        if (opts->hidden[l] < 1 || opts->hidden[l] > PV_SIREN_MAX_WIDTH)
            return pv_fail(PV_ERR_CONFIG, "inr.hidden: the width %d is outside 1..%d", opts->hidden[l],
                           PV_SIREN_MAX_WIDTH);
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

void pv_siren_init(const pv_arch *arch, pv_siren_variant variant, pv_rng *rng, float *row)
{
    for (int l = 0; l < arch->layers; l++) {
        const int weights = arch->dims[l + 1] * arch->dims[l], biases = arch->dims[l + 1];
        const bool last = l == arch->layers - 1;
        const double fan_in = arch->dims[l];
        double bound = sqrt(6 / fan_in) / (double)arch->w0;
        if (last)
            bound = 1 / sqrt(fan_in);
        else if (l == 0 && variant == PV_SIREN_STANDARD)
            bound = 1 / fan_in;
        for (int i = 0; i < weights; i++)
            *row++ = (float)pv_rng_range(rng, -bound, bound);
        for (int i = 0; i < biases; i++)
            *row++ = last ? (float)pv_rng_range(rng, -bound, bound) : 0.0f;
    }
}

pv_status pv_siren_eval(const pv_arch *arch, const float *row, int n, const float *coords, float *values)
{
    pv_status st = PV_OK;
    const pv_siren_kernels *kernels = PV_ISA_CHOOSE(pv_siren_kernels);
    const int inputs = arch->dims[0], outputs = arch->dims[arch->layers];
    float *tile = NULL;
    pv_siren_net net = {0};
    PV_TRY(pv_siren_net_open(arch, n, &net));
    PV_ALLOC(tile, (int64_t)inputs * net.stride);
    for (int64_t i = 0; i < (int64_t)n * inputs; i++)
        net.reach = fmaxf(net.reach, fabsf(coords[i]));
    kernels->load(&net, row);
    for (int first = 0; first < n; first += net.tile) {
        const int count = n - first < net.tile ? n - first : net.tile;
        pv_siren_net_lay_out(&net, count, inputs, coords + (int64_t)first * inputs, tile);
        kernels->forward(&net, tile, count);
        for (int s = 0; s < count; s++)
            for (int c = 0; c < outputs; c++)
                values[(int64_t)(first + s) * outputs + c] = net.output[(int64_t)c * net.stride + s];
    }
done:
    pv_siren_net_close(&net);
    free(tile);
    return st;
}

double pv_psnr(double mse)
{
    return -10 * log10(mse);
}
