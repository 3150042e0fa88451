/* The fit engine: slots, samples in tiles or drawn for a mini-batch, steps. */
#include "inr/pv_fitter.h"

#include "base/pv_mem.h"
#include "pv_inr_kernels.h"

#include <math.h>
#include <string.h>

enum { PADDING = 16 }; /* parameters are worked on in whole vectors of any instruction set */

static const double beta1 = 0.9, beta2 = 0.999;

/* An INR in flight; the arrays of floats are [padded] but for `values` and `coords`. */
typedef struct slot {
    float *row, *m, *v;
    float *values; /* tiles of [d_M][stride]; with mini-batches [n][d_M] */
    float *coords; /* tiles of [d_0][stride]; with mini-batches [n][d_0]; NULL where INRs share theirs */
    float reach;   /* the largest |coordinate| */
    double beta1_power, beta2_power;
    int64_t steps;
    pv_fit_end end;
    pv_fit_watch watch;
    pv_rng rng;
    int32_t *order; /* with mini-batches: all samples, of which `drawn` are behind in this pass */
    int drawn;
} slot;

/* The samples that a kernel works on together. */
typedef struct tile {
    const float *coords, *values;
    int count;
} tile;

struct pv_fitter {
    pv_arch arch;
    pv_fit_opts opts;
    const pv_inr_kernels *kernels;
    pv_inr_net net;
    int samples, params, padded;
    int batch;       /* samples a step */
    int64_t pass;    /* steps over which losses are judged together */
    float *coords;   /* as those of a slot: what all INRs share, NULL if each has its own */
    float reach;     /* of them */
    float *gradient; /* [padded] */
    slot slots[PV_FITTER_SLOTS];
    float *memory;      /* what the slots' floats point into */
    int32_t *orders;    /* and their orders; NULL without mini-batches */
    float *tile_coords; /* [d_0][stride], one tile of a mini-batch; NULL without */
    float *tile_values; /* [d_M][stride] likewise */
};

static int64_t round_up(int64_t n)
{
    return (n + PADDING - 1) / PADDING * PADDING;
}

static int inputs_of(const pv_fitter *fitter)
{
    return fitter->arch.dims[0];
}

static int outputs_of(const pv_fitter *fitter)
{
    return fitter->arch.dims[fitter->arch.layers];
}

static bool has_batches(const pv_fitter *fitter)
{
    return fitter->batch < fitter->samples;
}

/* The floats of all samples, `channels` each, in the form the steps read them in. */
static int64_t samples_size(const pv_fitter *fitter, int channels)
{
    if (has_batches(fitter)) return (int64_t)fitter->samples * channels;
    return (int64_t)pv_inr_net_tiles(&fitter->net, fitter->samples) * channels * fitter->net.stride;
}

static void keep_samples(const pv_fitter *fitter, int channels, const float *samples, float *kept)
{
    if (has_batches(fitter))
        memcpy(kept, samples, (size_t)samples_size(fitter, channels) * sizeof *kept);
    else
        pv_inr_net_lay_out(&fitter->net, fitter->samples, channels, samples, kept);
}

static pv_status open_slots(pv_fitter *fitter)
{
    pv_status st = PV_OK;
    const int64_t values = round_up(samples_size(fitter, outputs_of(fitter)));
    const int64_t coords = fitter->coords ? 0 : round_up(samples_size(fitter, inputs_of(fitter)));
    const int64_t each = 3 * (int64_t)fitter->padded + values + coords;
    PV_ALLOC(fitter->memory, PV_FITTER_SLOTS * each);
    if (has_batches(fitter)) {
        PV_ALLOC(fitter->orders, PV_FITTER_SLOTS * (int64_t)fitter->samples);
        PV_ALLOC(fitter->tile_coords, (int64_t)inputs_of(fitter) * fitter->net.stride);
        PV_ALLOC(fitter->tile_values, (int64_t)outputs_of(fitter) * fitter->net.stride);
    }
    for (int i = 0; i < PV_FITTER_SLOTS; i++) {
        slot *s = &fitter->slots[i];
        s->row = fitter->memory + i * each;
        s->m = s->row + fitter->padded;
        s->v = s->m + fitter->padded;
        s->values = s->v + fitter->padded;
        s->coords = fitter->coords ? NULL : s->values + values;
        s->order = has_batches(fitter) ? fitter->orders + (int64_t)i * fitter->samples : NULL;
        s->end = PV_FIT_STEPS;
    }
done:
    return st;
}

