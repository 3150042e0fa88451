/* A queue of items 0..n-1 that all ranks take from, each item exactly once.
 *
 * Two levels.  The ranks of a node take from their node's pool in shared memory.  Every node starts with a
 * share of its own; when its pool runs low, one of its ranks fetches the next share from a counter on
 * rank 0 by one-sided MPI, without waiting: the fetch completes while the ranks work.  Portions shrink
 * towards the end (half of an even share of what is left), so that no node ends with a long tail, and the
 * counter is touched O(nodes log items) times. Over networks whose one-sided operations need the target's
 * help, rank 0 must enter MPI now and then: long loops call pv_queue_progress every few milliseconds. */
#ifndef PV_QUEUE_H
#define PV_QUEUE_H

#include "parallel/pv_comm.h"

#include <stdbool.h>

typedef struct pv_queue pv_queue;

/* Owner: pv_queue_close; comm is borrowed until then.  Collective.  Errors: PV_ERR_CONFIG when items >= 2^59,
 * PV_ERR_NOMEM, agreed. */
pv_status pv_queue_open(const pv_comm *comm, int64_t items, pv_queue **out);
/* Collective; NULL is a no-op. */
void pv_queue_close(pv_queue *queue);

/* Has the items before `end` taken in runs of up to `length`, those from there on one by one.  Nodes' shares
 * are of items, whatever runs they are taken in.  All ranks say the same, before the first take.  Not
 * collective. */
void pv_queue_set_runs(pv_queue *queue, int64_t length, int64_t end);

/* Takes the next run, one item unless said otherwise; false when none is left or the queue was cancelled.
 * Not collective. */
bool pv_queue_take(pv_queue *queue, int64_t *first, int64_t *count);

/* Nobody takes an item any more.  Not collective. */
void pv_queue_cancel(pv_queue *queue);

/* Whether some rank has cancelled; looks at the other nodes' ranks a few times a second at most.  Not
 * collective. */
bool pv_queue_cancelled(pv_queue *queue);

/* Enters MPI for a moment: other ranks' one-sided operations on this rank proceed, and a share that this
 * rank fetched reaches its node.  Not collective. */
void pv_queue_progress(pv_queue *queue);

/* Adds to, and returns, the number of finished things that this node's ranks count together.  Not collective.
 */
int64_t pv_queue_count_done(pv_queue *queue, int64_t more);

#endif
