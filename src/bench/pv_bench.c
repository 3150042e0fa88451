/* The table of benches, and what they share: rounds of a core alone and of all cores together. */
#include "pv_bench.h"
#include "base/pv_clock.h"
#include "base/pv_json.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "bench/pv_benches.h"
#include "run/pv_timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY(name) &pv_bench_##name.plugin,
const pv_registry pv_benches = {"bench", (const pv_plugin *const[]){PV_BENCHES(ENTRY) NULL}};

enum { ROUNDS = 5 };

/* Medians over the repetitions of a window, at least one. */
static pv_status watch(const pv_comm *comm, const pv_bench_watched *watched, bool together, double seconds,
                       double *figures)
{
    const int room = 1 + (int)fmin(seconds / watched->repetition, 1e6);
    const double begin = pv_seconds();
    double *values = NULL;
    int count = 0, more = 1;
    pv_status st = PV_OK;
    PV_ALLOC(values, (int64_t)watched->figures * room);
    while (st == PV_OK && more && count < room) {
        double now[PV_BENCH_FIGURES];
        st = watched->repeat(watched->context, together, now);
        more = pv_seconds() - begin <= seconds && !pv_stop_requested();
        if (together && watched->in_step) MPI_Bcast(&more, 1, MPI_INT, 0, comm->world);
        /* One that outlasts the window saw other ranks come to their end. */
        if (count > 0 && !more) break;
        for (int i = 0; i < watched->figures; i++)
            values[i * room + count] = now[i];
        count++;
    }
    for (int i = 0; i < watched->figures; i++)
        figures[i] = pv_median(count, values + (int64_t)i * room);
done:
    free(values);
    return st;
}

static pv_status watch_round(const pv_comm *comm, const pv_bench_watched *watched, double seconds,
                             double *alone, double *together)
{
    pv_status st = PV_OK, all = PV_OK;
    pv_timing_barrier(comm);
    if (comm->rank == 0) st = watch(comm, watched, false, seconds, alone);
    pv_timing_barrier(comm);
    memcpy(together, alone, sizeof *together * (size_t)watched->figures);
    if (comm->size > 1) all = watch(comm, watched, true, seconds, together);
    pv_timing_barrier(comm);
    if (st == PV_OK) st = all;
    if (st == PV_OK && pv_stop_requested()) st = pv_stop_fail();
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, together, watched->figures, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int i = 0; i < watched->figures; i++)
        together[i] /= comm->size;
    return PV_OK;
}

pv_status pv_bench_rounds(const pv_comm *comm, const pv_bench_watched *watched, double seconds,
                          pv_bench_rates *rates)
{
    double alone[PV_BENCH_FIGURES][ROUNDS], together[PV_BENCH_FIGURES][ROUNDS], scaling[ROUNDS];
    for (int r = 0; r < ROUNDS; r++) {
        pv_bench_rates now = {0};
        const pv_status st =
            watch_round(comm, watched, seconds / ROUNDS / (comm->size > 1 ? 2 : 1), now.alone, now.together);
        if (st != PV_OK) return st;
        for (int i = 0; i < watched->figures; i++) {
            alone[i][r] = now.alone[i];
            together[i][r] = now.together[i];
        }
        scaling[r] = now.together[watched->rate] / now.alone[watched->rate];
    }
    for (int i = 0; i < watched->figures; i++) {
        rates->alone[i] = pv_median(ROUNDS, alone[i]);
        rates->together[i] = pv_median(ROUNDS, together[i]);
    }
    rates->scaling = comm->rank == 0 ? pv_median(ROUNDS, scaling) : 1;
    return PV_OK;
}

void pv_bench_put(const pv_bench_watched *watched, const double *figures, const char *suffix, json_t *result)
{
    for (int i = 0; i < watched->figures; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", watched->about[i].key, suffix);
        pv_json_real(result, key, figures[i]);
    }
}

void pv_bench_print(const pv_bench_watched *watched, const pv_bench_rates *rates)
{
    fprintf(stderr, "  %-44s %10s %12s\n", "per core", "alone", "together");
    for (int i = 0; i < watched->figures; i++) {
        const pv_bench_figure *about = &watched->about[i];
        char left[32], right[32];
        if (!about->text || isnan(rates->alone[i])) continue; /* what was not measured */
        snprintf(left, sizeof left, about->format, rates->alone[i]);
        snprintf(right, sizeof right, about->format, rates->together[i]);
        fprintf(stderr, "  %-44s %10s %12s\n", about->text, left, right);
    }
}
