/* How a store is to be filled: the recipe of its fits, and when a run ends. */
#ifndef PV_FILL_OPTS_H
#define PV_FILL_OPTS_H

#include "inr/pv_inr_opts.h"
#include "store/pv_lock.h"

#include <stdbool.h>

typedef struct pv_fill_opts {
    pv_inr_variant variant;
    const pv_fit_opts *fit;
    bool retry_refused; /* refused rows count as missing */
    double grace;       /* seconds for which fits in flight go on after a stop signal */
    pv_lock *lock; /* of the store, looked at while the run goes on; NULL where nobody else knows the store */
} pv_fill_opts;

#endif
