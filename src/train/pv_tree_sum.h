/* Sums over all ranks along a tree (pv_leaf_tree.h), element by element: the same bits on any number of
 * ranks.
 *
 * First every block's pieces are brought to its core.  Then cores add up: of few numbers all, with ever more
 * distant cores; of many, halves are exchanged, then gathered back.  Last, who is no core is told.  A sum is
 * driven by calls, and several may be on their way together. */
#ifndef PV_TREE_SUM_H
#define PV_TREE_SUM_H

#include "base/pv_mem.h"
#include "parallel/pv_comm.h"
#include "pv_leaf_tree.h"

/* A piece of a core's block, and where it is: its place among those that others bring, -1: in an own leaf. */
typedef struct pv_block_piece {
    pv_tree_piece at;
    int place;
} pv_block_piece;

/* What all sums of a job have in common. */
typedef struct pv_tree_plan {
    const pv_comm *comm;
    pv_leaf_tree tree;
    pv_block_piece *block;      /* [pieces]; a core's block, in order */
    pv_tree_piece *away;        /* [aways]; what this rank brings to other blocks' cores */
    int pieces, brought, aways; /* brought: those of other ranks in block */
    int waits;                  /* requests of a sum, at most */
} pv_tree_plan;

/* Owner: `memory`; comm is borrowed.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_tree_plan_make(const pv_comm *comm, int64_t leaves, pv_memory *memory, pv_tree_plan *out);

/* The numbers of a sum: pv_real or double, `unit` bytes each. */
typedef struct pv_tree_numbers {
    MPI_Datatype type;
    size_t unit;
    int64_t count;
    void *const
        *leaves;   /* [run of this rank][count]; in the end the first one is the sum, others are nothing */
    void *brought; /* plan->brought vectors, `stride` numbers apart */
    int64_t stride, offset; /* of both: the sum's numbers begin here */
    void *scratch;          /* [count] */
    MPI_Request *requests;  /* [plan->waits] */
    int tag;                /* tells apart sums that are on their way together */
    bool halving;           /* many numbers */
} pv_tree_numbers;

enum { PV_TREE_ROUNDS = 32 };

typedef struct pv_tree_sum {
    const pv_tree_plan *plan;
    pv_tree_numbers numbers;
    int step, rounds, waits; /* step 0: bringing; rounds of adding up; telling; waits: requests of the step */
    int64_t first[PV_TREE_ROUNDS + 1], end[PV_TREE_ROUNDS + 1]; /* what a core adds up after each round */
} pv_tree_sum;

/* Begins a sum.  Collective, without waiting. */
void pv_tree_sum_begin(pv_tree_sum *sum, const pv_tree_plan *plan, const pv_tree_numbers *numbers);
/* Goes as far as it can without waiting, or to the end.  Returns whether the sum is complete. */
bool pv_tree_sum_advance(pv_tree_sum *sum, bool wait);

#endif
