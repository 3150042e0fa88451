/* Sums over all ranks, of few numbers at once and of gradients while backward goes on.
 *
 * `fast` leaves the order of a sum to MPI: it changes with the number of ranks.  `ordered` takes every sum
 * along one binary tree over leaves, which ranks hold in runs (pv_leaf_tree.h): the result does not depend on
 * the number of ranks.  `fast` with a wire of bfloat16 sends 16 bits for each number of a gradient from node
 * to node (src/train/pv_wire_sum.h); within a node, and of few numbers, everything.
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

/* `longest`: numbers of a gradient, at most.  `leaves`: of the tree, a power of two and at least as many as
 * ranks; rank r holds those from pv_share_start(leaves, r, ranks) on.  `fast`: one a rank. */
typedef struct pv_reducer_setup {
    pv_reduce kind;
    pv_wire wire;
    int64_t leaves, longest;
} pv_reducer_setup;

/* Owner: pv_reducer_close; comm is borrowed.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_reducer_open(const pv_comm *comm, const pv_reducer_setup *setup, pv_reducer **out);
void pv_reducer_close(pv_reducer *reducer);

/* Adds up element by element what all leaves of all ranks have; `values` are this rank's leaves', and the
 * first of them becomes the sum, the others nothing in particular.  Collective. */
void pv_reducer_sum(pv_reducer *reducer, double *const *values, int count);

/* Begins the sum of gradient vectors, one a leaf of this rank: of nothing yet.  Then every rank calls
 * pv_reducer_ready with the same falling offsets, each saying that its own numbers from there on are final,
 * down to 0; those of the first leaf become the sums, bucket by bucket, and all are when pv_reducer_finish
 * returns. Collective, but only finish waits. */
void pv_reducer_begin(pv_reducer *reducer, pv_real *const *gradients, int64_t count);
void pv_reducer_ready(pv_reducer *reducer, int64_t offset);
void pv_reducer_finish(pv_reducer *reducer);

/* Bytes that it holds. */
int64_t pv_reducer_memory(const pv_reducer *reducer);

pv_reducer_times pv_reducer_spent(const pv_reducer *reducer);

#endif
