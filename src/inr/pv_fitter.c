/* The fit engine: slots, samples in tiles or drawn for a mini-batch, steps. */
#include "inr/pv_fitter.h"

#include "base/pv_mem.h"
#include "pv_inr_kernels.h"
#include "pv_inr_narrow.h"

#include <math.h>
#include <string.h>

enum {
    PADDING = 16,  /* floats in a cache line, where a slot's parts begin */
    AHEAD = 128,   /* random numbers that are made together */
    SEPARABLE = 4, /* products that make an activation and its slope of a grid's parts */
};

static const double beta1 = 0.9, beta2 = 0.999;

/* An INR in flight; the arrays of floats are [padded] but for `values` and `coords`. */
typedef struct slot {
    float *row, *m, *v;
    float *values;  /* tiles of [d_M][stride] */
    float *coords;  /* tiles of [d_0][stride]; NULL where INRs share theirs */
    float *samples; /* with mini-batches, instead of both: all samples [n][d_0 + d_M], of which `drawn` are
                       behind in this pass */
    float reach;    /* the largest |coordinate| */
    double beta1_power, beta2_power;
    int64_t steps;
    pv_fit_end end;
    pv_fit_watch watch;
    pv_rng rng;
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
    bool separable;                   /* steps make the first layer's sines of those of a grid's parts */
    const pv_inr_narrow_loops *loops; /* of opts.precision; NULL: float32 */
    pv_inr_narrow narrow;
    int samples, params, padded;
    int batch;     /* samples a step */
    int64_t pass;  /* steps over which losses are judged together */
    float *coords; /* what all INRs share, in tiles, or [n][d_0] with mini-batches; NULL: each has its own */
    float *features; /* [n][d_0] of an object's own coordinates, or of those that all share */
    float reach;     /* of them */
    float *gradient; /* [padded] */
    slot slots[PV_FITTER_SLOTS];
    float *memory;      /* what the slots' floats point into */
    float *tile_coords; /* [d_0][stride], one tile of a mini-batch; NULL without */
    float *tile_values; /* [d_M][stride] likewise */
    float **channels;   /* [d_0 + d_M] the rows of both */
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

/* The floats of all samples, `channels` each, in tiles. */
static int64_t tiles_size(const pv_fitter *fitter, int channels)
{
    return (int64_t)pv_inr_net_tiles(&fitter->net, fitter->samples) * channels * fitter->net.stride;
}

static pv_status open_slots(pv_fitter *fitter)
{
    pv_status st = PV_OK;
    const int inputs = inputs_of(fitter), outputs = outputs_of(fitter);
    const bool batches = has_batches(fitter);
    const int64_t samples = batches ? round_up((int64_t)fitter->samples * (inputs + outputs)) : 0;
    const int64_t values = batches ? 0 : round_up(tiles_size(fitter, outputs));
    const int64_t coords = batches || fitter->coords ? 0 : round_up(tiles_size(fitter, inputs));
    const int64_t each = 3 * (int64_t)fitter->padded + values + coords + samples;
    PV_ALLOC(fitter->memory, PV_FITTER_SLOTS * each);
    if (batches) {
        PV_ALLOC(fitter->tile_coords, (int64_t)inputs * fitter->net.stride);
        PV_ALLOC(fitter->tile_values, (int64_t)outputs * fitter->net.stride);
        PV_ALLOC(fitter->channels, inputs + outputs);
        for (int c = 0; c < inputs; c++)
            fitter->channels[c] = fitter->tile_coords + (int64_t)c * fitter->net.stride;
        for (int c = 0; c < outputs; c++)
            fitter->channels[inputs + c] = fitter->tile_values + (int64_t)c * fitter->net.stride;
    }
    for (int i = 0; i < PV_FITTER_SLOTS; i++) {
        slot *s = &fitter->slots[i];
        s->row = fitter->memory + i * each;
        s->m = s->row + fitter->padded;
        s->v = s->m + fitter->padded;
        s->values = s->v + fitter->padded;
        s->coords = coords ? s->values + values : NULL;
        s->samples = batches ? s->v + fitter->padded : NULL;
        s->end = PV_FIT_STEPS;
    }
done:
    return st;
}

/* What the first layer takes of all samples. */
static const float *features_of(const pv_fitter *fitter, const float *coords)
{
    pv_arch_encode(&fitter->arch, fitter->samples, coords, fitter->features);
    return fitter->features;
}

/* The runs of a grid that the samples of every step lie on; 0 where they do not, or it is of no use. */
static int run_of(const pv_fitter *fitter, const float *coords)
{
    if (!coords || has_batches(fitter) || !fitter->kernels->is_separable) return 0;
    return pv_inr_net_run(fitter->samples, inputs_of(fitter), coords);
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
    PV_ALLOC(fitter->features, (int64_t)n * arch->dims[0]);
    if (coords) coords = features_of(fitter, coords);
    PV_TRY(pv_inr_net_open(arch, fitter->batch, run_of(fitter, coords), &fitter->net));
    if (opts->precision == PV_PRECISION_INT16 && !pv_arch_activation(arch)->bounded)
        PV_TRY(pv_fail(PV_ERR_CONFIG,
                       "fit.precision: int16 is of activations that stay between -1 and 1, which %s does not",
                       pv_arch_activation(arch)->plugin.name));
    fitter->loops = pv_inr_narrow_choose(opts->precision);
    if (fitter->loops) PV_TRY(pv_inr_narrow_open(&fitter->net, opts->precision, &fitter->narrow));
    fitter->separable = !fitter->loops && fitter->net.run > 0 && fitter->kernels->is_separable(&fitter->net);
    if (coords) {
        fitter->reach = pv_inr_net_reach((int64_t)n * arch->dims[0], coords);
        PV_ALLOC(fitter->coords,
                 has_batches(fitter) ? (int64_t)n * arch->dims[0] : tiles_size(fitter, arch->dims[0]));
        if (has_batches(fitter))
            memcpy(fitter->coords, coords, (size_t)n * (size_t)arch->dims[0] * sizeof *coords);
        else
            pv_inr_net_lay_out(&fitter->net, n, arch->dims[0], coords, fitter->coords);
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
    pv_inr_narrow_close(&fitter->narrow);
    PV_FREE(fitter->coords, fitter->features, fitter->gradient, fitter->memory, fitter->tile_coords,
            fitter->tile_values, fitter->channels, fitter);
}

/* What all steps read of an object: tiles, or its samples one after the other. */
static void keep_samples(const pv_fitter *fitter, const float *coords, const float *values, slot *s)
{
    const int inputs = inputs_of(fitter), outputs = outputs_of(fitter);
    float *sample = s->samples;
    if (!sample) {
        pv_inr_net_lay_out(&fitter->net, fitter->samples, outputs, values, s->values);
        if (s->coords) pv_inr_net_lay_out(&fitter->net, fitter->samples, inputs, coords, s->coords);
        return;
    }
    if (fitter->coords) coords = fitter->coords;
    for (int64_t i = 0; i < fitter->samples; i++, sample += inputs + outputs) {
        memcpy(sample, coords + i * inputs, (size_t)inputs * sizeof *sample);
        memcpy(sample + inputs, values + i * outputs, (size_t)outputs * sizeof *sample);
    }
}

void pv_fitter_start(pv_fitter *fitter, int index, const float *row, const float *coords, const float *values,
                     pv_fit_key key)
{
    slot *s = &fitter->slots[index];
    const size_t bytes = (size_t)fitter->padded * sizeof *row;
    if (!fitter->coords) coords = features_of(fitter, coords);
    memset(s->row, 0, bytes);
    memset(s->m, 0, bytes);
    memset(s->v, 0, bytes);
    memcpy(s->row, row, (size_t)fitter->params * sizeof *row);
    s->reach = fitter->coords ? fitter->reach
                              : pv_inr_net_reach((int64_t)fitter->samples * inputs_of(fitter), coords);
    keep_samples(fitter, coords, values, s);
    s->beta1_power = s->beta2_power = 1;
    s->steps = 0;
    s->end = fitter->opts.steps > 0 ? PV_FIT_RUNNING : PV_FIT_STEPS;
    pv_fit_watch_start(&s->watch, &fitter->opts);
    s->rng = pv_fit_stream(&fitter->opts, PV_RNG_MINIBATCH, key);
    s->drawn = 0;
}

static void load(pv_fitter *fitter, const slot *s)
{
    fitter->net.reach = s->reach;
    fitter->kernels->load(&fitter->net, s->row);
}

/* Puts `count` samples [d_0 + d_M] into the tile that is worked on. */
static void put(const pv_fitter *fitter, int count, const float *samples)
{
    const int size = inputs_of(fitter) + outputs_of(fitter);
    for (int c = 0; c < size; c++)
        for (int i = 0; i < count; i++)
            fitter->channels[c][i] = samples[(int64_t)i * size + c];
}

/* Tile t of all samples, in the order they are kept in. */
static tile samples_in_order(const pv_fitter *fitter, const slot *s, int t)
{
    const int64_t stride = fitter->net.stride, first = (int64_t)t * fitter->net.tile;
    const int inputs = inputs_of(fitter), outputs = outputs_of(fitter);
    const int left = fitter->samples - (int)first;
    const float *coords = s->coords ? s->coords : fitter->coords;
    const int count = left < fitter->net.tile ? left : fitter->net.tile;
    if (!s->samples) return (tile){coords + t * inputs * stride, s->values + t * outputs * stride, count};
    put(fitter, count, s->samples + first * (inputs + outputs));
    return (tile){fitter->tile_coords, fitter->tile_values, count};
}

/* Brings the samples in `count` places behind those drawn before, and into the tile from place `first` on. */
static inline void draw(const pv_fitter *fitter, slot *s, int size, int count, const int32_t *places,
                        int first)
{
    float *const *channels = fitter->channels, *next = s->samples + (int64_t)s->drawn * size;
    for (int i = 0; i < count; i++, next += size) {
        float *chosen = s->samples + (int64_t)places[i] * size;
        for (int c = 0; c < size; c++) {
            const float kept = chosen[c];
            chosen[c] = next[c];
            next[c] = channels[c][first + i] = kept;
        }
    }
    s->drawn += count;
}

/* Draws `count` of the samples at random, into the tile from place `first` on.  All places are known before
 * the first sample moves, so that the memory they lie in can be asked for; loops are of a length that the
 * compiler knows where samples are of a usual size. */
static void draw_some(const pv_fitter *fitter, slot *s, int count, int first)
{
    const int n = fitter->samples, size = inputs_of(fitter) + outputs_of(fitter);
    uint64_t random[AHEAD];
    int32_t places[AHEAD];
    pv_rng_fill(&s->rng, count, random);
    for (int i = 0; i < count; i++) {
        const int left = n - s->drawn - i;
        places[i] = n - left + (int)(pv_rng_unit(random[i]) * left);
        __builtin_prefetch(s->samples + (int64_t)places[i] * size, 1);
    }
    switch (size) {
    case 2:
        draw(fitter, s, 2, count, places, first);
        break;
    case 3:
        draw(fitter, s, 3, count, places, first);
        break;
    case 4:
        draw(fitter, s, 4, count, places, first);
        break;
    case 5:
        draw(fitter, s, 5, count, places, first);
        break;
    default:
        draw(fitter, s, size, count, places, first);
    }
}

/* Tile t of the step's mini-batch: the next of the slot's endless order, a Fisher-Yates shuffle of the
 * samples themselves that starts again, from where it has brought them to, whenever all are drawn.  Beyond
 * `count` stay samples of earlier tiles, which the kernels ignore. */
static tile samples_drawn(const pv_fitter *fitter, slot *s, int t)
{
    const int n = fitter->samples, left = fitter->batch - t * fitter->net.tile;
    const int count = left < fitter->net.tile ? left : fitter->net.tile;
    for (int i = 0, some; i < count; i += some) {
        if (s->drawn == n) s->drawn = 0;
        some = count - i < AHEAD ? count - i : AHEAD;
        if (some > n - s->drawn) some = n - s->drawn;
        draw_some(fitter, s, some, i);
    }
    return (tile){fitter->tile_coords, fitter->tile_values, count};
}

/* Adds the gradient of a tile in the precision of the slot's step; returns its summed squared error. */
static double add_gradient(pv_fitter *fitter, const pv_inr_narrow_loops *loops, tile in, float scale)
{
    float *gradient = fitter->gradient;
    if (!loops)
        return fitter->kernels->gradient(&fitter->net, in.coords, in.values, in.count, scale, gradient);
    return loops->gradient(&fitter->net, &fitter->narrow, in.coords, in.values, in.count, scale, gradient);
}

/* The slot's weights are loaded, and are so again behind it. */
static void step(pv_fitter *fitter, slot *s)
{
    const pv_inr_kernels *kernels = fitter->kernels;
    const bool polishes = s->steps >= fitter->opts.steps - fitter->opts.polish;
    const pv_inr_narrow_loops *const loops = polishes ? NULL : fitter->loops;
    const double count = (double)fitter->batch * outputs_of(fitter);
    double sum = 0;
    if (loops) loops->pack(&fitter->net, &fitter->narrow);
    memset(fitter->gradient, 0, (size_t)fitter->padded * sizeof *fitter->gradient);
    for (int t = 0; t < pv_inr_net_tiles(&fitter->net, fitter->batch); t++) {
        const tile in = has_batches(fitter) ? samples_drawn(fitter, s, t) : samples_in_order(fitter, s, t);
        sum += add_gradient(fitter, loops, in, (float)(2 / count));
    }
    if (loops && loops->end) loops->end(&fitter->net, &fitter->narrow, (float)(2 / count), fitter->gradient);
    s->end = pv_fit_judge(&s->watch, &fitter->opts, s->steps, fitter->pass, sum / count);
    if (s->end != PV_FIT_RUNNING) return;
    s->beta1_power *= beta1;
    s->beta2_power *= beta2;
    const double lr = pv_fit_rate(&fitter->opts, s->steps);
    const pv_inr_adam adam = {(float)(lr / (1 - s->beta1_power)), (float)(1 / sqrt(1 - s->beta2_power))};
    kernels->adam(&fitter->net, adam, fitter->gradient, s->m, s->v, s->row);
    if (++s->steps == fitter->opts.steps) s->end = PV_FIT_STEPS;
}

void pv_fitter_advance(pv_fitter *fitter, int used, int64_t max_steps)
{
    for (int i = 0; i < used; i++) {
        slot *s = &fitter->slots[i];
        load(fitter, s);
        for (int64_t k = 0; k < max_steps && s->end == PV_FIT_RUNNING; k++)
            step(fitter, s);
    }
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
    if (fitter->separable) multiply_adds += (double)(SEPARABLE - d[0]) * d[1];
    return 2 * multiply_adds * fitter->batch;
}

double pv_fitter_step_narrow(const pv_fitter *fitter)
{
    const int *d = fitter->arch.dims;
    double multiply_adds = 0;
    for (int l = 1; fitter->loops && l < fitter->arch.layers - 1; l++)
        multiply_adds += 3.0 * d[l] * d[l + 1];
    return 2 * multiply_adds * fitter->batch;
}

double pv_fitter_step_activations(const pv_fitter *fitter)
{
    double units = 0;
    for (int l = fitter->separable ? 2 : 1; l < fitter->arch.layers; l++)
        units += fitter->arch.dims[l];
    const int run = fitter->net.run, parts = fitter->separable ? run + fitter->samples / run : 0;
    return units * fitter->batch + (double)parts * fitter->arch.dims[1];
}
