/* Initialisation and evaluation of an INR. */
#include "inr/pv_inr.h"

#include "base/pv_mem.h"
#include "pv_inr_kernels.h"

#include <math.h>
#include <stdlib.h>

/* 0.08 is about sqrt(6) / w0 of the usual w0, 30: the range that Sitzmann et al. give the last layer. */
static double last_bound(double fan_in, pv_inr_variant variant)
{
    return (variant == PV_INR_FLAT ? 0.08 : 1) / sqrt(fan_in);
}

void pv_inr_init(const pv_arch *arch, pv_inr_variant variant, pv_rng *rng, float *row)
{
    const pv_activation *const activation = pv_arch_activation(arch);
    for (int l = 0; l < arch->layers; l++) {
        const int weights = arch->dims[l + 1] * arch->dims[l], biases = arch->dims[l + 1];
        const bool last = l == arch->layers - 1;
        const bool draws_biases = last || activation->draws_biases;
        const double fan_in = arch->dims[l];
        const double bound =
            last ? last_bound(fan_in, variant) : activation->bound(l, fan_in, (double)arch->w0, variant);
        for (int i = 0; i < weights; i++)
            *row++ = (float)pv_rng_range(rng, -bound, bound);
        for (int i = 0; i < biases; i++)
            *row++ = draws_biases ? (float)pv_rng_range(rng, -bound, bound) : 0.0f;
    }
}

pv_status pv_inr_eval(const pv_arch *arch, const float *row, int n, const float *coords, float *values)
{
    pv_status st = PV_OK;
    const pv_inr_kernels *kernels = PV_ISA_CHOOSE(pv_inr_kernels);
    const int inputs = pv_arch_inputs(arch), outputs = arch->dims[arch->layers], width = arch->dims[0];
    float *tile = NULL, *features = NULL;
    pv_inr_net net = {0};
    PV_TRY(pv_inr_net_open(arch, n, 0, &net));
    PV_ALLOC(tile, (int64_t)width * net.stride);
    PV_ALLOC(features, (int64_t)width * net.tile);
    net.reach = arch->fourier.count > 0 ? 1 : pv_inr_net_reach((int64_t)n * inputs, coords);
    kernels->load(&net, row);
    for (int first = 0; first < n; first += net.tile) {
        const int count = n - first < net.tile ? n - first : net.tile;
        pv_arch_encode(arch, count, coords + (int64_t)first * inputs, features);
        pv_inr_net_lay_out(&net, count, width, features, tile);
        kernels->forward(&net, tile, count);
        for (int s = 0; s < count; s++)
            for (int c = 0; c < outputs; c++)
                values[(int64_t)(first + s) * outputs + c] = net.output[(int64_t)c * net.stride + s];
    }
done:
    pv_inr_net_close(&net);
    PV_FREE(tile, features);
    return st;
}

double pv_psnr(double mse)
{
    return -10 * log10(mse);
}

pv_inr_activate *pv_inr_activation_loop(const pv_activation *activation)
{
    if (activation->loop == PV_LOOP_OWN) return activation->apply;
    return PV_ISA_CHOOSE(pv_inr_kernels)->activate[activation->loop];
}
