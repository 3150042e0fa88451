/* What a store holds: counts of rows, and how good they are. */
#ifndef PV_TALLY_H
#define PV_TALLY_H

#include "parallel/pv_comm.h"
#include "store/pv_store.h"

/* Bin b counts PSNRs in b .. b + 1 dB; the last one all that are higher, the first one all that are lower
 * too. */
enum { PV_TALLY_BINS = 64 };

/* What is added up, as doubles: counts stay exact below 2^53. */
enum {
    PV_TALLY_FITTED,
    PV_TALLY_REFUSED,
    PV_TALLY_UNKNOWN,
    PV_TALLY_INFINITE,
    PV_TALLY_NEGATIVE,
    PV_TALLY_PSNR,
    PV_TALLY_IOUS,
    PV_TALLY_IOU,
    PV_TALLY_ERRORS,
    PV_TALLY_ERROR,
    PV_TALLY_BIN,
    PV_TALLY_SUMS = PV_TALLY_BIN + PV_TALLY_BINS
};

typedef struct pv_tally {
    int64_t fitted, refused;             /* the other rows are missing */
    int64_t psnr_unknown, psnr_infinite; /* of the fitted: NaN, as of imported rows; of exact fits */
    int64_t psnr_negative;
    double mean_psnr_db;                 /* of the finite ones, NaN if there are none */
    double mean_iou, mean_surface_error; /* of rows that are judged (pv_heldout.h), NaN if there are none */
    int64_t psnr_bins[PV_TALLY_BINS];    /* of all but the unknown */
} pv_tally;

/* Adds a row; its figures count where it is fitted, and are NaN where they are not known.  Local. */
void pv_tally_row(double sums[PV_TALLY_SUMS], uint8_t status, double psnr, double iou, double surface_error);
/* What sums say.  Local. */
pv_tally pv_tally_of(const double sums[PV_TALLY_SUMS]);

/* Reads status, PSNR and judgements of every row, each rank those of a share of the objects, and sums over
 * the ranks.  Tells how far it is.
 * Collective.  Errors: PV_STOPPED, PV_ERR_HDF5, PV_ERR_NOMEM, agreed. */
pv_status pv_tally_sum(const pv_comm *comm, const pv_store *store, double sums[PV_TALLY_SUMS]);
/* Whether objects of a split are left out: bit s of `left_out` is split s (PV_SPLIT_TRAIN, ...).  One that is
 * none of them, as of a damaged store, is left out with any.  Local. */
bool pv_tally_leaves_out(unsigned left_out, uint8_t split);
/* How many rows have each status (PV_ROW_MISSING, ...), of objects whose split is not left out.
 * Collective.  Errors: as pv_tally_sum. */
pv_status pv_tally_statuses(const pv_comm *comm, const pv_store *store, unsigned left_out,
                            int64_t counts[PV_ROW_STATUSES]);
/* As pv_tally_sum, and what they say. */
pv_status pv_tally_store(const pv_comm *comm, const pv_store *store, pv_tally *tally);

#endif
