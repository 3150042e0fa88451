/* Figures of a core alone and of all cores together, in turn: what drifts, drifts for both. */
#ifndef PV_BENCH_ROUNDS_H
#define PV_BENCH_ROUNDS_H

#include "parallel/pv_comm.h"

enum { PV_BENCH_FIGURES = 8 }; /* at most */

typedef struct pv_bench_watched {
    int figures, rate; /* how many, and which of them is the rate of a core */
    void *context;
    /* This rank's figures over some seconds: rank 0 alone, or all ranks together, which is collective. */
    pv_status (*watch)(void *context, bool together, double seconds, double *figures);
} pv_bench_watched;

/* Medians over the rounds, per core. */
typedef struct pv_bench_rates {
    double alone[PV_BENCH_FIGURES];    /* of rank 0; zeros on the others */
    double together[PV_BENCH_FIGURES]; /* means over the ranks */
    double scaling; /* rate of a core among all / rate of a core alone; 1 on other ranks than 0 */
} pv_bench_rates;

/* Rank 0 alone while the others sleep, then all, round after round, for `seconds` in all.
 * Collective.  Errors: PV_STOPPED, those of `watch`, agreed. */
pv_status pv_bench_rounds(const pv_comm *comm, const pv_bench_watched *watched, double seconds,
                          pv_bench_rates *rates);

#endif
