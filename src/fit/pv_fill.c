/* Filling a store: the rows are divided into chunks, which all ranks take from a queue, fit and write. */
#include "fit/pv_fill.h"
#include "fit/pv_heldout.h"
#include "fit/pv_specimen.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_progress.h"
#include "base/pv_stop.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"
#include "parallel/pv_queue.h"
#include "store/pv_tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a chunk, at most: large enough to make writes and claims cheap. */
enum { CHUNK_ROWS = 16 };

/* Statuses read at once: of a store almost filled, or of splits left out, most rows are passed over. */
enum { SEEN_ROWS = 1 << 16 };

/* Statuses of objects [first, first + count) of a view, and which are wanted.  Rows that this rank has yet to
 * take are as they were: no other rank takes them. */
typedef struct seen {
    int64_t view, first, count;
    uint8_t status[SEEN_ROWS];
    bool wanted[SEEN_ROWS];
} seen;

/* Consecutive objects of one view: what they are, and what becomes of their rows. */
typedef struct chunk {
    int64_t view, first;
    int count;
    uint64_t sources[CHUNK_ROWS]; /* ids, as the store has them */
    uint64_t digests[CHUNK_ROWS]; /* as stored, and of what is to be fitted first */
    bool digested;                /* some of them are new */
    int64_t looked, differing;    /* objects whose digests were compared, and that have others */
    int64_t named[PV_SPECIMEN_NAMED];
    int64_t objects[CHUNK_ROWS]; /* the signal's numbers of them */
    const uint8_t *before;       /* [CHUNK_ROWS] statuses as stored */
    uint8_t status[CHUNK_ROWS];  /* as fitted */
    bool fresh[CHUNK_ROWS];      /* fitted, to be written */
    float psnr[CHUNK_ROWS], iou[CHUNK_ROWS], surface_error[CHUNK_ROWS];
    float frames[CHUNK_ROWS][PV_SOURCE_FRAME];
    uint32_t steps[CHUNK_ROWS];
} chunk;

/* One rank's fitting of chunks; one owner, freed by fitter_free. */
typedef struct chunk_fitter {
    const pv_signal *signal;
    pv_store *store;
    const pv_fill_opts *opts;
    pv_queue *queue; /* of the chunks; told of a stop */
    pv_fitter *fitter;
    int params;
    pv_specimen specimen; /* of the object that is to be fitted */
    pv_heldout heldout;   /* by slots */
    float *rows;          /* [CHUNK_ROWS][P], of the chunk */
    seen seen;
    int slice;                             /* steps of the next slice */
    double stop_seen;                      /* when a stop was first seen, 0: it was not */
    int64_t fitted, restarted, adam_steps; /* by this rank */
    double sums[PV_TALLY_SUMS];            /* of the rows that it has written */
    int64_t retried;                       /* of these, that were refused before */
} chunk_fitter;

/* Steps between two looks at signals and at other ranks' one-sided operations: a few milliseconds; fewer
 * where those of a large INR would take longer than SLICE_MOST_S. */
enum { SLICE_STEPS = 25 };
static const double SLICE_MOST_S = 0.5;

static void fitter_free(chunk_fitter *f)
{
    pv_fitter_free(f->fitter);
    pv_specimen_free(&f->specimen);
    pv_heldout_free(&f->heldout);
    free(f->rows);
}

/* Takes memory; signal, store, opts and queue are set. */
static pv_status fitter_make(chunk_fitter *f)
{
    pv_status st;
    f->slice = SLICE_STEPS;
    f->params = pv_store_params(f->store);
    const int n = pv_signal_form(f->signal)->samples;
    PV_TRY(pv_specimen_make(f->signal, &f->specimen));
    PV_ALLOC(f->rows, (int64_t)CHUNK_ROWS * f->params);
    PV_TRY(pv_fitter_new(pv_store_arch(f->store), n, pv_signal_coords(f->signal), f->opts->fit, &f->fitter));
    st = pv_heldout_make(f->signal, PV_FITTER_SLOTS, &f->heldout);
done:
    return st;
}

