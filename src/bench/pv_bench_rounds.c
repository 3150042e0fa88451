/* Watches a core alone and all cores together, in turn. */
#include "pv_bench_rounds.h"
#include "base/pv_median.h"
#include "base/pv_stop.h"
#include "run/pv_timing.h"

#include <string.h>

enum { ROUNDS = 5 };

static pv_status watch_round(const pv_comm *comm, const pv_bench_watched *watched, double seconds,
                             double *alone, double *together)
{
    pv_status st = PV_OK, all = PV_OK;
    pv_timing_barrier(comm);
    if (comm->rank == 0) st = watched->watch(watched->context, false, seconds, alone);
    pv_timing_barrier(comm);
    memcpy(together, alone, sizeof *together * (size_t)watched->figures);
    if (comm->size > 1) all = watched->watch(watched->context, true, seconds, together);
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
