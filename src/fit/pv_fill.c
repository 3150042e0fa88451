/* Filling a store: the rows are divided into chunks, which all ranks take from a queue. */
#include "fit/pv_fill.h"
#include "base/pv_clock.h"
#include "base/pv_progress.h"
#include "base/pv_stop.h"
#include "parallel/pv_queue.h"
#include "pv_chunk_fitter.h"
#include "store/pv_tally.h"

/* The last rows, two chunks a rank, are handed out a few at a time, so that all ranks end at about the same
 * time. */
enum { TAIL_ROWS = 2, TAIL_CHUNKS = 2 };

/* How the rows of a store, numbered view by view, are divided into chunks. */
typedef struct division {
    int64_t rows, large, chunks; /* `large` chunks of CHUNK_ROWS rows, then chunks of TAIL_ROWS */
} division;

static division divide(int64_t rows, int ranks)
{
    const int64_t tail = (int64_t)TAIL_CHUNKS * CHUNK_ROWS * ranks;
    const int64_t large = rows > tail ? (rows - tail) / CHUNK_ROWS : 0;
    const int64_t left = rows - large * CHUNK_ROWS;
    return (division){rows, large, large + (left + TAIL_ROWS - 1) / TAIL_ROWS};
}

/* Fits chunk `i`; one that reaches into the next view is two. */
static pv_status fit_chunk(chunk_fitter *f, const division *work, int64_t i)
{
    const int64_t objects = pv_store_objects(f->store), tail = work->large * CHUNK_ROWS;
    const bool large = i < work->large;
    int64_t row = large ? i * CHUNK_ROWS : tail + (i - work->large) * TAIL_ROWS;
    const int64_t wanted = row + (large ? CHUNK_ROWS : TAIL_ROWS);
    const int64_t end = wanted < work->rows ? wanted : work->rows;
    pv_status st = PV_OK;
    while (st == PV_OK && row < end) {
        const int64_t view = row / objects, first = row % objects;
        const int64_t run = end - row < objects - first ? end - row : objects - first;
        st = chunk_fitter_run(f, view, first, (int)run);
        row += run;
    }
    return st;
}

/* One rank's work.  Never waits for another rank. */
static pv_status fit_chunks(chunk_fitter *f, const pv_comm *comm, const division *work, int64_t missing)
{
    pv_status st = PV_OK;
    pv_progress progress;
    int64_t i;
    pv_progress_start(&progress, "fit", "views", missing);
    while (st == PV_OK && pv_queue_take(f->queue, &i)) {
        const int64_t before = f->fitted;
        st = fit_chunk(f, work, i);
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
static void gather_result(const pv_comm *comm, const chunk_fitter *f, double busy, pv_fill_result *result)
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
    chunk_fitter f = {.signal = signal, .store = store, .opts = opts};
    pv_tally counts;
    pv_status st;
    *result = (pv_fill_result){.rows = pv_store_views(store) * pv_store_objects(store)};
    PV_TRY(pv_same(comm, "fit.seed of pv_fill", &opts->fit->seed, sizeof opts->fit->seed));
    PV_TRY(pv_same(comm, "fit.steps of pv_fill", &opts->fit->steps, sizeof opts->fit->steps));
    PV_TRY(pv_same(comm, "retry_refused of pv_fill", &opts->retry_refused, sizeof opts->retry_refused));
    PV_TRY(pv_tally_store(comm, store, &counts));
    result->present = counts.fitted;
    result->refused = counts.refused;
    result->mean_psnr_db = counts.mean_psnr_db;
    const division work = divide(result->rows, comm->size);
    const int64_t missing = result->rows - counts.fitted - (opts->retry_refused ? 0 : counts.refused);
    if (missing == 0) return PV_OK;
    PV_TRY(pv_agree(comm, chunk_fitter_make(&f)));
    PV_TRY(pv_queue_open(comm, work.chunks, &f.queue));
    const double start = pv_seconds();
    st = fit_chunks(&f, comm, &work, missing);
    const double busy = pv_seconds() - start;
    st = pv_agree(comm, st);
    gather_result(comm, &f, busy, result);
    const pv_status counted = pv_tally_store(comm, store, &counts);
    result->refused = counts.refused;
    result->mean_psnr_db = counts.mean_psnr_db;
    st = st == PV_OK ? counted : st;
done:
    pv_queue_close(f.queue);
    chunk_fitter_free(&f);
    return st;
}
