/* What a store holds: counts of rows, and how good they are. */
#include "store/pv_tally.h"
#include "base/pv_mem.h"
#include "parallel/pv_walk.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 1 << 18 };

static void add_psnr(double psnr, double sums[PV_TALLY_SUMS])
{
    const int bin = psnr >= PV_TALLY_BINS - 1 ? PV_TALLY_BINS - 1 : psnr > 0 ? (int)psnr : 0;
    sums[PV_TALLY_UNKNOWN] += isnan(psnr);
    sums[PV_TALLY_INFINITE] += isinf(psnr) != 0;
    sums[PV_TALLY_NEGATIVE] += psnr < 0;
    if (isfinite(psnr)) sums[PV_TALLY_PSNR] += psnr;
    if (!isnan(psnr)) sums[PV_TALLY_BIN + bin] += 1;
}

void pv_tally_row(double sums[PV_TALLY_SUMS], uint8_t status, double psnr, double iou, double surface_error)
{
    sums[PV_TALLY_FITTED] += status == PV_ROW_FITTED;
    sums[PV_TALLY_REFUSED] += status == PV_ROW_REFUSED;
    if (status != PV_ROW_FITTED) return;
    add_psnr(psnr, sums);
    sums[PV_TALLY_IOUS] += isfinite(iou);
    if (isfinite(iou)) sums[PV_TALLY_IOU] += iou;
    sums[PV_TALLY_ERRORS] += isfinite(surface_error);
    if (isfinite(surface_error)) sums[PV_TALLY_ERROR] += surface_error;
}

pv_tally pv_tally_of(const double sums[PV_TALLY_SUMS])
{
    const double finite = sums[PV_TALLY_FITTED] - sums[PV_TALLY_UNKNOWN] - sums[PV_TALLY_INFINITE];
    pv_tally tally = {.fitted = (int64_t)sums[PV_TALLY_FITTED],
                      .refused = (int64_t)sums[PV_TALLY_REFUSED],
                      .psnr_unknown = (int64_t)sums[PV_TALLY_UNKNOWN],
                      .psnr_infinite = (int64_t)sums[PV_TALLY_INFINITE],
                      .psnr_negative = (int64_t)sums[PV_TALLY_NEGATIVE],
                      .mean_psnr_db = finite > 0 ? sums[PV_TALLY_PSNR] / finite : (double)NAN,
                      .mean_iou = sums[PV_TALLY_IOU] / sums[PV_TALLY_IOUS],
                      .mean_surface_error = sums[PV_TALLY_ERROR] / sums[PV_TALLY_ERRORS]};
    for (int bin = 0; bin < PV_TALLY_BINS; bin++)
        tally.psnr_bins[bin] = (int64_t)sums[PV_TALLY_BIN + bin];
    return tally;
}

/* One rank's reading of BLOCK rows of a view. */
typedef struct reading {
    const pv_store *store;
    int64_t view;
    uint8_t *status;
    float *psnr, *iou, *surface_error;
    double sums[PV_TALLY_SUMS];
} reading;

/* Where nothing is fitted there is nothing more to read. */
static pv_status add_block(void *context, int64_t first, int64_t count)
{
    reading *const r = context;
    const bool judged = pv_store_is_judged(r->store);
    pv_status st;
    PV_TRY(pv_store_read_status(r->store, r->view, first, count, r->status));
    if (memchr(r->status, PV_ROW_FITTED, (size_t)count)) {
        PV_TRY(pv_store_read_psnr(r->store, r->view, first, count, r->psnr));
        if (judged)
            PV_TRY(pv_store_read_judgements(r->store, r->view, first, count, r->iou, r->surface_error));
    }
    for (int64_t i = 0; i < count; i++)
        if (r->status[i] != PV_ROW_MISSING)
            pv_tally_row(r->sums, r->status[i], (double)r->psnr[i], judged ? (double)r->iou[i] : (double)NAN,
                         judged ? (double)r->surface_error[i] : (double)NAN);
done:
    return st;
}

static pv_status reading_make(reading *r)
{
    pv_status st = PV_OK;
    PV_ALLOC(r->status, BLOCK);
    PV_ALLOC(r->psnr, BLOCK);
    PV_ALLOC(r->iou, BLOCK);
    PV_ALLOC(r->surface_error, BLOCK);
done:
    return st;
}

/* Visits the objects of every view, a block at a time; *view is the one that it is at.  Collective. */
static pv_status walk_views(const pv_comm *comm, const pv_store *store,
                            pv_status (*visit)(void *context, int64_t first, int64_t count), void *context,
                            int64_t *view)
{
    const int64_t objects = pv_store_objects(store), views = pv_store_views(store);
    const pv_walk walk = {.items = objects, .block = BLOCK, .visit = visit, .context = context};
    pv_progress progress;
    int64_t passed = 0;
    pv_status st = PV_OK;
    pv_progress_start(&progress, "counting", "rows", views * objects);
    for (*view = 0; *view < views; ++*view)
        PV_TRY(pv_walk_leg(comm, &walk, &progress, &passed));
    pv_walk_end(&progress, passed);
done:
    return st;
}

pv_status pv_tally_sum(const pv_comm *comm, const pv_store *store, double sums[PV_TALLY_SUMS])
{
    reading r = {.store = store};
    pv_status st;
    PV_TRY(pv_agree(comm, reading_make(&r)));
    PV_TRY(walk_views(comm, store, add_block, &r, &r.view));
    MPI_Allreduce(r.sums, sums, PV_TALLY_SUMS, MPI_DOUBLE, MPI_SUM, comm->world);
done:
    PV_FREE(r.status, r.psnr, r.iou, r.surface_error);
    return st;
}

bool pv_tally_leaves_out(unsigned left_out, uint8_t split)
{
    return left_out != 0 && (split >= PV_SPLITS || left_out >> split & 1);
}

/* One rank's counting of statuses. */
typedef struct census {
    const pv_store *store;
    unsigned left_out;
    int64_t view;
    uint8_t *status, *split;
    int64_t counts[PV_ROW_STATUSES];
} census;

static pv_status count_block(void *context, int64_t first, int64_t count)
{
    census *const c = context;
    pv_status st;
    PV_TRY(pv_store_read_status(c->store, c->view, first, count, c->status));
    PV_TRY(pv_store_read_splits(c->store, first, count, c->split));
    for (int64_t i = 0; i < count; i++)
        if (!pv_tally_leaves_out(c->left_out, c->split[i]) && c->status[i] < PV_ROW_STATUSES)
            c->counts[c->status[i]]++;
done:
    return st;
}

static pv_status census_make(census *c)
{
    pv_status st = PV_OK;
    PV_ALLOC(c->status, BLOCK);
    PV_ALLOC(c->split, BLOCK);
done:
    return st;
}

pv_status pv_tally_statuses(const pv_comm *comm, const pv_store *store, unsigned left_out,
                            int64_t counts[PV_ROW_STATUSES])
{
    census c = {.store = store, .left_out = left_out};
    pv_status st;
    PV_TRY(pv_agree(comm, census_make(&c)));
    PV_TRY(walk_views(comm, store, count_block, &c, &c.view));
    MPI_Allreduce(c.counts, counts, PV_ROW_STATUSES, MPI_INT64_T, MPI_SUM, comm->world);
done:
    PV_FREE(c.status, c.split);
    return st;
}

pv_status pv_tally_store(const pv_comm *comm, const pv_store *store, pv_tally *tally)
{
    double sums[PV_TALLY_SUMS] = {0};
    const pv_status st = pv_tally_sum(comm, store, sums);
    *tally = pv_tally_of(sums);
    return st;
}
