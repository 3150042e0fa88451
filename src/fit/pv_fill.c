#include "fit/pv_fill.h"
#include "base/pv_clock.h"
#include "base/pv_progress.h"
#include "base/pv_mem.h"
#include "parallel/pv_queue.h"
#include "base/pv_stop.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"
#include "store/pv_tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of one piece of work: large enough to make writes and claims cheap.  The last rows, two pieces a rank,
 * are handed out in small pieces, so that all ranks end at about the same time. */
enum { CHUNK_ROWS = 16, TAIL_ROWS = 2, TAIL_CHUNKS = 2 };
/* Steps between two looks at signals and at other ranks' one-sided operations: a few milliseconds. */
enum { SLICE_STEPS = 25 };

/* What one rank needs to fit rows; one owner, freed by filler_free. */
typedef struct filler {
    const pv_signal *signal;
    pv_store *store;
    const pv_fill_opts *opts;
    pv_queue *queue;
    pv_fitter *fitter;
    int params;
    float *values;          /* [n][channels] */
    float *rows;            /* [CHUNK_ROWS][P] */
    float psnr[CHUNK_ROWS]; /* of the chunk's rows */
    uint32_t steps[CHUNK_ROWS];
    uint8_t status[CHUNK_ROWS];
    bool fresh[CHUNK_ROWS]; /* to be written */
    uint64_t sources[CHUNK_ROWS];
    double stop_seen;                      /* when a stop was first seen, 0: it was not */
    int64_t fitted, restarted, adam_steps; /* by this rank */
} filler;

static void filler_free(filler *f)
{
    pv_fitter_free(f->fitter);
    free(f->values);
    free(f->rows);
}

static pv_status filler_make(filler *f)
{
    pv_status st;
    f->params = pv_store_params(f->store);
    const int n = pv_signal_samples(f->signal);
    PV_ALLOC(f->values, (int64_t)n * pv_signal_channels(f->signal));
    PV_ALLOC(f->rows, (int64_t)CHUNK_ROWS * f->params);
    PV_TRY(pv_fitter_new(pv_store_arch(f->store), n, pv_signal_coords(f->signal), f->opts->fit, &f->fitter));
done:
    return st;
}

/* Puts an attempt at row `row` of the chunk into a slot. */
static void start_fit(filler *f, int slot, int64_t view, int row, int attempt)
{
    const pv_fit_key key = {f->sources[row], view, attempt};
    float *weights = f->rows + (int64_t)row * f->params;
    pv_rng rng = pv_fit_stream(f->opts->fit, PV_RNG_VIEW_INIT, key);
    pv_inr_init(pv_store_arch(f->store), f->opts->variant, &rng, weights);
    pv_signal_values(f->signal, pv_signal_find(f->signal, f->sources[row]), f->values);
    pv_fitter_start(f->fitter, slot, weights, NULL, f->values, key);
}

/* Takes a fit that has ended out of its slot; false if it is to start again. */
static bool end_fit(filler *f, int slot, int row, int attempt)
{
    float *weights = f->rows + (int64_t)row * f->params;
    pv_fit_result result;
    const pv_status st = pv_fitter_finish(f->fitter, slot, weights, &result);
    f->adam_steps += result.steps;
    if (st != PV_OK && attempt < f->opts->fit->restarts) {
        f->restarted++;
        return false;
    }
    f->steps[row] = (uint32_t)result.steps;
    f->fresh[row] = true;
    if (st == PV_OK) {
        f->status[row] = PV_ROW_FITTED;
        f->psnr[row] = (float)pv_psnr(result.mse);
        f->fitted++;
    } else {
        f->status[row] = PV_ROW_REFUSED;
        f->psnr[row] = NAN;
        memset(weights, 0, (size_t)f->params * sizeof *weights);
    }
    return true;
}

/* Whether this run is to end, by a word to this rank or to another. */
static bool is_stopping(filler *f)
{
    if (f->stop_seen == 0 && (pv_stop_requested() || pv_queue_cancelled(f->queue)))
        f->stop_seen = pv_seconds();
    return f->stop_seen > 0;
}

