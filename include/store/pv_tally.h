/* What a store holds: counts of rows, and how good they are. */
#ifndef PV_TALLY_H
#define PV_TALLY_H

#include "parallel/pv_comm.h"
#include "store/pv_store.h"

/* Bin b counts PSNRs in b .. b + 1 dB; the last one all that are higher, the first one all that are lower
 * too. */
enum { PV_TALLY_BINS = 64 };

typedef struct pv_tally {
    int64_t fitted, refused;             /* the other rows are missing */
    int64_t psnr_unknown, psnr_infinite; /* of the fitted: NaN, as of imported rows; of exact fits */
    int64_t psnr_negative;
    double mean_psnr_db;                 /* of the finite ones, NaN if there are none */
    double mean_iou, mean_surface_error; /* of rows that are judged (pv_heldout.h), NaN if there are none */
    int64_t psnr_bins[PV_TALLY_BINS];    /* of all but the unknown */
} pv_tally;

/* Reads status, PSNR and judgements of every row, each rank those of a share of the objects.
 * Collective.  Errors: PV_ERR_HDF5, PV_ERR_NOMEM, agreed. */
pv_status pv_tally_store(const pv_comm *comm, const pv_store *store, pv_tally *tally);

#endif
