/* A window of time in which fits are timed beside the limits of the core. */
#ifndef PV_BENCH_WINDOW_H
#define PV_BENCH_WINDOW_H

#include "run/pv_limits.h"
#include "run/pv_timed_fits.h"

/* What one rank saw in a window of time; every figure a median over `repetitions`. */
typedef struct pv_bench_window {
    pv_limits limits;
    double rate;       /* INR-steps a second */
    double core_share; /* of the time in which the core was this process's */
    double share;      /* of that time that the work would take at the limits of the same repetition */
    double repetitions;
} pv_bench_window;

/* Measures limits and rate in turn for `seconds`, at least once.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_bench_watch(pv_timed_fits *fits, double seconds, pv_bench_window *window);

#endif
