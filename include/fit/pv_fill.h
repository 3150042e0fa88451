/* Filling a store: every missing view is fitted, by all ranks, each taking the next chunk when it is idle. */
#ifndef PV_FILL_H
#define PV_FILL_H

#include "inr/pv_inr_opts.h"
#include "parallel/pv_comm.h"
#include "signal/pv_signal.h"
#include "store/pv_lock.h"
#include "store/pv_store.h"

/* How: the recipe of the fits, and when a run ends. */
typedef struct pv_fill_opts {
    pv_inr_variant variant;
    const pv_fit_opts *fit;
    bool retry_refused; /* refused rows count as missing */
    unsigned left_out;  /* bit s: rows of objects of split s (PV_SPLIT_TRAIN, ...) are left to later runs */
    double grace;       /* seconds for which fits in flight go on after a stop signal */
    pv_lock *lock; /* of the store, looked at while the run goes on; NULL where nobody else knows the store */
} pv_fill_opts;

typedef struct pv_fill_result {
    int64_t rows;        /* views in the store */
    bool counted;        /* it was not stopped before it knew what follows */
    int64_t present;     /* fitted before this run */
    int64_t fitted;      /* fitted by this run */
    int64_t written;     /* rows that it wrote, refused ones included */
    int64_t held;        /* fitted rows of the store afterwards */
    int64_t refused;     /* rows of the store that are refused, by this run or an earlier one */
    int64_t restarted;   /* restarts in this run */
    int64_t steps;       /* Adam steps of the fits that ended in this run, restarted ones included */
    double seconds;      /* of fitting, the slowest rank's */
    double idle_share;   /* share of ranks x seconds spent waiting at the end */
    double mean_psnr_db; /* over all fitted views of the store */
    bool judged;         /* by held-out samples: then likewise */
    double mean_iou, mean_surface_error;
} pv_fill_result;

/* Fits every view whose status is missing, and with `retry_refused` those that are refused, but for those of
 * objects whose split is left out.
 *
 * A fit whose loss or weights are not finite starts again from the view's next random stream, at most
 * fit->restarts times; then its row is refused: zeros, psnr NaN, the steps of the last attempt.  A row is a
 * pure function of (fit.seed, source id of the object, view) and the recipe: it does not depend on ranks,
 * order, or earlier interrupted runs.  A stop signal on any rank ends it early on all: no fit is begun, those
 * in flight may end within opts->grace seconds and are dropped after, everything finished is written.
 *
 * Objects are found in the signal by their source ids, and must be what their views were fitted from
 * (pv_specimen.h).
 * Collective.  Errors: PV_STOPPED (result is valid), PV_ERR_IO (the lock was lost), PV_ERR_DATA (an object
 *          that the signal does not have, or has otherwise), PV_ERR_HDF5 and others, agreed; what was
 * written stays.
 * Random   PV_RNG_VIEW_INIT and PV_RNG_MINIBATCH, by pv_fit_key (source id, view, attempt). */
pv_status pv_fill(const pv_comm *comm, const pv_signal *signal, pv_store *store, const pv_fill_opts *opts,
                  pv_fill_result *result);

#endif