/* Whether an object is what its other views were fitted from. */
static void note_digest(chunk *c, int row, uint64_t today)
{
    uint64_t *const digest = &c->digests[row];
    c->looked++;
    if (*digest == 0) {
        *digest = today;
        c->digested = true;
    } else if (*digest != today) {
        if (c->differing < PV_SPECIMEN_NAMED) c->named[c->differing] = c->first + row;
        c->differing++;
    }
}

/* What an object's row will be judged by, and where the object lies. */
static pv_status take_heldout(chunk_fitter *f, int slot, chunk *c, int row)
{
    if (f->heldout.count == 0) return PV_OK;
    const pv_status st = pv_heldout_take(f->signal, c->objects[row], slot, &f->heldout);
    return st == PV_OK ? pv_signal_frame(f->signal, c->objects[row], c->frames[row]) : st;
}

/* Puts an attempt at row `row` of the chunk into a slot. */
static pv_status start_fit(chunk_fitter *f, int slot, chunk *c, int row, int attempt)
{
    const pv_fit_key key = {c->sources[row], c->view, attempt};
    float *weights = f->rows + (int64_t)row * f->params;
    uint64_t today;
    pv_status st;
    PV_TRY(pv_specimen_take(f->signal, c->objects[row], &f->specimen, &today));
    note_digest(c, row, today);
    PV_TRY(take_heldout(f, slot, c, row));
    pv_rng rng = pv_fit_stream(f->opts->fit, PV_RNG_VIEW_INIT, key);
    pv_inr_init(pv_store_arch(f->store), f->opts->variant, &rng, weights);
    pv_fitter_start(f->fitter, slot, weights, f->specimen.coords, f->specimen.values, key);
done:
    return st;
}

static pv_status judge(const chunk_fitter *f, int slot, chunk *c, int row)
{
    const float *weights = f->rows + (int64_t)row * f->params;
    pv_judgement found;
    const pv_status st = pv_heldout_judge(&f->heldout, slot, pv_store_arch(f->store), weights, &found);
    c->iou[row] = found.iou;
    c->surface_error[row] = found.surface_error;
    return st;
}

