#include "pv_mpi_test.h"

#include <stdio.h>
#include <string.h>

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
    pv_test_check(parent, pv_comm_open(parent->world, node_ranks, &comm) == PV_OK,
                  "a context of small nodes opens");
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

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    pv_test_check(&comm, pv_agree(&comm, PV_OK) == PV_OK, "no failure agrees on PV_OK");
    a_failure_on_one_rank_reaches_all(&comm, comm.size - 1);
    a_failure_on_one_rank_reaches_all(&comm, 0);
    for (int node_ranks = 1; node_ranks <= 3; node_ranks++)
        node_memory_is_shared(&comm, node_ranks);
    return pv_test_end(&comm);
}
