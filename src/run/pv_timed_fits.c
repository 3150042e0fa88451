/* Fits whose steps are timed. */
#include "run/pv_timed_fits.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <string.h>

enum {
    SLICE_STEPS = 25,   /* of one call of the fitter, as in `fit`; fewer where steps are slow */
    SYNTHETIC_SIDE = 28 /* pixels of a made-up picture */
};
static const double slice_seconds = 0.02; /* a slice is shorter */

struct pv_timed_fits {
    pv_timed_shape shape;
    pv_inr_variant variant;
    pv_fit_opts opts;        /* without the rules that end a fit: a rate is of steps */
    int64_t steps, polish;   /* of a fit */
    const pv_signal *signal; /* NULL: made-up pictures */
    pv_fitter *fitter;
    int slice;       /* steps of one call */
    int64_t taken;   /* steps that the slots' INRs have behind them */
    bool own_coords; /* shape.coords are those of the object that was started last */
    float *values;   /* [samples][channels] */
    float *row;      /* [P] */
};

/* Rings about a centre that moves with the picture's number: smooth, with edges. */
static void draw_synthetic(int64_t object, float *values)
{
    const double cx = 0.3 * sin((double)object), cy = 0.3 * cos(1.7 * (double)object);
    for (int p = 0; p < SYNTHETIC_SIDE * SYNTHETIC_SIDE; p++) {
        const int column = p % SYNTHETIC_SIDE, line = p / SYNTHETIC_SIDE;
        const double x = -1 + 2.0 * column / (SYNTHETIC_SIDE - 1) - cx;
        const double y = -1 + 2.0 * line / (SYNTHETIC_SIDE - 1) - cy;
        const double r = sqrt(x * x + y * y);
        values[p] = r > 0.8 ? 0.0f : (float)(0.5 + 0.4 * cos(12 * r));
    }
}

pv_status pv_timed_fits_values(pv_timed_fits *fits, int64_t object, float *values)
{
    float *const own = fits->own_coords ? fits->shape.coords : NULL;
    if (fits->signal) return pv_signal_samples(fits->signal, object, own, values);
    draw_synthetic(object, values);
    return PV_OK;
}

/* Puts an object's INR into a slot: the row that `fit` starts the view from. */
static pv_status start(pv_timed_fits *fits, pv_fitter *fitter, int slot, int64_t object, int64_t view)
{
    const uint64_t source = fits->signal ? pv_signal_source_id(fits->signal, object) : (uint64_t)object;
    const pv_fit_key key = {.source = source, .view = view};
    const pv_status st = pv_timed_fits_values(fits, object, fits->values);
    if (st != PV_OK) return st;
    pv_rng rng = pv_fit_stream(&fits->opts, PV_RNG_VIEW_INIT, key);
    pv_inr_init(&fits->shape.arch, fits->variant, &rng, fits->row);
    pv_fitter_start(fitter, slot, fits->row, fits->shape.coords, fits->values, key);
    return PV_OK;
}

static pv_status new_fitter(const pv_timed_fits *fits, const pv_fit_opts *opts, pv_fitter **fitter)
{
    const float *shared = fits->own_coords ? NULL : fits->shape.coords;
    return pv_fitter_new(&fits->shape.arch, fits->shape.samples, shared, opts, fitter);
}

/* Fills every slot; as many steps a slice as `fit` takes, fewer if they are slow. */
static pv_status start_all(pv_timed_fits *fits)
{
    const int64_t objects = fits->signal ? pv_signal_objects(fits->signal) : PV_FITTER_SLOTS;
    pv_status st = PV_OK;
    for (int slot = 0; st == PV_OK && slot < PV_FITTER_SLOTS; slot++)
        st = start(fits, fits->fitter, slot, slot % objects, 0);
    fits->taken = 0;
    return st;
}

static pv_status plan_slice(pv_timed_fits *fits)
{
    const pv_status st = start_all(fits);
    if (st != PV_OK) return st;
    const double begin = pv_seconds();
    pv_fitter_advance(fits->fitter, PV_FITTER_SLOTS, 1);
    const double most = slice_seconds / (pv_seconds() - begin);
    fits->slice = most < 1 ? 1 : most < SLICE_STEPS ? (int)most : SLICE_STEPS;
    fits->taken = 1;
    return PV_OK;
}

