/* What timings over all ranks share, and what making, filling and closing a store takes. */
#ifndef PV_TIMING_H
#define PV_TIMING_H

#include "base/pv_meter.h"
#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"
#include "signal/pv_signal.h"

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

/* What filling a store took; seconds of the slowest rank unless said otherwise. */
typedef struct pv_timed_fill {
    double create, open, close;      /* making, opening and closing the store */
    double fill, files;              /* fitting it, and of that, of a rank on average, in files */
    double around_files, around_mpi; /* of create, open and close, of a rank on average: in files, in MPI */
    int64_t fitted, steps;           /* of all ranks */
} pv_timed_fill;

/* Makes a store at `path` of one view of every object and fills it with fits of `steps` steps.  What fits of
 * one step take beyond that is what a view costs beside its steps: drawing, the final error, status,
 * checksum, writing, claiming, logging.  The caller removes the file, also after a failure.
 * Collective.  Errors: as pv_store_create, pv_store_open, pv_fill, agreed. */
pv_status pv_time_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                       const char *path, const pv_storage_opts *storage, int64_t steps, pv_timed_fill *took);

#endif
