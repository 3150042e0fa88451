/* What it takes to make a store, fill it and close it, as `fit` does. */
#ifndef PV_TIMED_FILL_H
#define PV_TIMED_FILL_H

#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"
#include "signal/pv_signal.h"

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
