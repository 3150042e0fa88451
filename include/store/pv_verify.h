/* Checking a store: every fitted row against its checksum. */
#ifndef PV_VERIFY_H
#define PV_VERIFY_H

#include "base/pv_comm.h"
#include "store/pv_store.h"

typedef struct pv_bad_row {
    int64_t view, object;
} pv_bad_row;

typedef struct pv_verify_result {
    int64_t rows, fitted, refused, missing, bad;
    pv_bad_row *bad_rows; /* [bad] on rank 0, in no particular order, NULL elsewhere; the caller frees it */
    double seconds;
} pv_verify_result;

/* Reads every row, each rank a share of the objects, and compares checksums; a fitted row must also be
 * finite, a refused row is only counted. Collective.  Errors: PV_ERR_HDF5, PV_ERR_NOMEM, agreed; bad rows are
 * a result, not an error. */
pv_status pv_verify(const pv_comm *comm, const pv_store *store, pv_verify_result *result);

#endif
