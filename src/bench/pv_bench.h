/* What benches share: figures of a core alone and of all cores together, in turn (what drifts, drifts for
 * both), and how they are told. */
#ifndef PV_BENCH_H
#define PV_BENCH_H

#include "parallel/pv_comm.h"

#include <jansson.h>

enum { PV_BENCH_FIGURES = 9 }; /* at most */

/* A figure of a core, and how it is told. */
typedef struct pv_bench_figure {
    const char *key;           /* in the result */
    const char *text, *format; /* in the table; NULL: not there */
} pv_bench_figure;

typedef struct pv_bench_watched {
    const pv_bench_figure *about; /* [figures] */
    int figures, rate;            /* how many, and which of them is the rate of a core */
    double repetition;            /* seconds that one takes at least */
    bool in_step;                 /* together, every rank repeats as often: repeat is collective then */
    void *context;
    /* Measures this rank's figures once: rank 0 alone, or all ranks together. */
    pv_status (*repeat)(void *context, bool together, double *figures);
} pv_bench_watched;

/* Medians over the rounds, per core. */
typedef struct pv_bench_rates {
    double alone[PV_BENCH_FIGURES];    /* of rank 0; zeros on the others */
    double together[PV_BENCH_FIGURES]; /* means over the ranks */
    double scaling; /* rate of a core among all / rate of a core alone; 1 on other ranks than 0 */
} pv_bench_rates;

/* Repeats on rank 0 alone while the others sleep, then on all, round after round, for `seconds` in all.
 * Collective.  Errors: PV_STOPPED, PV_ERR_NOMEM, those of `repeat`, agreed. */
pv_status pv_bench_rounds(const pv_comm *comm, const pv_bench_watched *watched, double seconds,
                          pv_bench_rates *rates);

/* Adds the figures to the result, their keys followed by `suffix`.  Local. */
void pv_bench_put(const pv_bench_watched *watched, const double *figures, const char *suffix, json_t *result);
/* Prints the table, to stderr.  Local. */
void pv_bench_print(const pv_bench_watched *watched, const pv_bench_rates *rates);

#endif
