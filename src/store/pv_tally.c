/* What a store holds: counts of rows, and how good they are. */
#include "store/pv_tally.h"
#include "base/pv_mem.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 65536 };
/* What the ranks add up, as doubles: counts stay exact below 2^53. */
enum { FITTED, REFUSED, UNKNOWN, INFINITE, NEGATIVE, PSNR_SUM, FIRST_BIN, SUMS = FIRST_BIN + PV_TALLY_BINS };

static void add_psnr(double psnr, double sums[SUMS])
{
    const int bin = psnr >= PV_TALLY_BINS - 1 ? PV_TALLY_BINS - 1 : psnr > 0 ? (int)psnr : 0;
    sums[UNKNOWN] += isnan(psnr);
    sums[INFINITE] += isinf(psnr) != 0;
    sums[NEGATIVE] += psnr < 0;
    if (isfinite(psnr)) sums[PSNR_SUM] += psnr;
    if (!isnan(psnr)) sums[FIRST_BIN + bin] += 1;
}

static void add_block(int64_t count, const uint8_t *status, const float *psnr, double sums[SUMS])
{
    for (int64_t i = 0; i < count; i++) {
        sums[FITTED] += status[i] == PV_ROW_FITTED;
        sums[REFUSED] += status[i] == PV_ROW_REFUSED;
        if (status[i] == PV_ROW_FITTED) add_psnr((double)psnr[i], sums);
    }
}

/* Adds up this rank's share of one view.  Where nothing is fitted there is no PSNR to read. */
static pv_status add_view(const pv_store *store, int64_t view, int64_t first, int64_t left, uint8_t *status,
                          float *psnr, double sums[SUMS])
{
    pv_status st = PV_OK;
    for (; st == PV_OK && left > 0; left -= BLOCK, first += BLOCK) {
        const int64_t count = left < BLOCK ? left : BLOCK;
        st = pv_store_read_status(store, view, first, count, status);
        if (st == PV_OK && memchr(status, PV_ROW_FITTED, (size_t)count))
            st = pv_store_read_psnr(store, view, first, count, psnr);
        if (st == PV_OK) add_block(count, status, psnr, sums);
    }
    return st;
}

pv_status pv_tally_store(const pv_comm *comm, const pv_store *store, pv_tally *tally)
{
    pv_status st;
    double sums[SUMS] = {0};
    uint8_t *status = NULL;
    float *psnr = NULL;
    int64_t first, share;
    pv_share_of(pv_store_objects(store), comm->rank, comm->size, &first, &share);
    PV_ALLOC(status, BLOCK);
    PV_ALLOC(psnr, BLOCK);
    st = PV_OK;
    for (int64_t view = 0; view < pv_store_views(store); view++)
        PV_TRY(add_view(store, view, first, share, status, psnr, sums));
done:
    PV_FREE(status, psnr);
    st = pv_agree(comm, st);
    MPI_Allreduce(MPI_IN_PLACE, sums, SUMS, MPI_DOUBLE, MPI_SUM, comm->world);
    const double finite = sums[FITTED] - sums[UNKNOWN] - sums[INFINITE];
    *tally = (pv_tally){.fitted = (int64_t)sums[FITTED],
                        .refused = (int64_t)sums[REFUSED],
                        .psnr_unknown = (int64_t)sums[UNKNOWN],
                        .psnr_infinite = (int64_t)sums[INFINITE],
                        .psnr_negative = (int64_t)sums[NEGATIVE],
                        .mean_psnr_db = finite > 0 ? sums[PSNR_SUM] / finite : (double)NAN};
    for (int bin = 0; bin < PV_TALLY_BINS; bin++)
        tally->psnr_bins[bin] = (int64_t)sums[FIRST_BIN + bin];
    return st;
}
