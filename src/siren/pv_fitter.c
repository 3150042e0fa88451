#include "siren/pv_fitter.h"

#include "base/pv_mem.h"
#include "siren/pv_siren_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 8,   /* INRs run one after the other, each from its own cache lines; more slots gain nothing */
    PADDING = 16 /* parameters are worked on in whole vectors of any instruction set */
};

static const double beta1 = 0.9, beta2 = 0.999;

/* An INR in flight; the arrays are [padded] but for `values`. */
typedef struct slot {
    float *row, *m, *v;
    float *values; /* tiles of [d_M][stride] */
    double beta1_power, beta2_power;
} slot;

struct pv_fitter {
    pv_arch arch;
    const pv_siren_kernels *kernels;
    pv_siren_net net;
    int samples, params, padded;
    float *coords;   /* tiles of [d_0][stride] */
    float *gradient; /* [padded] */
    slot slots[SLOTS];
    float *memory; /* what the slots' arrays point into */
};

static int64_t values_size(const pv_fitter *fitter)
{
    return (int64_t)pv_siren_net_tiles(&fitter->net, fitter->samples) *
           fitter->arch.dims[fitter->arch.layers] * fitter->net.stride;
}

static pv_status open_slots(pv_fitter *fitter)
{
    pv_status st = PV_OK;
    const int64_t values = values_size(fitter), each = 3 * (int64_t)fitter->padded + values;
    PV_ALLOC(fitter->memory, SLOTS * each);
    for (int i = 0; i < SLOTS; i++) {
        slot *s = &fitter->slots[i];
        s->row = fitter->memory + i * each;
        s->m = s->row + fitter->padded;
        s->v = s->m + fitter->padded;
        s->values = s->v + fitter->padded;
        s->beta1_power = s->beta2_power = 1;
    }
done:
    return st;
}

pv_status pv_fitter_new(const pv_arch *arch, int n, const float *coords, pv_fitter **out)
{
    pv_status st = PV_OK;
    pv_fitter *fitter = NULL;
    *out = NULL;
    PV_ALLOC(fitter, 1);
    fitter->arch = *arch;
    fitter->kernels = PV_ISA_CHOOSE(pv_siren_kernels);
    fitter->samples = n;
    fitter->params = pv_arch_params(arch);
    fitter->padded = (fitter->params + PADDING - 1) / PADDING * PADDING;
    PV_TRY(pv_siren_net_open(arch, n, &fitter->net));
    for (int64_t i = 0; i < (int64_t)n * arch->dims[0]; i++)
        fitter->net.reach = fmaxf(fitter->net.reach, fabsf(coords[i]));
    PV_ALLOC(fitter->coords,
             (int64_t)pv_siren_net_tiles(&fitter->net, n) * arch->dims[0] * fitter->net.stride);
    pv_siren_net_lay_out(&fitter->net, n, arch->dims[0], coords, fitter->coords);
    PV_ALLOC(fitter->gradient, fitter->padded);
    PV_TRY(open_slots(fitter));
    *out = fitter;
    fitter = NULL;
done:
    pv_fitter_free(fitter);
    return st;
}

void pv_fitter_free(pv_fitter *fitter)
{
    if (!fitter) return;
    pv_siren_net_close(&fitter->net);
    free(fitter->coords);
    free(fitter->gradient);
    free(fitter->memory);
    free(fitter);
}

int pv_fitter_slots(const pv_fitter *fitter)
{
    (void)fitter;
    return SLOTS;
}

void pv_fitter_start(pv_fitter *fitter, int index, const float *row, const float *values)
{
    slot *s = &fitter->slots[index];
    const size_t bytes = (size_t)fitter->padded * sizeof *row;
    memset(s->row, 0, bytes);
    memset(s->m, 0, bytes);
    memset(s->v, 0, bytes);
    memcpy(s->row, row, (size_t)fitter->params * sizeof *row);
    pv_siren_net_lay_out(&fitter->net, fitter->samples, fitter->arch.dims[fitter->arch.layers], values,
                         s->values);
    s->beta1_power = s->beta2_power = 1;
}

