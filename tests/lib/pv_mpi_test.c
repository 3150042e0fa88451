/* TAP lines of tests on several ranks. */
#include "pv_mpi_test.h"
#include "base/pv_log.h"

#include <stdio.h>

static int checks, failures;

void pv_test_begin(int *argc, char ***argv, pv_comm *comm)
{
    int threads;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &threads);
    pv_comm_open(MPI_COMM_WORLD, 0, comm);
    pv_log_setup(false, 0);
}

void pv_test_check(const pv_comm *comm, bool holds, const char *statement)
{
    int mine = holds, all = 0;
    MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, comm->world);
    checks++;
    failures += !all;
    if (!holds)
        fprintf(stderr, "# rank %d: does not hold: %s (last failure: %s)\n", comm->rank, statement,
                pv_fail_message());
    if (comm->rank == 0) {
        printf("%s %d - %s\n", all ? "ok" : "not ok", checks, statement);
        fflush(stdout);
    }
}

int pv_test_end(pv_comm *comm)
{
    pv_comm_close(comm);
    MPI_Finalize();
    return failures > 0;
}
