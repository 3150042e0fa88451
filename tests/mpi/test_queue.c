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
    int64_t first, count;
    while (pv_queue_take(queue, &first, &count)) {
        for (int64_t item = first; item < first + count; item++)
            mine[item]++;
        if (first % 50 == 0) usleep(1000);
        pv_queue_progress(queue); /* as a working rank does */
    }
    MPI_Allreduce(mine, counts, ITEMS, MPI_INT, MPI_SUM, comm->world);
}

/* In runs of up to 7 before item `runs_end`. */
static void every_item_is_taken_once(const pv_comm *parent, int node_ranks, int64_t runs_end)
{
    pv_comm comm;
    pv_queue *queue = NULL;
    int counts[ITEMS];
    pv_comm_open(parent->world, node_ranks, &comm);
    bool holds = pv_queue_open(&comm, ITEMS, &queue) == PV_OK;
    pv_test_check(parent, holds, "a queue opens");
    pv_queue_set_runs(queue, 7, runs_end);
    drain(&comm, queue, counts);
    for (int i = 0; i < ITEMS; i++)
        holds = holds && counts[i] == 1;
    pv_test_check(parent, holds, "every item is taken exactly once over all ranks and nodes");
    pv_queue_close(queue);
    pv_comm_close(&comm);
}

/* Ranks that take turns get about as many items each, whether they come in runs or one by one. */
static void shares_are_of_items(const pv_comm *parent, int node_ranks)
{
    enum { RUN = 8 };
    pv_comm comm;
    pv_queue *queue = NULL;
    int64_t first, count, taken = 0, most = 0;
    pv_comm_open(parent->world, node_ranks, &comm);
    pv_queue_open(&comm, ITEMS, &queue);
    pv_queue_set_runs(queue, RUN, ITEMS - 2 * RUN * comm.size);
    while (pv_queue_take(queue, &first, &count)) {
        taken += count;
        pv_queue_progress(queue);
        usleep((unsigned)(500 * count)); /* works, as long as all others on each item */
    }
    MPI_Allreduce(&taken, &most, 1, MPI_INT64_T, MPI_MAX, comm.world);
    pv_test_check(parent, most <= ITEMS / comm.size + ITEMS / 8, "no rank works much longer than the others");
    pv_queue_close(queue);
    pv_comm_close(&comm);
}

static void a_cancelled_queue_gives_nothing(const pv_comm *parent, int node_ranks)
{
    pv_comm comm;
    pv_queue *queue = NULL;
    int64_t item, count;
    pv_comm_open(parent->world, node_ranks, &comm);
    pv_queue_open(&comm, ITEMS, &queue);
    const bool first = pv_queue_take(queue, &item, &count);
    MPI_Barrier(comm.world); /* every node still holds items */
    if (comm.rank == comm.size - 1) pv_queue_cancel(queue);
    MPI_Barrier(comm.world);
    usleep(1100 * 1000);
    pv_queue_take(queue, &item,
                  &count); /* may still give one, while a rank of the node is asking the counter */
    MPI_Barrier(comm.world);
    pv_test_check(parent, first && !pv_queue_take(queue, &item, &count),
                  "a second after a cancellation no rank of any node gets more than one item");
    pv_queue_close(queue);
    pv_comm_close(&comm);
}

static void an_empty_queue_is_empty(const pv_comm *comm)
{
    pv_queue *queue = NULL;
    int64_t item, count;
    pv_test_check(comm, pv_queue_open(comm, 0, &queue) == PV_OK && !pv_queue_take(queue, &item, &count),
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
        every_item_is_taken_once(&comm, node_ranks, 0);
        every_item_is_taken_once(&comm, node_ranks, 300);
        shares_are_of_items(&comm, node_ranks);
        a_cancelled_queue_gives_nothing(&comm, node_ranks);
    }
    an_empty_queue_is_empty(&comm);
    return pv_test_end(&comm);
}
