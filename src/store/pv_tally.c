/* What a store holds: counts of rows, and how good they are. */
#include "store/pv_tally.h"
#include "base/pv_mem.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 65536 };
/* What the ranks add up, as doubles: counts stay exact below 2^53. */
enum {
    FITTED,
    REFUSED,
    UNKNOWN,
    INFINITE,
    NEGATIVE,
    PSNR_SUM,
    IOU_COUNT,
    IOU_SUM,
    ERROR_COUNT,
    ERROR_SUM,
    FIRST_BIN,
    SUMS = FIRST_BIN + PV_TALLY_BINS
};

/* What is read of BLOCK rows. */
typedef struct rows {
    uint8_t *status;
    float *psnr, *iou, *surface_error;
} rows;

static void add_psnr(double psnr, double sums[SUMS])
{
    const int bin = psnr >= PV_TALLY_BINS - 1 ? PV_TALLY_BINS - 1 : psnr > 0 ? (int)psnr : 0;
    sums[UNKNOWN] += isnan(psnr);
    sums[INFINITE] += isinf(psnr) != 0;
    sums[NEGATIVE] += psnr < 0;
    if (isfinite(psnr)) sums[PSNR_SUM] += psnr;
    if (!isnan(psnr)) sums[FIRST_BIN + bin] += 1;
}

static void add_judgement(double iou, double surface_error, double sums[SUMS])
{
    sums[IOU_COUNT] += isfinite(iou);
    if (isfinite(iou)) sums[IOU_SUM] += iou;
    sums[ERROR_COUNT] += isfinite(surface_error);
    if (isfinite(surface_error)) sums[ERROR_SUM] += surface_error;
}

static void add_block(int64_t count, const rows *r, bool judged, double sums[SUMS])
{
    for (int64_t i = 0; i < count; i++) {
        sums[FITTED] += r->status[i] == PV_ROW_FITTED;
        sums[REFUSED] += r->status[i] == PV_ROW_REFUSED;
        if (r->status[i] != PV_ROW_FITTED) continue;
        add_psnr((double)r->psnr[i], sums);
        if (judged) add_judgement((double)r->iou[i], (double)r->surface_error[i], sums);
    }
}

/* Adds up this rank's share of one view.  Where nothing is fitted there is nothing more to read. */
static pv_status add_view(const pv_store *store, int64_t view, int64_t first, int64_t left, rows *r,
                          double sums[SUMS])
{
    const bool judged = pv_store_is_judged(store);
    pv_status st = PV_OK;
    for (; left > 0; left -= BLOCK, first += BLOCK) {
        const int64_t count = left < BLOCK ? left : BLOCK;
        PV_TRY(pv_store_read_status(store, view, first, count, r->status));
        if (memchr(r->status, PV_ROW_FITTED, (size_t)count)) {
            PV_TRY(pv_store_read_psnr(store, view, first, count, r->psnr));
            if (judged) PV_TRY(pv_store_read_judgements(store, view, first, count, r->iou, r->surface_error));
        }
        add_block(count, r, judged, sums);
    }
done:
    return st;
}

pv_status pv_tally_store(const pv_comm *comm, const pv_store *store, pv_tally *tally)
{
    pv_status st;
    double sums[SUMS] = {0};
    rows r = {0};
    int64_t first, share;
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &share);
    PV_ALLOC(r.status, BLOCK);
    PV_ALLOC(r.psnr, BLOCK);
    PV_ALLOC(r.iou, BLOCK);
    PV_ALLOC(r.surface_error, BLOCK);
    st = PV_OK;
    for (int64_t view = 0; view < pv_store_views(store); view++)
        PV_TRY(add_view(store, view, first, share, &r, sums));
done:
    PV_FREE(r.status, r.psnr, r.iou, r.surface_error);
    st = pv_agree(comm, st);
    MPI_Allreduce(MPI_IN_PLACE, sums, SUMS, MPI_DOUBLE, MPI_SUM, comm->world);
    const double finite = sums[FITTED] - sums[UNKNOWN] - sums[INFINITE];
    *tally = (pv_tally){.fitted = (int64_t)sums[FITTED],
                        .refused = (int64_t)sums[REFUSED],
                        .psnr_unknown = (int64_t)sums[UNKNOWN],
                        .psnr_infinite = (int64_t)sums[INFINITE],
                        .psnr_negative = (int64_t)sums[NEGATIVE],
                        .mean_psnr_db = finite > 0 ? sums[PSNR_SUM] / finite : (double)NAN,
                        .mean_iou = sums[IOU_SUM] / sums[IOU_COUNT],
                        .mean_surface_error = sums[ERROR_SUM] / sums[ERROR_COUNT]};
    for (int bin = 0; bin < PV_TALLY_BINS; bin++)
        tally->psnr_bins[bin] = (int64_t)sums[FIRST_BIN + bin];
    return st;
}
