/* The meter: time in blocking calls counts as waiting, whoever is late. */
#include "pv_mpi_test.h"
#include "base/pv_clock.h"
#include "base/pv_meter.h"

#include <unistd.h>

enum { LATE_US = 200 * 1000 };

static pv_meter since(const pv_meter *start)
{
    const pv_meter now = pv_meter_read();
    return pv_meter_between(start, &now);
}

static void waiting_in_mpi_is_mpi_time(const pv_comm *comm)
{
    MPI_Barrier(comm->world);
    const pv_meter start = pv_meter_read();
    const double clock = pv_seconds();
    if (comm->rank == 0) usleep(LATE_US);
    MPI_Barrier(comm->world);
    const double elapsed = pv_seconds() - clock;
    const pv_meter spent = since(&start);
    pv_test_check(comm, comm->rank == 0 || spent.seconds[PV_METER_MPI] > 0.8e-6 * LATE_US,
                  "who waits for a late rank spends that time in MPI");
    pv_test_check(comm, comm->rank != 0 || spent.seconds[PV_METER_MPI] < elapsed - 0.8e-6 * LATE_US,
                  "the late rank does not");
    pv_test_check(comm, spent.seconds[PV_METER_FILES] == 0, "nobody touched a file");
}

static void a_bracket_counts_once(const pv_comm *comm)
{
    const pv_meter start = pv_meter_read();
    const double clock = pv_seconds();
    pv_meter_begin(PV_METER_FILES);
    MPI_Barrier(comm->world);
    usleep(LATE_US / 4);
    MPI_Barrier(comm->world);
    pv_meter_end();
    const double elapsed = pv_seconds() - clock;
    const pv_meter spent = since(&start);
    pv_test_check(comm, spent.seconds[PV_METER_MPI] == 0, "MPI inside a file operation is time for files");
    pv_test_check(
        comm, spent.seconds[PV_METER_FILES] <= elapsed && spent.seconds[PV_METER_FILES] > 0.2e-6 * LATE_US,
        "a bracket counts its length, once");
}

static void reductions_are_counted(const pv_comm *comm)
{
    double values[10] = {0};
    int one = 1;
    const pv_meter start = pv_meter_read();
    MPI_Allreduce(MPI_IN_PLACE, values, 10, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &one, 1, MPI_INT, MPI_SUM, comm->world);
    const pv_meter spent = since(&start);
    pv_test_check(comm, spent.allreduces == 2 && spent.allreduce_bytes == 84,
                  "reductions are counted with their bytes");
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    waiting_in_mpi_is_mpi_time(&comm);
    a_bracket_counts_once(&comm);
    reductions_are_counted(&comm);
    return pv_test_end(&comm);
}