pv_status pv_timed_fits_open(const pv_run_config *config, const pv_signal *signal, pv_timed_fits **out)
{
    pv_status st = PV_OK;
    pv_timed_fits *fits = NULL;
    *out = NULL;
    PV_ALLOC(fits, 1);
    fits->variant = config->inr.variant;
    fits->opts = config->fit;
    fits->opts.steps = INT64_MAX;
    fits->opts.target_psnr = 0;
    fits->opts.plateau_steps = 0;
    fits->opts.polish = 0;
    fits->steps = config->fit.steps;
    fits->polish = config->fit.polish;
    fits->signal = signal;
    fits->shape.samples = signal ? pv_signal_form(signal)->samples : SYNTHETIC_SIDE * SYNTHETIC_SIDE;
    const int channels = signal ? pv_signal_form(signal)->channels : 1,
              inputs = signal ? pv_signal_form(signal)->inputs : 2;
    PV_TRY(pv_arch_make(&config->inr, inputs, channels, config->fit.seed, &fits->shape.arch));
    PV_ALLOC(fits->shape.coords, inputs * (int64_t)fits->shape.samples);
    PV_ALLOC(fits->values, (int64_t)channels * fits->shape.samples);
    PV_ALLOC(fits->row, pv_arch_params(&fits->shape.arch));
    for (int p = 0; !signal && p < fits->shape.samples; p++) {
        const int column = p % SYNTHETIC_SIDE, line = p / SYNTHETIC_SIDE;
        fits->shape.coords[2 * p] = -1 + 2 * (float)column / (SYNTHETIC_SIDE - 1);
        fits->shape.coords[2 * p + 1] = -1 + 2 * (float)line / (SYNTHETIC_SIDE - 1);
    }
    fits->own_coords = signal && !pv_signal_coords(signal);
    if (signal) PV_TRY(pv_signal_samples(signal, 0, fits->shape.coords, fits->values));
    PV_TRY(new_fitter(fits, &fits->opts, &fits->fitter));
    fits->shape.step_flops = pv_fitter_step_flops(fits->fitter);
    fits->shape.step_narrow = pv_fitter_step_narrow(fits->fitter);
    fits->shape.step_activations = pv_fitter_step_activations(fits->fitter);
    PV_TRY(plan_slice(fits));
    *out = fits;
    fits = NULL;
done:
    pv_timed_fits_close(fits);
    return st;
}

void pv_timed_fits_close(pv_timed_fits *fits)
{
    if (!fits) return;
    pv_fitter_free(fits->fitter);
    PV_FREE(fits->shape.coords, fits->values, fits->row, fits);
}

const pv_timed_shape *pv_timed_fits_shape(const pv_timed_fits *fits)
{
    return &fits->shape;
}

pv_status pv_timed_fits_rate(pv_timed_fits *fits, double seconds, double *rate, double *core_share)
{
    const pv_status st = fits->taken >= fits->steps ? start_all(fits) : PV_OK;
    if (st != PV_OK) return st;
    const double begin = pv_seconds(), busy = pv_thread_seconds();
    double elapsed, steps = 0;
    do {
        pv_fitter_advance(fits->fitter, PV_FITTER_SLOTS, fits->slice);
        steps += fits->slice;
        elapsed = pv_seconds() - begin;
    } while (elapsed < seconds);
    *core_share = fmin(1, (pv_thread_seconds() - busy) / elapsed);
    fits->taken += (int64_t)steps;
    *rate = steps * PV_FITTER_SLOTS / elapsed;
    return PV_OK;
}

pv_status pv_timed_fits_rows(pv_timed_fits *fits, int64_t view, int64_t first, int64_t count, int64_t steps,
                             float *rows, double *psnr_sum)
{
    const int params = pv_arch_params(&fits->shape.arch);
    pv_fit_opts opts = fits->opts;
    pv_fitter *fitter = NULL;
    pv_status st;
    opts.steps = steps;
    opts.polish = fits->polish;
    PV_TRY(new_fitter(fits, &opts, &fitter));
    for (int64_t done = 0; done < count; done += PV_FITTER_SLOTS) {
        const int used = (int)(count - done < PV_FITTER_SLOTS ? count - done : PV_FITTER_SLOTS);
        for (int slot = 0; slot < used; slot++)
            PV_TRY(start(fits, fitter, slot, first + done + slot, view));
        for (int64_t step = 0; step < steps; step += fits->slice) {
            if (pv_stop_requested()) PV_TRY(pv_stop_fail());
            pv_fitter_advance(fitter, used, fits->slice);
        }
        for (int slot = 0; slot < used; slot++) {
            pv_fit_result result;
            PV_TRY(pv_fitter_finish(fitter, slot, fits->row, &result));
            *psnr_sum += pv_psnr(result.mse);
            if (rows) memcpy(rows + (done + slot) * params, fits->row, sizeof *rows * (size_t)params);
        }
    }
done:
    pv_fitter_free(fitter);
    return st;
}