/* Between two slices: other ranks' needs, the lock, and a word from outside. */
static pv_status look_around(filler *f)
{
    pv_queue_progress(f->queue);
    const pv_status st = pv_lock_check(f->opts->lock);
    if (st != PV_OK) return st;
    if (pv_stop_requested()) pv_queue_cancel(f->queue);
    return is_stopping(f) && pv_seconds() - f->stop_seen >= f->opts->grace ? pv_stop_fail() : PV_OK;
}

/* Fits the rows chunk[0..used-1] side by side.  PV_STOPPED: cut short, what is fresh is good. */
static pv_status fit_group(filler *f, int64_t view, const int *chunk, int used)
{
    int attempt[CHUNK_ROWS] = {0}, running = used;
    bool ended[CHUNK_ROWS] = {false};
    pv_status st = is_stopping(f) ? pv_stop_fail() : PV_OK;
    for (int slot = 0; st == PV_OK && slot < used; slot++)
        start_fit(f, slot, view, chunk[slot], 0);
    if (st != PV_OK) return st;
    while (running > 0 && (st = look_around(f)) == PV_OK) {
        pv_fitter_advance(f->fitter, used, SLICE_STEPS);
        for (int slot = 0; slot < used; slot++) {
            if (ended[slot] || !pv_fitter_done(f->fitter, slot)) continue;
            ended[slot] = end_fit(f, slot, chunk[slot], attempt[slot]);
            if (ended[slot])
                running--;
            else
                start_fit(f, slot, view, chunk[slot], ++attempt[slot]);
        }
    }
    return st;
}

/* Writes every run of fresh rows. */
static pv_status write_fresh(filler *f, int64_t view, int64_t first, int count)
{
    pv_status st = PV_OK;
    for (int row = 0; row < count && st == PV_OK;) {
        int end = row;
        while (end < count && f->fresh[end])
            end++;
        if (end > row)
            st = pv_store_write_rows(f->store, view, first + row, end - row,
                                     f->rows + (int64_t)row * f->params, f->psnr + row, f->steps + row,
                                     f->status + row);
        row = end + 1;
    }
    return st;
}

static pv_status check_sources(const filler *f, int64_t first, int count)
{
    for (int row = 0; row < count; row++)
        if (pv_signal_find(f->signal, f->sources[row]) < 0)
            return pv_fail(
                PV_ERR_DATA,
                "object %lld of '%s' (source %llu) is not in the signal: its files or splits have changed",
                (long long)(first + row), pv_store_path(f->store), (unsigned long long)f->sources[row]);
    return PV_OK;
}

/* Fits what is missing of a run of at most CHUNK_ROWS objects of one view. */
static pv_status fit_run(filler *f, int64_t view, int64_t first, int count)
{
    const int slots = pv_fitter_slots(f->fitter);
    pv_status st = pv_store_read_status(f->store, view, first, count, f->status);
    int wanted[CHUNK_ROWS], found = 0;
    if (st == PV_OK) st = pv_store_read_sources(f->store, first, count, f->sources);
    if (st == PV_OK) st = check_sources(f, first, count);
    for (int row = 0; st == PV_OK && row < count; row++) {
        const bool refused = f->status[row] == PV_ROW_REFUSED;
        f->fresh[row] = false;
        if (f->status[row] != PV_ROW_FITTED && (!refused || f->opts->retry_refused)) wanted[found++] = row;
    }
    for (int done = 0; st == PV_OK && done < found; done += slots)
        st = fit_group(f, view, wanted + done, found - done < slots ? found - done : slots);
    if (st != PV_OK && st != PV_STOPPED) return st;
    const pv_status written = write_fresh(f, view, first, count);
    return written != PV_OK ? written : st;
}

/* How the rows of a store, numbered view by view, are cut into pieces of work. */
typedef struct cut {
    int64_t rows, large, pieces; /* `large` pieces of CHUNK_ROWS rows, then pieces of TAIL_ROWS */
} cut;

