/* What timings over all ranks share. */
#ifndef PV_TIMING_H
#define PV_TIMING_H

#include "base/pv_meter.h"
#include "parallel/pv_comm.h"

/* Seconds from `start` to now on the slowest rank.  Collective. */
double pv_timing_slowest(const pv_comm *comm, double start);

/* Adds what was metered since `before`: seconds in files and in MPI, means over the ranks.  Collective. */
void pv_timing_add_spent(const pv_comm *comm, const pv_meter *before, double *files, double *mpi);

enum { PV_TIMING_PATH = 4096 };
/* The path of a temporary file in a directory, the same on all ranks.  Shapes path [PV_TIMING_PATH].
 * Collective.  Errors: PV_ERR_USAGE (too long). */
pv_status pv_timing_path(const pv_comm *comm, const char *directory, char *path);

/* A barrier that leaves the core to others: looks every millisecond.  Collective. */
void pv_timing_barrier(const pv_comm *comm);

#endif
