/* A queue of two levels: a pool in each node's shared memory, and a counter on rank 0. */
#include "parallel/pv_queue.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "parallel/pv_shared.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_US = 50 };
#define CANCELLED       (INT64_C(1) << 60) /* added to the counter; no queue is that long */
#define LOOK_INTERVAL_S 1.0                /* how often a node looks whether another has cancelled */

/* Items [next, end). */
typedef struct range {
    int64_t next, end;
} range;

/* In the node's shared memory.  The lock is held for a few loads and stores, never across an MPI call. */
typedef struct node_pool {
    atomic_flag lock;
    range now, ahead;     /* the ranks take from `now`; `ahead` follows it */
    int64_t counter_seen; /* the global counter after the node's last fetch */
    bool fetching;        /* some rank of the node has a fetch under way */
    bool exhausted;       /* the global counter has passed the last item */
    _Atomic bool cancelled;
    _Atomic int64_t done;
    _Atomic int64_t looked_ms; /* when the node last looked at the counter for a cancellation */
} node_pool;

struct pv_queue {
    const pv_comm *comm;
    int64_t items;
    int64_t run, runs_end; /* items before runs_end are taken so many at a time */
    pv_shared shared;
    node_pool *pool;
    MPI_Win counter; /* on rank 0: the first item that no node has fetched; MPI_WIN_NULL with one node */
    /* This rank's fetch under way, for its node. */
    MPI_Request request;
    int64_t amount, first;
};

static void lock(node_pool *pool)
{
    while (atomic_flag_test_and_set_explicit(&pool->lock, memory_order_acquire))
        ;
}

static void unlock(node_pool *pool)
{
    atomic_flag_clear_explicit(&pool->lock, memory_order_release);
}

/* Every node starts with half an even share of its own, so that nobody fetches at the start. */
static int64_t first_share(const pv_queue *queue)
{
    return queue->comm->nodes == 1 ? queue->items : queue->items / (2 * (int64_t)queue->comm->nodes);
}

static pv_status open_counter(pv_queue *queue)
{
    const pv_comm *const comm = queue->comm;
    const int64_t each = first_share(queue);
    if (comm->node_rank == 0) {
        atomic_flag_clear(&queue->pool->lock);
        queue->pool->now = (range){each * comm->node_index, each * (comm->node_index + 1)};
        queue->pool->counter_seen = each * comm->nodes;
        queue->pool->exhausted = queue->pool->counter_seen >= queue->items;
    }
    if (comm->nodes == 1) return PV_OK;
    int64_t *value;
    const int64_t bytes = comm->rank == 0 ? (int64_t)sizeof *value : 0;
    const pv_status st = pv_window_open(comm, bytes, sizeof *value, &value, &queue->counter);
    if (st != PV_OK) return st;
    if (comm->rank == 0) *value = each * comm->nodes;
    pv_window_sync(comm, queue->counter);
    return PV_OK;
}

