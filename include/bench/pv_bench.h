/* What the benches share, and what `bench fit` times: fits of real images, or of made-up ones where there are none, as `fit`
 * runs them. */
#ifndef PV_BENCH_H
#define PV_BENCH_H

#include "parallel/pv_comm.h"
#include "base/pv_meter.h"
#include "run/pv_run_config.h"
#include "signal/pv_signal.h"
#include "run/pv_limits.h"
#include "inr/pv_arch.h"

/* One rank's fits; opaque. */
typedef struct pv_bench_fits pv_bench_fits;

/* Plans fits of `config`'s recipe, of the objects of `signal`, borrowed, or of made-up pictures if it is
 * NULL. Owner: pv_bench_fits_close.  Local.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_bench_fits_open(const pv_run_config *config, const pv_signal *signal, pv_bench_fits **out);
/* NULL is a no-op. */
void pv_bench_fits_close(pv_bench_fits *fits);

const pv_arch *pv_bench_fits_arch(const pv_bench_fits *fits);
int pv_bench_fits_samples(const pv_bench_fits *fits);
const float *pv_bench_fits_coords(const pv_bench_fits *fits); /* [samples][2] */
/* Shapes: values [samples][channels]. */
void pv_bench_fits_values(const pv_bench_fits *fits, int64_t object, float *values);
/* Of one step of one INR. */
double pv_bench_fits_flops(const pv_bench_fits *fits);
double pv_bench_fits_pairs(const pv_bench_fits *fits);

/* INR-steps a second of this core, timed for at least `seconds`; *core_share is the part of that time in
 * which the core was this process's.  Local. */
double pv_bench_fits_rate(pv_bench_fits *fits, double seconds, double *core_share);

/* Fits objects first .. first + count - 1 (view 0 of a store of this recipe) for `steps` steps and adds up
 * their PSNR in dB.  Local.  Errors: PV_STOPPED, PV_ERR_NUMERIC (a fit diverged). */
pv_status pv_bench_fits_quality(pv_bench_fits *fits, int64_t first, int64_t count, int64_t steps,
                                double *psnr_sum);

/* The same of a view, and its rows [count][P] unless they are NULL. */
pv_status pv_bench_fits_rows(pv_bench_fits *fits, int64_t view, int64_t first, int64_t count, int64_t steps,
                             float *rows, double *psnr_sum);

/* What filling a store took; seconds of the slowest rank unless said otherwise. */
typedef struct pv_bench_filling {
    double create, open, close;      /* making, opening and closing the store */
    double fill, files;              /* fitting it, and of that, of a rank on average, in files */
    double around_files, around_mpi; /* of create, open and close, of a rank on average: in files, in MPI */
    int64_t fitted, steps;           /* of all ranks */
} pv_bench_filling;

/* Makes a store at `path` of one view of every object and fills it with fits of `steps` steps.  What fits of one step take
 * beyond that is what a view costs beside its steps: drawing, the final error, status, checksum, writing, claiming,
 * logging.  The caller removes the file, also after a failure.
 * Collective.  Errors: as pv_store_create, pv_store_open, pv_fill, agreed. */
pv_status pv_bench_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                        const char *path, const pv_storage_opts *storage, int64_t steps,
                        pv_bench_filling *took);

/* Adds what was metered since `before`: seconds in files and in MPI, means over the ranks.  Collective. */
void pv_bench_add_spent(const pv_comm *comm, const pv_meter *before, double *files, double *mpi);

/* The path of a temporary file in a directory, the same on all ranks.  Shapes path [4096].
 * Collective.  Errors: PV_ERR_USAGE (too long). */
pv_status pv_bench_path(const pv_comm *comm, const char *directory, char *path);

/* What one rank saw in a window of time; every figure a median over `repetitions`. */
typedef struct pv_bench_window {
    pv_limits limits;
    double rate;       /* INR-steps a second */
    double core_share; /* of the time in which the core was this process's */
    double share;      /* of that time that the work would take at the limits of the same repetition */
    double repetitions;
} pv_bench_window;

/* Measures limits and rate in turn for `seconds`, at least once.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_bench_watch(pv_bench_fits *fits, double seconds, pv_bench_window *window);

/* A barrier that leaves the core to others: looks every millisecond.  Collective. */
void pv_bench_barrier(const pv_comm *comm);

/* Seconds that this thread has run.  Local. */
double pv_bench_busy(void);

/* Reads the option --seconds.  Errors: PV_ERR_USAGE. */
pv_status pv_bench_seconds(const char *text, double *seconds);

/* The median of n values, which it sorts; NaN if one of them is.  n > 0.  Local. */
double pv_bench_median(int n, double *values);

#endif
