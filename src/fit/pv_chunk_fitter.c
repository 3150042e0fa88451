/* One rank's fitting of chunks: slots, restarts, and the rows that are written. */
#include "pv_chunk_fitter.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps between two looks at signals and at other ranks' one-sided operations: a few milliseconds. */
enum { SLICE_STEPS = 25 };

void chunk_fitter_free(chunk_fitter *f)
{
    pv_fitter_free(f->fitter);
    free(f->values);
    free(f->coords);
    free(f->rows);
}

pv_status chunk_fitter_make(chunk_fitter *f)
{
    pv_status st;
    f->params = pv_store_params(f->store);
    const int n = pv_signal_samples(f->signal);
    PV_ALLOC(f->values, (int64_t)n * pv_signal_channels(f->signal));
    if (!pv_signal_coords(f->signal)) PV_ALLOC(f->coords, (int64_t)n * pv_signal_inputs(f->signal));
    PV_ALLOC(f->rows, (int64_t)CHUNK_ROWS * f->params);
    PV_TRY(pv_fitter_new(pv_store_arch(f->store), n, pv_signal_coords(f->signal), f->opts->fit, &f->fitter));
done:
    return st;
}

/* Puts an attempt at row `row` of the chunk into a slot. */
static void start_fit(chunk_fitter *f, int slot, const chunk *c, int row, int attempt)
{
    const pv_fit_key key = {c->sources[row], c->view, attempt};
    float *weights = f->rows + (int64_t)row * f->params;
    pv_rng rng = pv_fit_stream(f->opts->fit, PV_RNG_VIEW_INIT, key);
    pv_inr_init(pv_store_arch(f->store), f->opts->variant, &rng, weights);
    pv_signal_values(f->signal, c->objects[row], f->values);
    if (f->coords) pv_signal_object_coords(f->signal, c->objects[row], f->coords);
    pv_fitter_start(f->fitter, slot, weights, f->coords, f->values, key);
}

/* Takes a fit that has ended out of its slot; false if it is to start again. */
static bool end_fit(chunk_fitter *f, int slot, chunk *c, int row, int attempt)
{
    float *weights = f->rows + (int64_t)row * f->params;
    pv_fit_result result;
    const pv_status st = pv_fitter_finish(f->fitter, slot, weights, &result);
    f->adam_steps += result.steps;
    if (st != PV_OK && attempt < f->opts->fit->restarts) {
        f->restarted++;
        return false;
    }
    c->steps[row] = (uint32_t)result.steps;
    c->fresh[row] = true;
    if (st == PV_OK) {
        c->status[row] = PV_ROW_FITTED;
        c->psnr[row] = (float)pv_psnr(result.mse);
        f->fitted++;
    } else {
        c->status[row] = PV_ROW_REFUSED;
        c->psnr[row] = NAN;
        memset(weights, 0, (size_t)f->params * sizeof *weights);
    }
    return true;
}

/* Whether a signal or limit asked this rank or another to stop. */
static bool is_stopping(chunk_fitter *f)
{
    if (f->stop_seen == 0 && (pv_stop_requested() || pv_queue_cancelled(f->queue)))
        f->stop_seen = pv_seconds();
    return f->stop_seen > 0;
}

/* Between two slices: lets other ranks' one-sided calls proceed, looks at the lock and for a stop. */
static pv_status look_around(chunk_fitter *f)
{
    pv_queue_progress(f->queue);
    const pv_status st = pv_lock_check(f->opts->lock);
    if (st != PV_OK) return st;
    if (pv_stop_requested()) pv_queue_cancel(f->queue);
    return is_stopping(f) && pv_seconds() - f->stop_seen >= f->opts->grace ? pv_stop_fail() : PV_OK;
}

/* Fits the chunk's rows wanted[0..used-1] side by side.  PV_STOPPED: cut short, what is fresh is good. */
static pv_status fit_group(chunk_fitter *f, chunk *c, const int *wanted, int used)
{
    int attempt[CHUNK_ROWS] = {0}, running = used;
    bool ended[CHUNK_ROWS] = {false};
    pv_status st = is_stopping(f) ? pv_stop_fail() : PV_OK;
    for (int slot = 0; st == PV_OK && slot < used; slot++)
        start_fit(f, slot, c, wanted[slot], 0);
    if (st != PV_OK) return st;
    while (running > 0 && (st = look_around(f)) == PV_OK) {
        pv_fitter_advance(f->fitter, used, SLICE_STEPS);
        for (int slot = 0; slot < used; slot++) {
            if (ended[slot] || !pv_fitter_done(f->fitter, slot)) continue;
            ended[slot] = end_fit(f, slot, c, wanted[slot], attempt[slot]);
            if (ended[slot])
                running--;
            else
                start_fit(f, slot, c, wanted[slot], ++attempt[slot]);
        }
    }
    return st;
}

/* Writes every run of fresh rows. */
static pv_status write_fresh(const chunk_fitter *f, const chunk *c)
{
    pv_status st = PV_OK;
    for (int row = 0; row < c->count && st == PV_OK;) {
        int end = row;
        while (end < c->count && c->fresh[end])
            end++;
        if (end > row)
            st = pv_store_write_rows(f->store, c->view, c->first + row, end - row,
                                     f->rows + (int64_t)row * f->params, c->psnr + row, c->steps + row,
                                     c->status + row);
        row = end + 1;
    }
    return st;
}

/* Reads what the chunk's rows are: their status, and which objects of the signal they are of. */
static pv_status read_chunk(const chunk_fitter *f, chunk *c)
{
    pv_status st;
    PV_TRY(pv_store_read_status(f->store, c->view, c->first, c->count, c->status));
    PV_TRY(pv_store_read_sources(f->store, c->first, c->count, c->sources));
    for (int row = 0; row < c->count; row++) {
        c->objects[row] = pv_signal_find(f->signal, c->sources[row]);
        if (c->objects[row] < 0)
            return pv_fail(
                PV_ERR_DATA,
                "object %lld of '%s' (source %llu) is not in the signal: its files or splits have changed",
                (long long)(c->first + row), pv_store_path(f->store), (unsigned long long)c->sources[row]);
    }
done:
    return st;
}

static bool is_wanted(const chunk_fitter *f, uint8_t status)
{
    return status != PV_ROW_FITTED && (status != PV_ROW_REFUSED || f->opts->retry_refused);
}

pv_status chunk_fitter_run(chunk_fitter *f, int64_t view, int64_t first, int count)
{
    const int slots = pv_fitter_slots(f->fitter);
    chunk c = {.view = view, .first = first, .count = count};
    int wanted[CHUNK_ROWS], found = 0;
    pv_status st = read_chunk(f, &c);
    if (st != PV_OK) return st;
    for (int row = 0; row < count; row++)
        if (is_wanted(f, c.status[row])) wanted[found++] = row;
    for (int done = 0; st == PV_OK && done < found; done += slots)
        st = fit_group(f, &c, wanted + done, found - done < slots ? found - done : slots);
    if (st != PV_OK && st != PV_STOPPED) return st;
    const pv_status written = write_fresh(f, &c);
    return written != PV_OK ? written : st;
}
