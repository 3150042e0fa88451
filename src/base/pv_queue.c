#include "base/pv_queue.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_US = 50 };
#define CANCELLED       (INT64_C(1) << 60) /* added to the counter; no queue is that long */
#define LOOK_INTERVAL_S 1.0                /* how often a node looks whether another has cancelled */

/* In the node's shared memory. */
typedef struct node_pool {
    _Atomic uint64_t range; /* next item in the high half, end of the portion in the low half */
    _Atomic int64_t done;
    _Atomic int64_t looked_ms;    /* when the node last looked at the counter for a cancellation */
    _Atomic int64_t counter_seen; /* the global counter when the node last fetched */
    _Atomic int refilling, drained, cancelled;
} node_pool;

struct pv_queue {
    const pv_comm *comm;
    int64_t items;
    pv_shared shared;
    node_pool *pool;
    MPI_Win counter; /* on rank 0: the first item that no node has fetched; MPI_WIN_NULL with one node */
};

static uint64_t pack(int64_t next, int64_t end)
{
    return (uint64_t)next << 32 | (uint64_t)end;
}

static pv_status open_counter(pv_queue *queue)
{
    if (queue->comm->nodes == 1) {
        if (queue->comm->node_rank == 0) atomic_store(&queue->pool->range, pack(0, queue->items));
        return PV_OK;
    }
    int64_t *value;
    const MPI_Aint bytes = queue->comm->rank == 0 ? (MPI_Aint)sizeof *value : 0;
    if (MPI_Win_allocate(bytes, sizeof *value, MPI_INFO_NULL, queue->comm->world, &value, &queue->counter) !=
        MPI_SUCCESS)
        return pv_fail(PV_ERR_MPI, "cannot make the shared work counter (MPI_Win_allocate failed)");
    if (queue->comm->rank == 0) *value = 0;
    MPI_Win_lock_all(MPI_MODE_NOCHECK, queue->counter);
    MPI_Win_sync(queue->counter);
    MPI_Barrier(queue->comm->world);
    return PV_OK;
}

pv_status pv_queue_open(const pv_comm *comm, int64_t items, pv_queue **out)
{
    pv_status st;
    pv_queue *queue = NULL;
    *out = NULL;
    if (items < 0 || items > UINT32_MAX)
        return pv_fail(PV_ERR_CONFIG, "%lld pieces of work are more than the queue counts", (long long)items);
    queue = pv_alloc(1, sizeof *queue);
    if (queue)
        *queue = (pv_queue){.comm = comm, .items = items, .counter = MPI_WIN_NULL};
    PV_TRY(pv_agree(comm, queue ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(pv_agree(comm, pv_shared_open(comm, sizeof(node_pool), &queue->shared)));
    queue->pool = queue->shared.data;
    PV_TRY(pv_agree(comm, open_counter(queue)));
    pv_shared_sync(comm, &queue->shared);
    *out = queue;
    return PV_OK;
done:
    pv_queue_close(queue);
    return st;
}

void pv_queue_close(pv_queue *queue)
{
    if (!queue) return;
    if (queue->counter != MPI_WIN_NULL) {
        MPI_Barrier(queue->comm->world);
        MPI_Win_unlock_all(queue->counter);
        MPI_Win_free(&queue->counter);
    }
    pv_shared_close(&queue->shared);
    free(queue);
}

static int64_t fetch_and_add(pv_queue *queue, int64_t amount)
{
    int64_t before = 0;
    MPI_Fetch_and_op(&amount, &before, MPI_INT64_T, 0, 0, MPI_SUM, queue->counter);
    MPI_Win_flush(0, queue->counter);
    return before;
}

/* Called by the one rank of the node that holds `refilling`. */
static void refill(pv_queue *queue)
{
    node_pool *const pool = queue->pool;
    const int64_t left = queue->items - atomic_load(&pool->counter_seen);
    const int64_t fair = left / (2 * (int64_t)queue->comm->nodes);
    const int64_t portion = fair > 1 ? fair : 1;
    const int64_t first = queue->counter == MPI_WIN_NULL ? queue->items : fetch_and_add(queue, portion);
    if (first >= queue->items) {
        atomic_store(&pool->drained, 1);
        return;
    }
    atomic_store(&pool->counter_seen, first + portion < queue->items ? first + portion : queue->items);
    atomic_store(&pool->range, pack(first, atomic_load(&pool->counter_seen)));
}

static bool take_from_pool(node_pool *pool, int64_t *item)
{
    uint64_t range = atomic_load(&pool->range);
    while (range >> 32 < (range & UINT32_MAX)) {
        if (atomic_compare_exchange_weak(&pool->range, &range, range + (UINT64_C(1) << 32))) {
            *item = (int64_t)(range >> 32);
            return true;
        }
    }
    return false;
}

/* Once an interval one rank of the node asks rank 0's counter whether anyone has cancelled. */
static bool cancelled(pv_queue *queue)
{
    node_pool *const pool = queue->pool;
    if (queue->counter != MPI_WIN_NULL) {
        const int64_t now = (int64_t)(1e3 * pv_seconds());
        int64_t last = atomic_load(&pool->looked_ms);
        if (now - last >= (int64_t)(1e3 * LOOK_INTERVAL_S) &&
            atomic_compare_exchange_strong(&pool->looked_ms, &last, now) &&
            fetch_and_add(queue, 0) >= CANCELLED)
            atomic_store(&pool->cancelled, 1);
    }
    return atomic_load(&pool->cancelled);
}

bool pv_queue_take(pv_queue *queue, int64_t *item)
{
    node_pool *const pool = queue->pool;
    while (!cancelled(queue)) {
        if (take_from_pool(pool, item)) return true;
        if (atomic_load(&pool->drained)) return false;
        int idle = 0;
        if (atomic_compare_exchange_strong(&pool->refilling, &idle, 1)) {
            /* Another rank may have refilled between our look and our turn. */
            const uint64_t range = atomic_load(&pool->range);
            if (range >> 32 >= (range & UINT32_MAX) && !atomic_load(&pool->drained)) refill(queue);
            atomic_store(&pool->refilling, 0);
        } else {
            pv_queue_progress(queue);
            usleep(WAIT_US);
        }
    }
    return false;
}

void pv_queue_cancel(pv_queue *queue)
{
    atomic_store(&queue->pool->cancelled, 1);
    if (queue->counter != MPI_WIN_NULL) fetch_and_add(queue, CANCELLED);
}

void pv_queue_progress(const pv_queue *queue)
{
    int flag;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, queue->comm->world, &flag, MPI_STATUS_IGNORE);
}

int64_t pv_queue_count_done(pv_queue *queue, int64_t more)
{
    return atomic_fetch_add(&queue->pool->done, more) + more;
}