static cut cut_work(int64_t rows, int ranks)
{
    const int64_t tail = (int64_t)TAIL_CHUNKS * CHUNK_ROWS * ranks;
    const int64_t large = rows > tail ? (rows - tail) / CHUNK_ROWS : 0;
    const int64_t left = rows - large * CHUNK_ROWS;
    return (cut){rows, large, large + (left + TAIL_ROWS - 1) / TAIL_ROWS};
}

static pv_status fit_piece(filler *f, const cut *pieces, int64_t piece)
{
    const int64_t objects = pv_store_objects(f->store), tail = pieces->large * CHUNK_ROWS;
    const bool large = piece < pieces->large;
    int64_t row = large ? piece * CHUNK_ROWS : tail + (piece - pieces->large) * TAIL_ROWS;
    const int64_t wanted = row + (large ? CHUNK_ROWS : TAIL_ROWS);
    const int64_t end = wanted < pieces->rows ? wanted : pieces->rows;
    pv_status st = PV_OK;
    while (st == PV_OK && row < end) {
        const int64_t view = row / objects, first = row % objects;
        const int64_t run = end - row < objects - first ? end - row : objects - first;
        st = fit_run(f, view, first, (int)run);
        row += run;
    }
    return st;
}

/* One rank's part of the work.  Never waits for another rank. */
static pv_status work(filler *f, const pv_comm *comm, const cut *pieces, int64_t missing)
{
    pv_status st = PV_OK;
    pv_progress progress;
    int64_t piece;
    pv_progress_start(&progress, "fit", "views", missing);
    while (st == PV_OK && pv_queue_take(f->queue, &piece)) {
        const int64_t before = f->fitted;
        st = fit_piece(f, pieces, piece);
        /* Other nodes are taken to be as far as this one. */
        const int64_t done = pv_queue_count_done(f->queue, f->fitted - before) * comm->nodes;
        pv_progress_update(&progress, done < missing ? done : missing);
    }
    if (st == PV_OK && pv_queue_cancelled(f->queue)) st = pv_stop_fail();
    if (st != PV_OK) pv_queue_cancel(f->queue);
    pv_progress_end(&progress, st == PV_OK ? missing : pv_queue_count_done(f->queue, 0));
    return st;
}

/* The job-wide sums of what the ranks did. */
static void gather_result(const pv_comm *comm, const filler *f, double busy, pv_fill_result *result)
{
    int64_t counts[3] = {f->fitted, f->restarted, f->adam_steps};
    double total = busy, longest = busy;
    MPI_Allreduce(MPI_IN_PLACE, counts, 3, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &longest, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    result->fitted = counts[0];
    result->restarted = counts[1];
    result->steps = counts[2];
    result->seconds = longest;
    result->idle_share = longest > 0 ? 1 - total / (longest * comm->size) : 0;
}

pv_status pv_fill(const pv_comm *comm, const pv_signal *signal, pv_store *store, const pv_fill_opts *opts,
                  pv_fill_result *result)
{
    filler f = {.signal = signal, .store = store, .opts = opts};
    pv_tally counts;
    pv_status st;
    *result = (pv_fill_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_TRY(pv_tally_store(comm, store, &counts));
    result->present = counts.fitted;
    result->refused = counts.refused;
    result->mean_psnr_db = counts.mean_psnr_db;
    const cut pieces = cut_work(result->rows, comm->size);
    const int64_t missing = result->rows - counts.fitted - (opts->retry_refused ? 0 : counts.refused);
    if (missing == 0) return PV_OK;
    PV_TRY(pv_agree(comm, filler_make(&f)));
    PV_TRY(pv_queue_open(comm, pieces.pieces, &f.queue));
    const double start = pv_seconds();
    st = work(&f, comm, &pieces, missing);
    const double busy = pv_seconds() - start;
    st = pv_agree(comm, st);
    gather_result(comm, &f, busy, result);
    const pv_status counted = pv_tally_store(comm, store, &counts);
    result->refused = counts.refused;
    result->mean_psnr_db = counts.mean_psnr_db;
    st = st == PV_OK ? counted : st;
done:
    pv_queue_close(f.queue);
    filler_free(&f);
    return st;
}
