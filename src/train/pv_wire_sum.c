/* Sums over all ranks, for which nodes send each other 16 bits a number. */
#include "pv_wire_sum.h"

#include <string.h>

enum { TAG = 0x4000 };
/* What is waited for in each step. */
enum { BRING, EXCHANGE, SPREAD, TELL, STEPS };

/* ---- rounding ---- */

uint16_t pv_bfloat16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1), infinite = 0x7f800000;
    return (uint16_t)(((bits & 0x7fffffff) > infinite ? bits | 0x400000 : rounded) >> 16);
}

float pv_bfloat16_value(uint16_t word)
{
    const uint32_t bits = (uint32_t)word << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void pack(const float *x, int64_t count, uint16_t *words)
{
    for (int64_t i = 0; i < count; i++)
        words[i] = pv_bfloat16_of(x[i]);
}

/* ---- places ---- */

/* A run of a sum's numbers. */
typedef struct part {
    int64_t first, count;
} part;

static part share(int64_t count, int one, int of)
{
    const int64_t first = pv_share_start(count, one, of);
    return (part){first, pv_share_start(count, one + 1, of) - first};
}

static part lane_part(const pv_wire_sum *sum, int lane)
{
    return share(sum->count, lane, sum->plan->comm->lanes);
}

/* Of this rank's lane. */
static part node_part(const pv_wire_sum *sum, int node)
{
    const pv_comm *const comm = sum->plan->comm;
    const part lane = lane_part(sum, comm->node_rank), within = share(lane.count, node, comm->nodes);
    return (part){lane.first + within.first, within.count};
}

static bool in_lane(const pv_wire_sum *sum)
{
    return sum->plan->comm->node_rank < sum->plan->comm->lanes;
}

/* Vectors that a node's ranks bring the one of a lane: as many numbers as so many whole gradients have. */
static int64_t brought_whole(const pv_comm *comm)
{
    return (comm->node_size - 1 + comm->lanes - 1) / comm->lanes;
}

/* Sums begin from the highest numbers down, so that sums' places in a buffer follow each other the other way,
 * each with `extra` more numbers than its own: parts are rounded up. */
static int64_t place(const pv_wire_sum *sum, int64_t whole, int64_t extra)
{
    return whole * sum->first + extra * (sum->plan->sums - 1 - sum->index);
}

/* What the node's rank `rank` brings: others are counted without this one. */
static float *brought_by(const pv_wire_sum *sum, int rank)
{
    const pv_comm *const comm = sum->plan->comm;
    const int other = rank - (rank > comm->node_rank);
    return sum->plan->brought + place(sum, brought_whole(comm), comm->node_size) +
           other * lane_part(sum, comm->node_rank).count;
}

static uint16_t *arrived_from(const pv_wire_sum *sum, int node)
{
    const pv_comm *const comm = sum->plan->comm;
    const int other = node - (node > comm->node_index);
    return sum->plan->arrived + place(sum, 1, 2 * comm->nodes) +
           other * node_part(sum, comm->node_index).count;
}

static uint16_t *words(const pv_wire_sum *sum)
{
    return sum->plan->words + sum->first;
}

pv_status pv_wire_plan_make(const pv_comm *comm, int64_t longest, int64_t sums, pv_memory *memory,
                            pv_wire_plan *out)
{
    const int within = comm->lanes + comm->node_size, across = 2 * comm->nodes;
    *out = (pv_wire_plan){
        .comm = comm, .longest = longest, .sums = sums, .waits = within > across ? within : across};
    PV_TAKE(memory, brought_whole(comm) * longest + sums * comm->node_size, &out->brought);
    PV_TAKE(memory, longest + sums * 2 * comm->nodes, &out->arrived);
    PV_TAKE(memory, longest, &out->words);
    PV_TAKE(memory, sums * out->waits, &out->requests);
    return pv_memory_status(memory);
}

/* ---- messages ---- */

static MPI_Request *next_request(pv_wire_sum *sum)
{
    return &sum->plan->requests[sum->index * sum->plan->waits + sum->waits++];
}

static void send(pv_wire_sum *sum, const void *from, int64_t count, MPI_Datatype type, int to, MPI_Comm comm)
{
    MPI_Isend(from, (int)count, type, to, TAG + sum->index, comm, next_request(sum));
}

static void receive(pv_wire_sum *sum, void *to, int64_t count, MPI_Datatype type, int from, MPI_Comm comm)
{
    MPI_Irecv(to, (int)count, type, from, TAG + sum->index, comm, next_request(sum));
}

/* Within a node: what its ranks have of each lane goes to the lane's. */
static void bring(pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    for (int rank = 0; in_lane(sum) && rank < comm->node_size; rank++)
        if (rank != comm->node_rank)
            receive(sum, brought_by(sum, rank), lane_part(sum, comm->node_rank).count, MPI_FLOAT, rank,
                    comm->node);
    for (int lane = 0; lane < comm->lanes; lane++) {
        const part p = lane_part(sum, lane);
        if (lane != comm->node_rank) send(sum, sum->numbers + p.first, p.count, MPI_FLOAT, lane, comm->node);
    }
}

static void add_brought(const pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    const part p = lane_part(sum, comm->node_rank);
    float *const restrict total = sum->numbers + p.first;
    for (int rank = 0; rank < comm->node_size; rank++) {
        if (rank == comm->node_rank) continue;
        const float *const restrict more = brought_by(sum, rank);
        for (int64_t i = 0; i < p.count; i++)
            total[i] += more[i];
    }
}

/* Between nodes: each node gets the others' sums of its numbers. */
static void exchange(pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    for (int node = 0; node < comm->nodes; node++)
        if (node != comm->node_index)
            receive(sum, arrived_from(sum, node), node_part(sum, comm->node_index).count, MPI_UINT16_T, node,
                    comm->lane);
    for (int node = 0; node < comm->nodes; node++) {
        const part p = node_part(sum, node);
        if (node == comm->node_index) continue;
        pack(sum->numbers + p.first, p.count, words(sum) + p.first);
        send(sum, words(sum) + p.first, p.count, MPI_UINT16_T, node, comm->lane);
    }
}

static void add_arrived(const pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    const part p = node_part(sum, comm->node_index);
    float *const restrict total = sum->numbers + p.first;
    for (int node = 0; node < comm->nodes; node++) {
        if (node == comm->node_index) continue;
        const uint16_t *const restrict more = arrived_from(sum, node);
        for (int64_t i = 0; i < p.count; i++)
            total[i] += pv_bfloat16_value(more[i]);
    }
    pack(total, p.count, words(sum) + p.first);
}

/* Between nodes: each tells the others the sums of its numbers. */
static void spread(pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    const part own = node_part(sum, comm->node_index);
    for (int node = 0; node < comm->nodes; node++) {
        const part p = node_part(sum, node);
        if (node == comm->node_index) continue;
        receive(sum, words(sum) + p.first, p.count, MPI_UINT16_T, node, comm->lane);
        send(sum, words(sum) + own.first, own.count, MPI_UINT16_T, node, comm->lane);
    }
}

/* Within a node: each lane's rank tells the others. */
static void tell(pv_wire_sum *sum)
{
    const pv_comm *const comm = sum->plan->comm;
    for (int lane = 0; lane < comm->lanes; lane++) {
        const part p = lane_part(sum, lane);
        if (lane != comm->node_rank)
            receive(sum, words(sum) + p.first, p.count, MPI_UINT16_T, lane, comm->node);
    }
    const part own = in_lane(sum) ? lane_part(sum, comm->node_rank) : (part){0, 0};
    for (int rank = 0; in_lane(sum) && rank < comm->node_size; rank++)
        if (rank != comm->node_rank)
            send(sum, words(sum) + own.first, own.count, MPI_UINT16_T, rank, comm->node);
}

/* ---- step by step ---- */

static void begin_step(pv_wire_sum *sum)
{
    sum->waits = 0;
    if (sum->step == BRING) bring(sum);
    if (sum->step == EXCHANGE && in_lane(sum)) exchange(sum);
    if (sum->step == SPREAD && in_lane(sum)) spread(sum);
    if (sum->step == TELL) tell(sum);
}

static void end_step(pv_wire_sum *sum)
{
    if (sum->step == BRING && in_lane(sum)) add_brought(sum);
    if (sum->step == EXCHANGE && in_lane(sum)) add_arrived(sum);
    for (int64_t i = 0; sum->step == TELL && i < sum->count; i++)
        sum->numbers[i] = pv_bfloat16_value(words(sum)[i]);
}

void pv_wire_sum_begin(pv_wire_sum *sum, const pv_wire_plan *plan, int index, int64_t first, int64_t count,
                       float *numbers)
{
    *sum = (pv_wire_sum){.plan = plan, .numbers = numbers, .first = first, .count = count, .index = index};
    begin_step(sum);
}

bool pv_wire_sum_advance(pv_wire_sum *sum)
{
    while (sum->step < STEPS) {
        MPI_Request *const requests = sum->plan->requests + sum->index * sum->plan->waits;
        int done = 1;
        if (sum->waits > 0) MPI_Testall(sum->waits, requests, &done, MPI_STATUSES_IGNORE);
        if (!done) return false;
        end_step(sum);
        if (++sum->step < STEPS) begin_step(sum);
    }
    return true;
}
