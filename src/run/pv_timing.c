/* What timings over all ranks share. */
#include "run/pv_timing.h"
#include "base/pv_clock.h"

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