/* Samples in tile t. */
static int tile_count(const pv_fitter *fitter, int t)
{
    const int left = fitter->samples - t * fitter->net.tile;
    return left < fitter->net.tile ? left : fitter->net.tile;
}

static void step(pv_fitter *fitter, slot *s, double lr)
{
    const pv_siren_kernels *kernels = fitter->kernels;
    const int64_t stride = fitter->net.stride;
    const int inputs = fitter->arch.dims[0], outputs = fitter->arch.dims[fitter->arch.layers];
    const float scale = (float)(2.0 / ((double)fitter->samples * outputs));
    kernels->load(&fitter->net, s->row);
    memset(fitter->gradient, 0, (size_t)fitter->padded * sizeof *fitter->gradient);
    for (int t = 0; t < pv_siren_net_tiles(&fitter->net, fitter->samples); t++)
        kernels->gradient(&fitter->net, fitter->coords + t * inputs * stride,
                          s->values + t * outputs * stride, tile_count(fitter, t), scale, fitter->gradient);
    s->beta1_power *= beta1;
    s->beta2_power *= beta2;
    const pv_siren_adam adam = {(float)(lr / (1 - s->beta1_power)), (float)(1 / sqrt(1 - s->beta2_power))};
    kernels->adam(fitter->padded, adam, fitter->gradient, s->m, s->v, s->row);
}

void pv_fitter_advance(pv_fitter *fitter, int used, int steps, double lr)
{
    for (int i = 0; i < used; i++)
        for (int k = 0; k < steps; k++)
            step(fitter, &fitter->slots[i], lr);
}

static double mean_squared_error(pv_fitter *fitter, const slot *s)
{
    const int64_t stride = fitter->net.stride;
    const int inputs = fitter->arch.dims[0], outputs = fitter->arch.dims[fitter->arch.layers];
    double sum = 0;
    fitter->kernels->load(&fitter->net, s->row);
    for (int t = 0; t < pv_siren_net_tiles(&fitter->net, fitter->samples); t++) {
        const int count = tile_count(fitter, t);
        fitter->kernels->forward(&fitter->net, fitter->coords + t * inputs * stride, count);
        for (int c = 0; c < outputs; c++)
            for (int i = 0; i < count; i++) {
                const double value = (double)s->values[(t * outputs + c) * stride + i];
                const double error = (double)fitter->net.output[c * stride + i] - value;
                sum += error * error;
            }
    }
    return sum / ((double)fitter->samples * outputs);
}

pv_status pv_fitter_finish(pv_fitter *fitter, int index, float *row, double *mse)
{
    const slot *s = &fitter->slots[index];
    memcpy(row, s->row, (size_t)fitter->params * sizeof *row);
    *mse = mean_squared_error(fitter, s);
    if (!isfinite(*mse)) return pv_fail(PV_ERR_NUMERIC, "the mean squared error of a fit is not finite");
    for (int i = 0; i < fitter->params; i++)
        if (!isfinite(row[i])) return pv_fail(PV_ERR_NUMERIC, "weight %d of a fit is not finite", i);
    return PV_OK;
}

double pv_fitter_step_flops(const pv_fitter *fitter)
{
    const int *d = fitter->arch.dims;
    double multiply_adds = 0;
    for (int l = 0; l < fitter->arch.layers; l++) /* outputs, weight gradients, and the way back but to x */
        multiply_adds += (double)d[l] * d[l + 1] * (l == 0 ? 2 : 3);
    return 2 * multiply_adds * fitter->samples;
}

double pv_fitter_step_sincos(const pv_fitter *fitter)
{
    double units = 0;
    for (int l = 1; l < fitter->arch.layers; l++)
        units += fitter->arch.dims[l];
    return units * fitter->samples;
}
