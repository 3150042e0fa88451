#include "store/pv_fill.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_queue.h"
#include "base/pv_stop.h"
#include "siren/pv_fitter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of one piece of work: large enough to make writes and claims cheap.  The last rows, two pieces a rank,
 * are handed out in small pieces, so that all ranks end at about the same time. */
enum { CHUNK_ROWS = 16, TAIL_ROWS = 2, TAIL_CHUNKS = 2 };
/* Steps between two looks at signals and at other ranks' one-sided operations: a few milliseconds. */
enum { SLICE_STEPS = 25 };
enum { COUNT_BLOCK = 65536 };
/* What a count adds up. */
enum { FITTED_ROWS, REFUSED_ROWS, PSNR_SUM, COUNT_SUMS };

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
    bool fresh[CHUNK_ROWS];                /* to be written */
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
static void start_fit(filler *f, int slot, int64_t view, int64_t first, int row, int attempt)
{
    const int64_t object = first + row;
    const pv_fit_key key = {pv_signal_source_id(f->signal, object), view, attempt};
    float *weights = f->rows + (int64_t)row * f->params;
    pv_rng rng = pv_fit_stream(f->opts->fit, PV_RNG_VIEW_INIT, key);
    pv_siren_init(pv_store_arch(f->store), f->opts->variant, &rng, weights);
    pv_signal_values(f->signal, object, f->values);
    pv_fitter_start(f->fitter, slot, weights, f->values, key);
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
        f->status[row] = PV_VIEW_FITTED;
        f->psnr[row] = (float)pv_psnr(result.mse);
        f->fitted++;
    } else {
        f->status[row] = PV_VIEW_REFUSED;
        f->psnr[row] = NAN;
        memset(weights, 0, (size_t)f->params * sizeof *weights);
    }
    return true;
}

/* Between two slices: other ranks' needs, the lock, and a word from outside. */
static pv_status look_around(filler *f)
{
    pv_queue_progress(f->queue);
    const pv_status st = pv_lock_beat(f->opts->lock);
    if (st != PV_OK) return st;
    return pv_stop_requested() ? pv_fail(PV_STOPPED, "a signal asked the run to stop") : PV_OK;
}

/* Fits the rows chunk[0..used-1] side by side.  PV_STOPPED: cut short, what is fresh is good. */
static pv_status fit_group(filler *f, int64_t view, int64_t first, const int *chunk, int used)
{
    int attempt[CHUNK_ROWS] = {0}, running = used;
    bool ended[CHUNK_ROWS] = {false};
    pv_status st = PV_OK;
    for (int slot = 0; slot < used; slot++)
        start_fit(f, slot, view, first, chunk[slot], 0);
    while (running > 0 && (st = look_around(f)) == PV_OK) {
        pv_fitter_advance(f->fitter, used, SLICE_STEPS);
        for (int slot = 0; slot < used; slot++) {
            if (ended[slot] || !pv_fitter_done(f->fitter, slot)) continue;
            ended[slot] = end_fit(f, slot, chunk[slot], attempt[slot]);
            if (ended[slot])
                running--;
            else
                start_fit(f, slot, view, first, chunk[slot], ++attempt[slot]);
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

/* Fits what is missing of a run of at most CHUNK_ROWS objects of one view. */
static pv_status fit_run(filler *f, int64_t view, int64_t first, int count)
{
    const int slots = pv_fitter_slots(f->fitter);
    pv_status st = pv_store_read_status(f->store, view, first, count, f->status);
    int wanted[CHUNK_ROWS], found = 0;
    for (int row = 0; st == PV_OK && row < count; row++) {
        const bool refused = f->status[row] == PV_VIEW_REFUSED;
        f->fresh[row] = false;
        if (f->status[row] != PV_VIEW_FITTED && (!refused || f->opts->retry_refused)) wanted[found++] = row;
    }
    for (int done = 0; st == PV_OK && done < found; done += slots)
        st = fit_group(f, view, first, wanted + done, found - done < slots ? found - done : slots);
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
        pv_progress_update(&progress, done < missing ? done : missing, NULL);
    }
    if (st != PV_OK) pv_queue_cancel(f->queue);
    pv_progress_end(&progress, st == PV_OK ? missing : pv_queue_count_done(f->queue, 0));
    return st;
}

/* Adds up the rows of this rank's share of one view. */
static pv_status count_view(const pv_store *store, int64_t view, int64_t first, int64_t left, uint8_t *status,
                            float *psnr, double sums[COUNT_SUMS])
{
    pv_status st = PV_OK;
    for (; st == PV_OK && left > 0; left -= COUNT_BLOCK, first += COUNT_BLOCK) {
        const int64_t block = left < COUNT_BLOCK ? left : COUNT_BLOCK;
        st = pv_store_read_status(store, view, first, block, status);
        if (st == PV_OK) st = pv_store_read_psnr(store, view, first, block, psnr);
        for (int64_t i = 0; st == PV_OK && i < block; i++)
            if (status[i] == PV_VIEW_FITTED) {
                sums[FITTED_ROWS] += 1;
                sums[PSNR_SUM] += (double)psnr[i];
            } else if (status[i] == PV_VIEW_REFUSED) {
                sums[REFUSED_ROWS] += 1;
            }
    }
    return st;
}

pv_status pv_fill_count(const pv_comm *comm, const pv_store *store, pv_fill_counts *counts)
{
    pv_status st = PV_OK;
    double sums[COUNT_SUMS] = {0};
    uint8_t *status = NULL;
    float *psnr = NULL;
    int64_t first, share;
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &share);
    PV_ALLOC(status, COUNT_BLOCK);
    PV_ALLOC(psnr, COUNT_BLOCK);
    for (int64_t view = 0; view < pv_store_views(store); view++)
        PV_TRY(count_view(store, view, first, share, status, psnr, sums));
done:
    free(status);
    free(psnr);
    st = pv_agree(comm, st);
    MPI_Allreduce(MPI_IN_PLACE, sums, COUNT_SUMS, MPI_DOUBLE, MPI_SUM, comm->world);
    *counts = (pv_fill_counts){.fitted = (int64_t)sums[FITTED_ROWS], .refused = (int64_t)sums[REFUSED_ROWS]};
    counts->mean_psnr_db = counts->fitted > 0 ? sums[PSNR_SUM] / sums[FITTED_ROWS] : (double)NAN;
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
    pv_fill_counts counts;
    pv_status st;
    *result = (pv_fill_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_TRY(pv_fill_count(comm, store, &counts));
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
    const pv_status counted = pv_fill_count(comm, store, &counts);
    result->refused = counts.refused;
    result->mean_psnr_db = counts.mean_psnr_db;
    st = st == PV_OK ? counted : st;
done:
    pv_queue_close(f.queue);
    filler_free(&f);
    return st;
}
