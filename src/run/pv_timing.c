/* What timings over all ranks share, and the timed filling of a temporary store. */
#include "run/pv_timing.h"
#include "base/pv_clock.h"
#include "run/pv_fill_run.h"
#include "store/pv_store.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

pv_status pv_timing_path(const pv_comm *comm, const char *directory, char *path)
{
    long long pid = getpid();
    MPI_Bcast(&pid, 1, MPI_LONG_LONG, 0, comm->world);
    const int length = snprintf(path, PV_TIMING_PATH, "%s/polyview-bench-%lld.h5", directory, pid);
    return length < PV_TIMING_PATH - 16 ? PV_OK
                                        : pv_fail(PV_ERR_USAGE, "--dir: the path is longer than 4000 bytes");
}

double pv_timing_slowest(const pv_comm *comm, double start)
{
    double seconds = pv_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, comm->world);
    return seconds;
}

void pv_timing_add_spent(const pv_comm *comm, const pv_meter *before, double *files, double *mpi)
{
    const pv_meter now = pv_meter_read(), spent = pv_meter_between(before, &now);
    double seconds[2] = {spent.seconds[PV_METER_FILES], spent.seconds[PV_METER_MPI]};
    MPI_Allreduce(MPI_IN_PLACE, seconds, 2, MPI_DOUBLE, MPI_SUM, comm->world);
    *files += seconds[0] / comm->size;
    *mpi += seconds[1] / comm->size;
}

void pv_timing_barrier(const pv_comm *comm)
{
    enum { POLL_NS = 1000000 };
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(comm->world, &request);
    for (;;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) return;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

pv_status pv_time_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                       const char *path, const pv_storage_opts *storage, int64_t steps, pv_timed_fill *took)
{
    pv_store *store = NULL;
    pv_fill_result fill = {0};
    pv_fit_opts opts = config->fit;
    opts.steps = steps;
    const pv_fill_opts fill_opts = {.variant = config->inr.variant, .fit = &opts};
    pv_status st;
    double in_mpi = 0; /* while filling: not told apart from waiting */
    *took = (pv_timed_fill){0};
    double start = pv_seconds();
    pv_meter before = pv_meter_read();
    PV_TRY(pv_run_create(comm, config, signal, path, storage, 1));
    took->create = pv_timing_slowest(comm, start);
    start = pv_seconds();
    PV_TRY(pv_store_open(comm, path, PV_STORE_WRITE, storage, &store));
    took->open = pv_timing_slowest(comm, start);
    pv_timing_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    before = pv_meter_read();
    PV_TRY(pv_fill(comm, signal, store, &fill_opts, &fill));
    pv_timing_add_spent(comm, &before, &took->files, &in_mpi);
    start = pv_seconds();
    before = pv_meter_read();
    st = pv_store_close(store);
    store = NULL;
    took->close = pv_timing_slowest(comm, start);
    pv_timing_add_spent(comm, &before, &took->around_files, &took->around_mpi);
    took->fill = fill.seconds;
    took->fitted = fill.fitted;
    took->steps = fill.steps;
done:
    pv_store_close(store);
    return st;
}
