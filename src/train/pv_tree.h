/* Sums of vectors along a binary tree whose leaves are the ranks: 2i and 2i + 1 first, then the sums in
 * pairs.  The number of ranks is a power of two. */
#ifndef PV_TREE_H
#define PV_TREE_H

#include "parallel/pv_comm.h"
#include "simd/pv_real.h"

#include <stdbool.h>

enum { PV_TREE_ROUNDS = 32 };

/* A sum on its way: halves are exchanged with ever more distant ranks, then gathered back. */
typedef struct pv_tree_sum {
    const pv_comm *comm;
    pv_real *values, *scratch; /* [count], [count / 2 + 1] */
    int tag, round, rounds;    /* rounds of halving, then as many of gathering */
    int64_t first[PV_TREE_ROUNDS + 1], end[PV_TREE_ROUNDS + 1]; /* what this rank adds up after each round */
    MPI_Request requests[2];
} pv_tree_sum;

/* Adds `values` up element by element over all ranks, at once: for few of them.  Collective. */
void pv_tree_sum_now(const pv_comm *comm, double *values, int count);

/* Begins the same of a long vector; tag tells apart sums that are on their way together.  Local. */
void pv_tree_sum_begin(pv_tree_sum *sum, const pv_comm *comm, int tag, pv_real *values, pv_real *scratch,
                       int64_t count);
/* Goes as far as it can without waiting, or to the end.  Returns whether the sum is complete. */
bool pv_tree_sum_advance(pv_tree_sum *sum, bool wait);

#endif
