/* The context of a run: agreement, memory that a node shares, arguments compared over ranks. */
#include "pv_mpi_test.h"
#include "parallel/pv_shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void a_failure_on_one_rank_reaches_all(const pv_comm *comm, int culprit)
{
    pv_status local = PV_OK;
    if (comm->rank == culprit) local = pv_fail(PV_ERR_DATA, "row 7 is torn");
    const pv_status st = pv_agree(comm, local);
    char origin[32];
    snprintf(origin, sizeof origin, "rank %d on ", culprit);
    pv_test_check(comm, st == PV_ERR_DATA, "a failure on one rank is the same status on all");
    pv_test_check(comm,
                  strncmp(pv_fail_message(), origin, strlen(origin)) == 0 &&
                      strstr(pv_fail_message(), ": row 7 is torn"),
                  "every rank has the message with the rank and host it came from");
    pv_test_check(
        comm, pv_agree(comm, st) == PV_ERR_DATA && strncmp(pv_fail_message(), origin, strlen(origin)) == 0,
        "agreeing again keeps the origin");
}

static void node_memory_is_shared(const pv_comm *parent, int node_ranks)
{
    pv_comm comm;
    pv_shared shared;
    pv_comm_open(parent->world, node_ranks, &comm);
    pv_test_check(parent,
                  comm.nodes == (comm.size + node_ranks - 1) / node_ranks &&
                      comm.node_index == comm.rank / node_ranks,
                  "nodes are counted and numbered");
    pv_test_check(parent, pv_shared_open(&comm, 4 * (int64_t)sizeof(int), &shared) == PV_OK,
                  "shared memory opens");
    int *slots = shared.data;
    slots[comm.node_rank] = 100 + comm.rank;
    pv_shared_sync(&comm, &shared);
    bool holds = true;
    for (int i = 0; i < comm.node_size; i++)
        holds = holds && slots[i] == 100 + comm.node_index * node_ranks + i;
    pv_test_check(parent, holds, "what one rank writes all ranks of its node read, and no other node's");
    pv_shared_close(&shared);
    pv_comm_close(&comm);
}

/* What is asked for is more than the last rank of a node may map, or than its first rank finds room for. */
static void memory_that_one_rank_lacks_fails_on_all(const pv_comm *parent, int node_ranks)
{
    enum { MIB = 1 << 20 };
    const char *const variable = "OMPI_MCA_osc_sm_backing_directory";
    pv_comm comm;
    pv_shared shared;
    struct rlimit limit, low;
    pv_comm_open(parent->world, node_ranks, &comm);
    getrlimit(RLIMIT_AS, &limit);
    low = limit;
    low.rlim_cur = 64 * MIB; /* less than is mapped already */
    if (comm.rank == comm.size - 1) setrlimit(RLIMIT_AS, &low);
    const pv_status mapped = pv_shared_open(&comm, MIB, &shared);
    setrlimit(RLIMIT_AS, &limit);
    pv_test_check(parent, mapped == PV_ERR_NOMEM && !shared.data, "a rank that cannot map fails all of them");
    char *const before = getenv(variable) ? strdup(getenv(variable)) : NULL;
    setenv(variable, "/no/such/directory", 1);
    const pv_status opened = pv_shared_open(&comm, MIB, &shared);
    if (before)
        setenv(variable, before, 1);
    else
        unsetenv(variable);
    free(before);
    const bool alone = comm.nodes == comm.size; /* on its node: there is nobody to share with */
    pv_test_check(parent,
                  alone ? opened == PV_OK
                        : opened == PV_ERR_NOMEM && !shared.data &&
                              strstr(pv_fail_message(), "/no/such/directory") &&
                              strstr(pv_fail_message(), "--shm-size"),
                  "a place that has no room is named, with what to do");
    pv_shared_close(&shared);
    pv_comm_close(&comm);
}

/* Also where a rank's bytes would leave the next one's in the middle of a vector. */
static void ranks_read_each_others_windows(const pv_comm *comm)
{
    enum { MOST = 20 };
    bool holds = true;
    for (int count = 1; count <= MOST && holds; count++) {
        int32_t *own, got[MOST];
        MPI_Win window;
        holds = pv_window_open(comm, count * (int64_t)sizeof *own, sizeof *own, &own, &window) == PV_OK;
        if (!holds) break;
        for (int i = 0; i < count; i++)
            own[i] = 100 * comm->rank + i;
        pv_window_sync(comm, window);
        for (int rank = 0; rank < comm->size; rank++) {
            MPI_Request request;
            MPI_Rget(got, count, MPI_INT32_T, rank, 0, count, MPI_INT32_T, window, &request);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
            for (int i = 0; i < count; i++)
                holds = holds && got[i] == 100 * rank + i;
        }
        pv_window_close(&window);
    }
    pv_test_check(comm, holds, "windows of any size are read by every rank as they were written");
}

static void different_arguments_are_seen_where_asked_for(const pv_comm *parent)
{
    pv_comm comm = *parent;
    const int64_t same = 7, other = comm.rank == comm.size - 1 ? 8 : 7;
    char origin[32];
    comm.safe = false;
    pv_test_check(parent, pv_same(&comm, "the number of views", &other, sizeof other) == PV_OK,
                  "arguments are not compared unless PV_SAFE asks for it");
    comm.safe = true;
    pv_test_check(parent,
                  pv_same(&comm, "the number of views", &same, sizeof same) == PV_OK &&
                      pv_same_text(&comm, "no text", NULL) == PV_OK,
                  "equal arguments pass");
    if (comm.size == 1) return;
    const pv_status st = pv_same(&comm, "the number of views", &other, sizeof other);
    snprintf(origin, sizeof origin, "rank %d on ", comm.size - 1);
    pv_test_check(parent,
                  st == PV_ERR_INTERNAL && strncmp(pv_fail_message(), origin, strlen(origin)) == 0 &&
                      strstr(pv_fail_message(), "the number of views"),
                  "an argument that differs is named with the rank");
}

/* What a mistake of ours looks like: `mpirun -n 3 test_comm fail`, by tests/cli/test_mpi_calls.py.  The other
 * ranks wait for the one whose call MPI refuses. */
static void fail_on_one_rank(const pv_comm *comm)
{
    int word = 0;
    if (comm->rank == 1) MPI_Send(&word, 1, MPI_INT, comm->size, 0, comm->world);
    MPI_Barrier(comm->world);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    if (argc > 1) fail_on_one_rank(&comm);
    pv_test_check(&comm, pv_agree(&comm, PV_OK) == PV_OK, "no failure agrees on PV_OK");
    a_failure_on_one_rank_reaches_all(&comm, comm.size - 1);
    a_failure_on_one_rank_reaches_all(&comm, 0);
    different_arguments_are_seen_where_asked_for(&comm);
    ranks_read_each_others_windows(&comm);
    for (int node_ranks = 1; node_ranks <= 3; node_ranks++) {
        node_memory_is_shared(&comm, node_ranks);
        memory_that_one_rank_lacks_fails_on_all(&comm, node_ranks);
    }
    return pv_test_end(&comm);
}
