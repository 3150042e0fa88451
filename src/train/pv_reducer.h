/* Sums over all ranks, of few numbers at once and of gradients while backward goes on.
 *
 * `fast` leaves the order of a sum to MPI: it changes with the number of ranks.  `ordered` takes every sum
 * along one binary tree: ranks 2i and 2i + 1 are added, then these sums in pairs, and so on.  Where every
 * rank's own number is the sum along such a tree too, over an equal share of its leaves, the result does not
 * depend on the number of ranks.
 *
 * MPI moves only when it is called: pv_reducer_ready and pv_reducer_sum do so for all sums that are on their
 * way. */
#ifndef PV_REDUCER_H
#define PV_REDUCER_H

#include "parallel/pv_comm.h"
#include "simd/pv_real.h"
#include "train/pv_train_opts.h"

typedef struct pv_reducer pv_reducer;

typedef struct pv_reducer_times {
    double work, wait; /* seconds of this rank in adding and in driving MPI; in waiting for others */
} pv_reducer_times;

/* For gradients of up to `longest` numbers.
 * Owner: pv_reducer_close; comm is borrowed.  Local.  Errors: PV_ERR_CONFIG (ordered, and the ranks are not a
 * power of two), PV_ERR_NOMEM. */
pv_status pv_reducer_open(const pv_comm *comm, pv_reduce kind, int64_t longest, pv_reducer **out);
void pv_reducer_close(pv_reducer *reducer);

/* Adds `values` up element by element over all ranks.  Collective. */
void pv_reducer_sum(pv_reducer *reducer, double *values, int count);

/* Begins the sum of a gradient vector: of nothing yet.  Then every rank calls pv_reducer_ready with the same
 * falling offsets, each saying that its own numbers from there on are final, down to 0; they become the sums,
 * bucket by bucket, and all are when pv_reducer_finish returns.  Collective, but only finish waits. */
void pv_reducer_begin(pv_reducer *reducer, pv_real *gradients, int64_t count);
void pv_reducer_ready(pv_reducer *reducer, int64_t offset);
void pv_reducer_finish(pv_reducer *reducer);

pv_reducer_times pv_reducer_spent(const pv_reducer *reducer);

#endif
