/* Checking a store: every fitted row against its checksum. */
#ifndef PV_VERIFY_H
#define PV_VERIFY_H

#include "parallel/pv_comm.h"
#include "store/pv_store.h"

typedef struct pv_bad_row {
    int64_t view, object;
    uint64_t checksum; /* as stored */
} pv_bad_row;

typedef struct pv_verify_result {
    int64_t rows, fitted, refused, missing, bad;
    pv_bad_row *bad_rows; /* [bad] on rank 0, by view and object, NULL elsewhere; the caller frees it */
    double seconds;
} pv_verify_result;

/* Reads every row, each rank the next chunk when it is idle, and compares checksums, of fitted and of refused
 * rows; a fitted row must also be finite, and a status must be one of those there are.  A stop signal on any
 * rank ends it on all.
 * Collective.  Errors: PV_STOPPED, PV_ERR_HDF5, PV_ERR_NOMEM, PV_ERR_DATA (2^31 bad rows or more), agreed;
 * bad rows are a result, not an error. */
pv_status pv_verify(const pv_comm *comm, const pv_store *store, pv_verify_result *result);

/* Marks bad rows missing, so that a fill fits them again.  Local: rank 0, which has the list. */
pv_status pv_verify_discard(pv_store *store, const pv_verify_result *found);

/* Of the rows that were bad: how many are sound again, and how many have the very checksum that they had.
 * Local: rank 0. */
pv_status pv_verify_again(const pv_store *store, const pv_verify_result *found, int64_t *sound,
                          int64_t *same);

#endif