pv_status pv_fitter_new(const pv_arch *arch, int n, const float *coords, const pv_fit_opts *opts,
                        pv_fitter **out)
{
    pv_status st = PV_OK;
    pv_fitter *fitter = NULL;
    *out = NULL;
    PV_ALLOC(fitter, 1);
    fitter->arch = *arch;
    fitter->opts = *opts;
    fitter->kernels = PV_ISA_CHOOSE(pv_inr_kernels);
    fitter->samples = n;
    fitter->batch = opts->batch > 0 && opts->batch < n ? (int)opts->batch : n;
    fitter->pass = has_batches(fitter) ? (n + fitter->batch - 1) / fitter->batch : 1;
    fitter->params = pv_arch_params(arch);
    fitter->padded = (int)round_up(fitter->params);
    PV_TRY(pv_inr_net_open(arch, fitter->batch, &fitter->net));
    if (coords) {
        fitter->reach = pv_inr_net_reach((int64_t)n * arch->dims[0], coords);
        PV_ALLOC(fitter->coords, samples_size(fitter, arch->dims[0]));
        keep_samples(fitter, arch->dims[0], coords, fitter->coords);
    }
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
    pv_inr_net_close(&fitter->net);
    PV_FREE(fitter->coords, fitter->gradient, fitter->memory, fitter->orders, fitter->tile_coords,
            fitter->tile_values, fitter);
}

void pv_fitter_start(pv_fitter *fitter, int index, const float *row, const float *coords, const float *values,
                     pv_fit_key key)
{
    slot *s = &fitter->slots[index];
    const size_t bytes = (size_t)fitter->padded * sizeof *row;
    memset(s->row, 0, bytes);
    memset(s->m, 0, bytes);
    memset(s->v, 0, bytes);
    memcpy(s->row, row, (size_t)fitter->params * sizeof *row);
    keep_samples(fitter, outputs_of(fitter), values, s->values);
    s->reach = fitter->reach;
    if (s->coords) {
        s->reach = pv_inr_net_reach((int64_t)fitter->samples * inputs_of(fitter), coords);
        keep_samples(fitter, inputs_of(fitter), coords, s->coords);
    }
    s->beta1_power = s->beta2_power = 1;
    s->steps = 0;
    s->end = fitter->opts.steps > 0 ? PV_FIT_RUNNING : PV_FIT_STEPS;
    pv_fit_watch_start(&s->watch, &fitter->opts);
    s->rng = pv_fit_stream(&fitter->opts, PV_RNG_MINIBATCH, key);
    s->drawn = 0;
    for (int i = 0; s->order && i < fitter->samples; i++)
        s->order[i] = i;
}

static const float *coords_of(const pv_fitter *fitter, const slot *s)
{
    return s->coords ? s->coords : fitter->coords;
}

static void load(pv_fitter *fitter, const slot *s)
{
    fitter->net.reach = s->reach;
    fitter->kernels->load(&fitter->net, s->row);
}

/* Tile t of all samples, in their order. */
static tile samples_in_order(pv_fitter *fitter, const slot *s, int t)
{
    const int64_t stride = fitter->net.stride, first = (int64_t)t * fitter->net.tile;
    const int inputs = inputs_of(fitter), outputs = outputs_of(fitter);
    const int left = fitter->samples - (int)first;
    const float *coords = coords_of(fitter, s);
    const int count = left < fitter->net.tile ? left : fitter->net.tile;
    if (!has_batches(fitter))
        return (tile){coords + t * inputs * stride, s->values + t * outputs * stride, count};
    pv_inr_net_lay_out(&fitter->net, count, inputs, coords + first * inputs, fitter->tile_coords);
    pv_inr_net_lay_out(&fitter->net, count, outputs, s->values + first * outputs, fitter->tile_values);
    return (tile){fitter->tile_coords, fitter->tile_values, count};
}

/* The next sample of the slot's endless order: a Fisher-Yates shuffle that starts again, from where it has
 * brought the samples to, whenever all are drawn. */
static int draw(slot *s, int n)
{
    if (s->drawn == n) s->drawn = 0;
    const int place = s->drawn + (int)(pv_rng_uniform(&s->rng) * (n - s->drawn));
    const int sample = s->order[place];
    s->order[place] = s->order[s->drawn];
    s->order[s->drawn++] = sample;
    return sample;
}

/* Tile t of the step's mini-batch.  Beyond `count` stay samples of earlier tiles, which the kernels ignore.
 */
