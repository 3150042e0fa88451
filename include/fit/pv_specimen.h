/* What an object is fitted from, as the fitter takes it, and its digest: whether it is what it was. */
#ifndef PV_SPECIMEN_H
#define PV_SPECIMEN_H

#include "parallel/pv_comm.h"
#include "signal/pv_signal.h"
#include "store/pv_store.h"

/* One owner, freed by pv_specimen_free. */
typedef struct pv_specimen {
    float *values; /* [n][channels]; behind them coordinates, targets and label, for the digest */
    float *coords; /* [n][inputs] of the object, within; NULL: all objects share theirs */
    int64_t words; /* of 4 bytes, in all */
} pv_specimen;

/* Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_specimen_make(const pv_signal *signal, pv_specimen *specimen);
void pv_specimen_free(pv_specimen *specimen);

/* Takes an object.  *digest is not 0: XXH3-64 of its values, own coordinates and real targets (all float32)
 * and label (int32), one behind the other.  Local.  Errors: those of pv_signal_samples. */
pv_status pv_specimen_take(const pv_signal *signal, int64_t object, pv_specimen *specimen, uint64_t *digest);

/* Whether an object of the store, which the signal has as `number`, is another one than it was fitted from,
 * where the store keeps its digest.  Local.  Errors: as pv_specimen_take; PV_ERR_HDF5. */
pv_status pv_specimen_compare(const pv_signal *signal, int64_t number, const pv_store *store, int64_t object,
                              bool *differs);

/* Whether the signal's objects are those that the store's were fitted from, as far as it keeps digests: of
 * all objects, or of so many, in runs at equal distances, as take about a second.
 * Collective.  Errors: PV_STOPPED, those of pv_signal_samples, PV_ERR_DATA (objects and both signals are
 * named), PV_ERR_HDF5, PV_ERR_NOMEM, agreed. */
pv_status pv_specimen_check_store(const pv_comm *comm, const pv_signal *signal, const pv_store *store);

/* Fails for `differing` of `looked` objects that are not what they were; `named` are some, then -1.
 * Local. */
enum { PV_SPECIMEN_NAMED = 3 };
pv_status pv_specimen_fail(const pv_signal *signal, const pv_store *store, int64_t differing, int64_t looked,
                           const int64_t named[PV_SPECIMEN_NAMED]);

#endif
