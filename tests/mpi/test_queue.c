/* The queue: every item is given out once, to whichever rank asks. */
#include "pv_mpi_test.h"
#include "parallel/pv_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ITEMS = 500 };

/* Takes until the queue is empty; counts[item] is how often all ranks together got it. */
static void drain(const pv_comm *comm, pv_queue *queue, int counts[ITEMS])
{
    int mine[ITEMS] = {0};
    int64_t item;
    while (pv_queue_take(queue, &item)) {
        mine[item]++;
        if (item % 50 == 0) usleep(1000);
        pv_queue_progress(queue); /* as a working rank does */
    }
    MPI_Allreduce(mine, counts, ITEMS, MPI_INT, MPI_SUM, comm->world);
}

static void every_item_is_taken_once(const pv_comm *parent, int node_ranks)
{
    pv_comm comm;
    pv_queue *queue = NULL;
    int counts[ITEMS];
    pv_comm_open(parent->world, node_ranks, &comm);
    bool holds = pv_queue_open(&comm, ITEMS, &queue) == PV_OK;
    pv_test_check(parent, holds, "a queue opens");
    drain(&comm, queue, counts);
    for (int i = 0; i < ITEMS; i++)
        holds = holds && counts[i] == 1;
    pv_test_check(parent, holds, "every item is taken exactly once over all ranks and nodes");
    pv_queue_close(queue);
    pv_comm_close(&comm);
}

static void a_cancelled_queue_gives_nothing(const pv_comm *parent, int node_ranks)
{
    pv_comm comm;
    pv_queue *queue = NULL;
    int64_t item;
    pv_comm_open(parent->world, node_ranks, &comm);
    pv_queue_open(&comm, ITEMS, &queue);
    const bool first = pv_queue_take(queue, &item);
    MPI_Barrier(comm.world); /* every node still holds items */
    if (comm.rank == comm.size - 1) pv_queue_cancel(queue);
    MPI_Barrier(comm.world);
    usleep(1100 * 1000);
    pv_queue_take(queue, &item); /* may still give one, while a rank of the node is asking the counter */
    MPI_Barrier(comm.world);
    pv_test_check(parent, first && !pv_queue_take(queue, &item),
                  "a second after a cancellation no rank of any node gets more than one item");
    pv_queue_close(queue);
    pv_comm_close(&comm);
}

static void an_empty_queue_is_empty(const pv_comm *comm)
{
    pv_queue *queue = NULL;
    int64_t item;
    pv_test_check(comm, pv_queue_open(comm, 0, &queue) == PV_OK && !pv_queue_take(queue, &item),
                  "an empty queue is empty");
    pv_queue_close(queue);
    pv_test_check(comm, pv_queue_open(comm, INT64_C(1) << 59, &queue) == PV_ERR_CONFIG && !queue,
                  "a queue too long to count is refused");
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    for (int node_ranks = 0; node_ranks <= 2; node_ranks++) {
        every_item_is_taken_once(&comm, node_ranks);
        a_cancelled_queue_gives_nothing(&comm, node_ranks);
    }
    an_empty_queue_is_empty(&comm);
    return pv_test_end(&comm);
}