static tile samples_drawn(pv_fitter *fitter, slot *s, int t)
{
    const int64_t stride = fitter->net.stride;
    const int inputs = inputs_of(fitter), outputs = outputs_of(fitter);
    const int left = fitter->batch - t * fitter->net.tile;
    const float *coords = coords_of(fitter, s);
    const int count = left < fitter->net.tile ? left : fitter->net.tile;
    for (int i = 0; i < count; i++) {
        const int64_t sample = draw(s, fitter->samples);
        for (int c = 0; c < inputs; c++)
            fitter->tile_coords[c * stride + i] = coords[sample * inputs + c];
        for (int c = 0; c < outputs; c++)
            fitter->tile_values[c * stride + i] = s->values[sample * outputs + c];
    }
    return (tile){fitter->tile_coords, fitter->tile_values, count};
}

static void step(pv_fitter *fitter, slot *s)
{
    const pv_inr_kernels *kernels = fitter->kernels;
    const double count = (double)fitter->batch * outputs_of(fitter);
    double sum = 0;
    load(fitter, s);
    memset(fitter->gradient, 0, (size_t)fitter->padded * sizeof *fitter->gradient);
    for (int t = 0; t < pv_inr_net_tiles(&fitter->net, fitter->batch); t++) {
        const tile in = has_batches(fitter) ? samples_drawn(fitter, s, t) : samples_in_order(fitter, s, t);
        sum += kernels->gradient(&fitter->net, in.coords, in.values, in.count, (float)(2 / count),
                                 fitter->gradient);
    }
    s->end = pv_fit_judge(&s->watch, &fitter->opts, s->steps, fitter->pass, sum / count);
    if (s->end != PV_FIT_RUNNING) return;
    s->beta1_power *= beta1;
    s->beta2_power *= beta2;
    const double lr = pv_fit_rate(&fitter->opts, s->steps);
    const pv_inr_adam adam = {(float)(lr / (1 - s->beta1_power)), (float)(1 / sqrt(1 - s->beta2_power))};
    kernels->adam(fitter->padded, adam, fitter->gradient, s->m, s->v, s->row);
    if (++s->steps == fitter->opts.steps) s->end = PV_FIT_STEPS;
}

void pv_fitter_advance(pv_fitter *fitter, int used, int64_t max_steps)
{
    for (int i = 0; i < used; i++)
        for (int64_t k = 0; k < max_steps && fitter->slots[i].end == PV_FIT_RUNNING; k++)
            step(fitter, &fitter->slots[i]);
}

bool pv_fitter_done(const pv_fitter *fitter, int index)
{
    return fitter->slots[index].end != PV_FIT_RUNNING;
}

static double mean_squared_error(pv_fitter *fitter, const slot *s)
{
    const int64_t stride = fitter->net.stride;
    const int outputs = outputs_of(fitter);
    double sum = 0;
    load(fitter, s);
    for (int t = 0; t < pv_inr_net_tiles(&fitter->net, fitter->samples); t++) {
        const tile in = samples_in_order(fitter, s, t);
        fitter->kernels->forward(&fitter->net, in.coords, in.count);
        for (int c = 0; c < outputs; c++)
            for (int i = 0; i < in.count; i++) {
                const double value = (double)in.values[c * stride + i];
                const double error = (double)fitter->net.output[c * stride + i] - value;
                sum += error * error;
            }
    }
    return sum / ((double)fitter->samples * outputs);
}

pv_status pv_fitter_finish(pv_fitter *fitter, int index, float *row, pv_fit_result *result)
{
    slot *s = &fitter->slots[index];
    memcpy(row, s->row, (size_t)fitter->params * sizeof *row);
    *result = (pv_fit_result){mean_squared_error(fitter, s), s->steps, s->end};
    bool finite = s->end != PV_FIT_NOT_FINITE && isfinite((float)result->mse);
    for (int i = 0; finite && i < fitter->params; i++)
        finite = isfinite(row[i]);
    if (finite) return PV_OK;
    result->end = s->end = PV_FIT_NOT_FINITE;
    return pv_fail(PV_ERR_NUMERIC, "the loss or a weight of a fit is not finite");
}

double pv_fitter_step_flops(const pv_fitter *fitter)
{
    const int *d = fitter->arch.dims;
    double multiply_adds = 0;
    for (int l = 0; l < fitter->arch.layers; l++) /* outputs, weight gradients, and the way back but to x */
        multiply_adds += (double)d[l] * d[l + 1] * (l == 0 ? 2 : 3);
    return 2 * multiply_adds * fitter->batch;
}

double pv_fitter_step_sincos(const pv_fitter *fitter)
{
    double units = 0;
    if (fitter->net.apply) return 0;
    for (int l = 1; l < fitter->arch.layers; l++)
        units += fitter->arch.dims[l];
    return units * fitter->batch;
}