/* Takes a fit that has ended out of its slot; *ended is false if it is to start again. */
static pv_status end_fit(chunk_fitter *f, int slot, chunk *c, int row, int attempt, bool *ended)
{
    float *weights = f->rows + (int64_t)row * f->params;
    pv_fit_result result;
    const pv_status st = pv_fitter_finish(f->fitter, slot, weights, &result);
    f->adam_steps += result.steps;
    if (st != PV_OK && attempt < f->opts->fit->restarts) {
        f->restarted++;
        return PV_OK;
    }
    *ended = true;
    c->steps[row] = (uint32_t)result.steps;
    c->fresh[row] = true;
    if (st == PV_OK) {
        c->status[row] = PV_ROW_FITTED;
        c->psnr[row] = (float)pv_psnr(result.mse);
        f->fitted++;
        return judge(f, slot, c, row);
    }
    c->status[row] = PV_ROW_REFUSED;
    c->psnr[row] = c->iou[row] = c->surface_error[row] = NAN;
    memset(weights, 0, (size_t)f->params * sizeof *weights);
    return PV_OK;
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

static void advance(chunk_fitter *f, int used)
{
    const double start = pv_seconds();
    pv_fitter_advance(f->fitter, used, f->slice);
    if (f->slice > 1 && pv_seconds() - start > SLICE_MOST_S) f->slice /= 2;
}

/* Fits the chunk's rows wanted[0..used-1] side by side.  On failure what is fresh is good. */
static pv_status fit_group(chunk_fitter *f, chunk *c, const int *wanted, int used)
{
    int attempt[CHUNK_ROWS] = {0}, running = used;
    bool ended[CHUNK_ROWS] = {false};
    pv_status st = is_stopping(f) ? pv_stop_fail() : PV_OK;
    for (int slot = 0; st == PV_OK && slot < used; slot++)
        st = start_fit(f, slot, c, wanted[slot], 0);
    if (st == PV_OK && c->differing > 0)
        st = pv_specimen_fail(f->signal, f->store, c->differing, c->looked, c->named);
    while (st == PV_OK && running > 0 && (st = look_around(f)) == PV_OK) {
        advance(f, used);
        for (int slot = 0; st == PV_OK && slot < used; slot++) {
            if (ended[slot] || !pv_fitter_done(f->fitter, slot)) continue;
            st = end_fit(f, slot, c, wanted[slot], attempt[slot], &ended[slot]);
            running -= ended[slot];
            if (st == PV_OK && !ended[slot]) st = start_fit(f, slot, c, wanted[slot], ++attempt[slot]);
        }
    }
    return st;
}

/* Writes a run of fresh rows; their judgements first, as the status of a row says that all of it is there. */
static pv_status write_run(chunk_fitter *f, const chunk *c, int row, int count)
{
    const int64_t first = c->first + row;
    const bool judged = pv_store_is_judged(f->store);
    pv_status st;
    if (judged) {
        PV_TRY(pv_store_write_frames(f->store, first, count, c->frames[row]));
        PV_TRY(
            pv_store_write_judgements(f->store, c->view, first, count, c->iou + row, c->surface_error + row));
    }
    PV_TRY(pv_store_write_rows(f->store, c->view, first, count, f->rows + (int64_t)row * f->params,
                               c->psnr + row, c->steps + row, c->status + row));
    for (int i = row; i < row + count; i++) {
        pv_tally_row(f->sums, c->status[i], (double)c->psnr[i], judged ? (double)c->iou[i] : (double)NAN,
                     judged ? (double)c->surface_error[i] : (double)NAN);
        f->retried += c->before[i] == PV_ROW_REFUSED;
    }
done:
    return st;
}

/* Writes every run of fresh rows. */
static pv_status write_fresh(chunk_fitter *f, const chunk *c)
{
    pv_status st = c->digested ? pv_store_write_digests(f->store, c->first, c->count, c->digests) : PV_OK;
    for (int row = 0; row < c->count && st == PV_OK;) {
        int end = row;
        while (end < c->count && c->fresh[end])
            end++;
        if (end > row) st = write_run(f, c, row, end - row);
        row = end + 1;
    }
    return st;
}

/* Reads what is seen of a view from an object on. */
static pv_status see(chunk_fitter *f, int64_t view, int64_t first)
{
    const pv_fill_opts *const o = f->opts;
    seen *const s = &f->seen;
    uint8_t *split = NULL;
    const int64_t left = pv_store_objects(f->store) - first;
    *s = (seen){.view = view, .first = first, .count = left < SEEN_ROWS ? left : SEEN_ROWS};
    pv_status st;
    PV_TRY(pv_store_read_status(f->store, view, first, s->count, s->status));
    PV_ALLOC(split, s->count);
    if (o->left_out) PV_TRY(pv_store_read_splits(f->store, first, s->count, split));
    for (int64_t i = 0; i < s->count; i++)
        s->wanted[i] = s->status[i] != PV_ROW_FITTED &&
                       (s->status[i] != PV_ROW_REFUSED || o->retry_refused) &&
                       !pv_tally_leaves_out(o->left_out, split[i]);
done:
    free(split);
    return st;
}

/* Where `count` objects of a view from `first` lie in what is seen, as they were when this fill began. */
static pv_status look_up(chunk_fitter *f, int64_t view, int64_t first, int count, int64_t *at)
{
    const seen *const s = &f->seen;
    pv_status st = PV_OK;
    if (view != s->view || first < s->first || first + count > s->first + s->count) st = see(f, view, first);
    *at = first - s->first;
    return st;
}

/* Reads which objects of the signal the chunk's rows are of. */
static pv_status read_chunk(const chunk_fitter *f, chunk *c)
{
    pv_status st;
    PV_TRY(pv_store_read_sources(f->store, c->first, c->count, c->sources));
    PV_TRY(pv_store_read_digests(f->store, c->first, c->count, c->digests));
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

/* Fits and writes what is missing of `count` objects of a view from `first`, at most CHUNK_ROWS. */
static pv_status fit_rows(chunk_fitter *f, int64_t view, int64_t first, int count)
{
    chunk c = {.view = view, .first = first, .count = count, .named = {-1, -1, -1}};
    int wanted[CHUNK_ROWS], found = 0;
    int64_t at;
    pv_status st = look_up(f, view, first, count, &at);
    if (st != PV_OK) return st;
    c.before = f->seen.status + at;
    for (int row = 0; row < count; row++)
        if (f->seen.wanted[at + row]) wanted[found++] = row;
    st = found > 0 ? read_chunk(f, &c) : look_around(f);
    if (st != PV_OK || found == 0) return st;
    for (int done = 0; st == PV_OK && done < found; done += PV_FITTER_SLOTS)
        st = fit_group(f, &c, wanted + done, found - done < PV_FITTER_SLOTS ? found - done : PV_FITTER_SLOTS);
    /* What was fitted before an object that cannot be read is kept; without the lock nothing is written. */
    if (st != PV_OK && st != PV_STOPPED && pv_lock_check(f->opts->lock) != PV_OK) return st;
    const pv_status written = write_fresh(f, &c);
    return written != PV_OK ? written : st;
}

/* The last rows, two chunks a rank, are handed out a few at a time, so that all ranks end at about the same
 * time.  Those few are what the queue counts: of chunks of unlike sizes it would share out numbers, not
 * work. */
enum { TAIL_ROWS = 2, TAIL_CHUNKS = 2 };

static pv_status open_queue(const pv_comm *comm, int64_t rows, pv_queue **queue)
{
    const int64_t items = (rows + TAIL_ROWS - 1) / TAIL_ROWS, run = CHUNK_ROWS / TAIL_ROWS;
    const pv_status st = pv_queue_open(comm, items, queue);
    if (st == PV_OK) pv_queue_set_runs(*queue, run, items - TAIL_CHUNKS * run * comm->size);
    return st;
}

/* Fits a run of the queue's items; one that reaches into the next view is two chunks. */
static pv_status fit_run(chunk_fitter *f, int64_t first_item, int64_t count)
{
    const int64_t objects = pv_store_objects(f->store), rows = pv_store_views(f->store) * objects;
    const int64_t wanted = (first_item + count) * TAIL_ROWS, end = wanted < rows ? wanted : rows;
    int64_t row = first_item * TAIL_ROWS;
    pv_status st = PV_OK;
    while (st == PV_OK && row < end) {
        const int64_t view = row / objects, first = row % objects;
        const int64_t run = end - row < objects - first ? end - row : objects - first;
        st = fit_rows(f, view, first, (int)run);
        row += run;
    }
    return st;
}

/* One rank's work.  Never waits for another rank. */
static pv_status fit_runs(chunk_fitter *f, const pv_comm *comm, int64_t missing)
{
    pv_status st = PV_OK;
    pv_progress progress;
    int64_t first, count;
    pv_progress_start(&progress, "fit", "views", missing);
    while (st == PV_OK && pv_queue_take(f->queue, &first, &count)) {
        const int64_t before = f->fitted;
        st = fit_run(f, first, count);
        /* Other nodes are taken to be as far as this one. */
        const int64_t done = pv_queue_count_done(f->queue, f->fitted - before) * comm->nodes;
        pv_progress_update(&progress, done < missing ? done : missing);
    }
    if (st == PV_OK && pv_queue_cancelled(f->queue)) st = pv_stop_fail();
    if (st != PV_OK) pv_queue_cancel(f->queue);
    pv_progress_end(&progress, st == PV_OK ? missing : pv_queue_count_done(f->queue, 0));
    return st;
}

/* The job-wide sums of what the ranks did; `sums` of the store become what it holds now. */
static void gather_result(const pv_comm *comm, chunk_fitter *f, double busy, double sums[PV_TALLY_SUMS],
                          pv_fill_result *result)
{
    int64_t counts[4] = {f->fitted, f->restarted, f->adam_steps, f->retried};
    double total = busy, longest = busy;
    MPI_Allreduce(MPI_IN_PLACE, counts, 4, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, f->sums, PV_TALLY_SUMS, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int i = 0; i < PV_TALLY_SUMS; i++)
        sums[i] += f->sums[i];
    sums[PV_TALLY_REFUSED] -= (double)counts[3];
    result->written = (int64_t)(f->sums[PV_TALLY_FITTED] + f->sums[PV_TALLY_REFUSED]);
    MPI_Allreduce(MPI_IN_PLACE, &total, 1, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &longest, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    result->fitted = counts[0];
    result->restarted = counts[1];
    result->steps = counts[2];
    result->seconds = longest;
    result->idle_share = longest > 0 ? 1 - total / (longest * comm->size) : 0;
}

/* What the store holds. */
static void tell_held(const pv_store *store, const double sums[PV_TALLY_SUMS], pv_fill_result *result)
{
    const pv_tally held = pv_tally_of(sums);
    result->held = held.fitted;
    result->refused = held.refused;
    result->mean_psnr_db = held.mean_psnr_db;
    result->judged = pv_store_is_judged(store);
    result->mean_iou = held.mean_iou;
    result->mean_surface_error = held.mean_surface_error;
}

pv_status pv_fill(const pv_comm *comm, const pv_signal *signal, pv_store *store, const pv_fill_opts *opts,
                  pv_fill_result *result)
{
    chunk_fitter f = {.signal = signal, .store = store, .opts = opts};
    double sums[PV_TALLY_SUMS] = {0};
    pv_status st;
    *result = (pv_fill_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_TRY(pv_same(comm, "fit.seed of pv_fill", &opts->fit->seed, sizeof opts->fit->seed));
    PV_TRY(pv_same(comm, "fit.steps of pv_fill", &opts->fit->steps, sizeof opts->fit->steps));
    PV_TRY(pv_same(comm, "retry_refused of pv_fill", &opts->retry_refused, sizeof opts->retry_refused));
    PV_TRY(pv_same(comm, "left_out of pv_fill", &opts->left_out, sizeof opts->left_out));
    PV_TRY(pv_tally_sum(comm, store, sums));
    tell_held(store, sums, result);
    result->present = result->held;
    result->counted = true;
    int64_t counts[PV_ROW_STATUSES] = {
        [PV_ROW_MISSING] = result->rows - result->held - result->refused, [PV_ROW_REFUSED] = result->refused};
    PV_TRY(pv_specimen_check_store(comm, signal, store));
    if (opts->left_out) PV_TRY(pv_tally_statuses(comm, store, opts->left_out, counts));
    const int64_t missing = counts[PV_ROW_MISSING] + (opts->retry_refused ? counts[PV_ROW_REFUSED] : 0);
    if (missing == 0) return PV_OK;
    PV_TRY(pv_agree(comm, fitter_make(&f)));
    PV_TRY(open_queue(comm, result->rows, &f.queue));
    const double start = pv_seconds();
    st = fit_runs(&f, comm, missing);
    const double busy = pv_seconds() - start;
    st = pv_agree(comm, st);
    gather_result(comm, &f, busy, sums, result);
    tell_held(store, sums, result);
done:
    pv_queue_close(f.queue);
    fitter_free(&f);
    return st;
}
