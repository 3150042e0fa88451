/* Measures limits and fits in turn. */
#include "pv_bench_window.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_median.h"

#include <math.h>
#include <stdlib.h>

/* One repetition: the limits, then the fits. */
static const double limits_seconds = 0.01, rate_seconds = 0.03;

enum { FMA, OWN, LIBMVEC, PAIR, RATE, CORE, SHARE, FIGURES };

static void repeat(pv_timed_fits *fits, double figures[FIGURES])
{
    pv_limits limits;
    pv_limits_measure(limits_seconds, &limits);
    figures[RATE] = pv_timed_fits_rate(fits, rate_seconds, &figures[CORE]);
    figures[SHARE] = figures[RATE] / figures[CORE] *
                     pv_limits_seconds(&limits, pv_timed_fits_flops(fits), pv_timed_fits_pairs(fits));
    figures[FMA] = limits.fma_gflops;
    figures[OWN] = limits.sincos_own_ns;
    figures[LIBMVEC] = limits.sincos_libmvec_ns;
    figures[PAIR] = limits.sincos_ns;
}

pv_status pv_bench_watch(pv_timed_fits *fits, double seconds, pv_bench_window *window)
{
    pv_status st = PV_OK;
    const int room = 1 + (int)fmin(seconds / (limits_seconds + rate_seconds), 1e6);
    const double begin = pv_seconds();
    double *figures = NULL, median[FIGURES];
    int count = 0;
    PV_ALLOC(figures, (int64_t)FIGURES * room);
    while (count < room) {
        double now[FIGURES];
        repeat(fits, now);
        /* One that outlasts the window saw other ranks come to their end. */
        if (count > 0 && pv_seconds() - begin > seconds) break;
        for (int i = 0; i < FIGURES; i++)
            figures[i * room + count] = now[i];
        count++;
    }
    for (int i = 0; i < FIGURES; i++)
        median[i] = pv_median(count, figures + (int64_t)i * room);
    window->limits = (pv_limits){.fma_gflops = median[FMA],
                                 .sincos_ns = median[PAIR],
                                 .sincos_own_ns = median[OWN],
                                 .sincos_libmvec_ns = median[LIBMVEC]};
    window->rate = median[RATE];
    window->core_share = median[CORE];
    window->share = median[SHARE];
    window->repetitions = count;
done:
    free(figures);
    return st;
}