pv_status pv_queue_open(const pv_comm *comm, int64_t items, pv_queue **out)
{
    pv_status st;
    pv_queue *queue = NULL;
    *out = NULL;
    if (items < 0 || items >= CANCELLED / 2)
        return pv_fail(PV_ERR_CONFIG, "%lld items are more than the queue counts", (long long)items);
    queue = pv_alloc(1, sizeof *queue);
    if (queue)
        *queue = (pv_queue){
            .comm = comm, .items = items, .run = 1, .counter = MPI_WIN_NULL, .request = MPI_REQUEST_NULL};
    PV_TRY(pv_agree(comm, queue ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(pv_shared_open(comm, sizeof(node_pool), &queue->shared));
    queue->pool = queue->shared.data;
    PV_TRY(open_counter(queue));
    pv_shared_sync(comm, &queue->shared);
    *out = queue;
    return PV_OK;
done:
    pv_queue_close(queue);
    return st;
}

void pv_queue_set_runs(pv_queue *queue, int64_t length, int64_t end)
{
    queue->run = length;
    queue->runs_end = end;
}

/* What this rank fetched becomes its node's next share. */
static void publish(pv_queue *queue)
{
    node_pool *const pool = queue->pool;
    const int64_t end = queue->first + queue->amount;
    lock(pool);
    if (queue->first >= queue->items)
        pool->exhausted = true;
    else
        pool->ahead = (range){queue->first, end < queue->items ? end : queue->items};
    pool->counter_seen = end;
    pool->fetching = false;
    unlock(pool);
}

void pv_queue_close(pv_queue *queue)
{
    if (!queue) return;
    if (queue->counter != MPI_WIN_NULL) {
        MPI_Wait(&queue->request, MPI_STATUS_IGNORE);
        MPI_Barrier(queue->comm->world);
        pv_window_close(&queue->counter);
    }
    pv_shared_close(&queue->shared);
    free(queue);
}

/* Begins to fetch the node's next share: half of an even share of what is left.  Does not wait. */
static void start_fetch(pv_queue *queue, int64_t counter_seen)
{
    const int64_t fair = (queue->items - counter_seen) / (2 * (int64_t)queue->comm->nodes);
    queue->amount = fair > 1 ? fair : 1;
    MPI_Rget_accumulate(&queue->amount, 1, MPI_INT64_T, &queue->first, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T,
                        MPI_SUM, queue->counter, &queue->request);
}

static int64_t fetch_and_add(pv_queue *queue, int64_t amount)
{
    int64_t before = 0;
    MPI_Fetch_and_op(&amount, &before, MPI_INT64_T, 0, 0, MPI_SUM, queue->counter);
    MPI_Win_flush(0, queue->counter);
    return before;
}

/* Once an interval one rank of the node asks rank 0's counter whether anyone has cancelled. */
bool pv_queue_cancelled(pv_queue *queue)
{
    node_pool *const pool = queue->pool;
    if (queue->counter != MPI_WIN_NULL) {
        const int64_t now = (int64_t)(1e3 * pv_seconds());
        int64_t last = atomic_load(&pool->looked_ms);
        if (now - last >= (int64_t)(1e3 * LOOK_INTERVAL_S) &&
            atomic_compare_exchange_strong(&pool->looked_ms, &last, now) &&
            fetch_and_add(queue, 0) >= CANCELLED)
            atomic_store(&pool->cancelled, true);
    }
    return atomic_load(&pool->cancelled);
}

typedef enum taking { TAKEN, EMPTY, WAITING } taking;

/* One look at the pool.  *fetch: this rank is to fetch the node's next share, *counter_seen being its last.
 */
static taking take_from_pool(pv_queue *queue, range *taken, bool *fetch, int64_t *counter_seen)
{
    node_pool *const pool = queue->pool;
    taking outcome = WAITING;
    lock(pool);
    if (pool->now.next == pool->now.end) {
        pool->now = pool->ahead;
        pool->ahead = (range){0, 0};
    }
    const int64_t run = pool->now.next < queue->runs_end ? queue->run : 1;
    const int64_t left = pool->now.end - pool->now.next;
    if (left > 0) {
        *taken = (range){pool->now.next, pool->now.next + (left < run ? left : run)};
        pool->now.next = taken->end;
        outcome = TAKEN;
    } else if (pool->exhausted) {
        outcome = EMPTY;
    }
    /* The next share is asked for while every rank still has one run to come. */
    *fetch = !pool->exhausted && !pool->fetching && pool->ahead.next == pool->ahead.end &&
             pool->now.end - pool->now.next <= queue->comm->node_size * run;
    if (*fetch) pool->fetching = true;
    *counter_seen = pool->counter_seen;
    unlock(pool);
    return outcome;
}

bool pv_queue_take(pv_queue *queue, int64_t *first, int64_t *count)
{
    while (!pv_queue_cancelled(queue)) {
        bool fetch;
        range taken = {0, 0};
        int64_t counter_seen;
        const taking outcome = take_from_pool(queue, &taken, &fetch, &counter_seen);
        *first = taken.next;
        *count = taken.end - taken.next;
        if (fetch) start_fetch(queue, counter_seen);
        if (outcome != WAITING) return outcome == TAKEN;
        pv_queue_progress(queue);
        usleep(WAIT_US);
    }
    return false;
}

void pv_queue_cancel(pv_queue *queue)
{
    atomic_store(&queue->pool->cancelled, true);
    if (queue->counter != MPI_WIN_NULL) fetch_and_add(queue, CANCELLED);
}

void pv_queue_progress(pv_queue *queue)
{
    int flag;
    if (queue->request != MPI_REQUEST_NULL) {
        MPI_Test(&queue->request, &flag, MPI_STATUS_IGNORE);
        if (flag) publish(queue);
    } else if (queue->counter != MPI_WIN_NULL) {
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, queue->comm->world, &flag, MPI_STATUS_IGNORE);
    }
}

int64_t pv_queue_count_done(pv_queue *queue, int64_t more)
{
    return atomic_fetch_add(&queue->pool->done, more) + more;
}
