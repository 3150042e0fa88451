/* Sums over all ranks, element by element, for which nodes send each other 16 bits a number: bfloat16, the
 * upper half of a float, rounded to nearest.
 *
 * Every number belongs to a lane, of which there are as many as the smallest node has ranks, and within its
 * lane to a node.  First each node's rank of the lane adds up what the node's ranks have.  These sums are
 * rounded and sent to the number's node, which adds them up, its own one unrounded.  The result is rounded
 * and sent to all nodes, and within them: every rank has the same bits.  All additions are of floats, in an
 * order that ranks and nodes give; a number is rounded twice, however many nodes there are.
 *
 * What rounding takes away is not kept for the next step, as schemes do that drop most of a gradient: it is
 * at most 2^-8 of every number, far below what another batch changes; and a state of every rank would bind a
 * checkpoint to its number of ranks.
 *
 * A sum is driven by calls, and several may be on their way together. */
#ifndef PV_WIRE_SUM_H
#define PV_WIRE_SUM_H

#include "base/pv_mem.h"
#include "parallel/pv_comm.h"

/* What all sums of a job have in common. */
typedef struct pv_wire_plan {
    const pv_comm *comm;
    int64_t longest, sums; /* numbers in all, and sums on their way together, at most */
    int waits;             /* requests of a sum, at most */
    float *brought;        /* by the node's other ranks */
    uint16_t *arrived;     /* from other nodes */
    uint16_t *words;       /* [longest]; what is sent to other nodes, then the result */
    MPI_Request *requests; /* [sums][waits] */
} pv_wire_plan;

/* Owner: `memory`; comm is borrowed.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_wire_plan_make(const pv_comm *comm, int64_t longest, int64_t sums, pv_memory *memory,
                            pv_wire_plan *out);

typedef struct pv_wire_sum {
    const pv_wire_plan *plan;
    float *numbers;       /* [count] */
    int64_t first, count; /* of the plan's numbers */
    int index, step, waits;
} pv_wire_sum;

/* Begins sum `index` of those on their way, from 0 on: of `count` numbers from `first` on of the plan's
 * `longest`, later sums' coming before earlier ones'; `numbers` are this rank's, and become the result.
 * Collective, without waiting. */
void pv_wire_sum_begin(pv_wire_sum *sum, const pv_wire_plan *plan, int index, int64_t first, int64_t count,
                       float *numbers);
/* Goes as far as it can without waiting.  Returns whether the sum is complete. */
bool pv_wire_sum_advance(pv_wire_sum *sum);

/* The upper half of x, rounded to nearest, halves to even; NaN stays NaN.  Local. */
uint16_t pv_bfloat16_of(float x);
float pv_bfloat16_value(uint16_t word);

#endif
