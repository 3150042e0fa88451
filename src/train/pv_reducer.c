/* Sums over all ranks, and of gradients in buckets that travel while backward goes on. */
#include "train/pv_reducer.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"
#include "pv_tree_sum.h"
#include "pv_wire_sum.h"

#include <stdbool.h>
#include <stdlib.h>

/* Numbers of one sum of gradients: fewer cost more in messages than they gain in time.  Of few numbers at
 * once, at most. */
enum { LEAST = 1 << 14, MOST = 1 << 26, FEW = 2048 };
enum { NOW_TAG = 0x7000, BEGUN_TAG = 0x4000 };

/* A run of gradients whose sum is on its way. */
typedef struct bucket {
    MPI_Request request; /* fast */
    pv_wire_sum narrow;  /* fast, of 16 bits between nodes */
    pv_tree_sum tree;    /* ordered */
    bool done;
} bucket;

struct pv_reducer {
    const pv_comm *comm;
    pv_reduce kind;
    bool narrow;      /* fast, and there are nodes to send each other 16 bits a number */
    pv_memory memory; /* of all arrays */
    int64_t longest;
    int run;       /* leaves of this rank */
    void **leaves; /* [run]: the gradients */
    int64_t from;  /* gradients from here on are in buckets */
    bucket *buckets;
    int count;
    pv_wire_plan wire; /* narrow */
    /* ordered */
    pv_tree_plan plan;
    pv_real *brought, *scratch; /* [plan.brought][longest], [longest]: a bucket's is at its own offset */
    double *few_brought, *few_scratch;
    void **few;            /* [run] */
    MPI_Request *requests; /* of the few, then of every bucket */
    pv_reducer_times times;
};

/* What the tree needs. */
static pv_status take_tree(pv_reducer *r, int64_t leaves, int64_t buckets)
{
    if (pv_tree_plan_make(r->comm, leaves, &r->memory, &r->plan) != PV_OK) return PV_ERR_NOMEM;
    PV_TAKE(&r->memory, r->plan.brought * r->longest, &r->brought);
    PV_TAKE(&r->memory, r->longest, &r->scratch);
    PV_TAKE(&r->memory, r->plan.brought * FEW, &r->few_brought);
    PV_TAKE(&r->memory, FEW, &r->few_scratch);
    PV_TAKE(&r->memory, (buckets + 1) * r->plan.waits, &r->requests);
    return PV_OK;
}

pv_status pv_reducer_open(const pv_comm *comm, const pv_reducer_setup *setup, pv_reducer **out)
{
    const int64_t leaves = setup->leaves, longest = setup->longest;
    const int64_t buckets = longest / LEAST + longest / MOST + 2;
    pv_reducer *r = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(r, 1);
    *r = (pv_reducer){.comm = comm, .kind = setup->kind, .longest = longest};
    r->narrow = setup->kind == PV_REDUCE_FAST && setup->wire == PV_WIRE_BFLOAT16 && comm->nodes > 1;
    r->run = (int)(pv_share_start(leaves, comm->rank + 1, comm->size) -
                   pv_share_start(leaves, comm->rank, comm->size));
    PV_TAKE(&r->memory, r->run, &r->leaves, &r->few);
    PV_TAKE(&r->memory, buckets, &r->buckets);
    if (r->kind == PV_REDUCE_ORDERED) PV_TRY(take_tree(r, leaves, buckets));
    if (r->narrow) PV_TRY(pv_wire_plan_make(comm, longest, buckets, &r->memory, &r->wire));
    PV_TRY(pv_memory_status(&r->memory));
    *out = r;
    r = NULL;
done:
    pv_reducer_close(r);
    return st;
}

void pv_reducer_close(pv_reducer *r)
{
    if (!r) return;
    pv_memory_free(&r->memory);
    free(r);
}

/* All sums that are on their way, as far as they go without waiting.  Returns whether they are complete. */
static bool advance(pv_reducer *r)
{
    bool all = true;
    for (int i = 0; i < r->count; i++) {
        bucket *const b = &r->buckets[i];
        int done = 1;
        if (b->done) continue;
        if (r->kind == PV_REDUCE_ORDERED)
            done = pv_tree_sum_advance(&b->tree, false);
        else if (r->narrow)
            done = pv_wire_sum_advance(&b->narrow);
        else
            MPI_Test(&b->request, &done, MPI_STATUS_IGNORE);
        b->done = done != 0;
        all = all && b->done;
    }
    return all;
}

/* Adds up the numbers first..first+count-1 of every leaf. */
static void sum_few(pv_reducer *r, double *const *values, int first, int count)
{
    pv_tree_sum sum;
    pv_meter_reduction(count * (int64_t)sizeof(double));
    for (int leaf = 0; leaf < r->run; leaf++)
        r->few[leaf] = values[leaf] + first;
    pv_tree_sum_begin(&sum, &r->plan,
                      &(pv_tree_numbers){.type = MPI_DOUBLE,
                                         .unit = sizeof(double),
                                         .count = count,
                                         .leaves = r->few,
                                         .brought = r->few_brought,
                                         .stride = FEW,
                                         .scratch = r->few_scratch,
                                         .requests = r->requests,
                                         .tag = NOW_TAG});
    pv_tree_sum_advance(&sum, true);
}

void pv_reducer_sum(pv_reducer *r, double *const *values, int count)
{
    const double start = pv_seconds();
    if (r->kind == PV_REDUCE_FAST)
        MPI_Allreduce(MPI_IN_PLACE, values[0], count, MPI_DOUBLE, MPI_SUM, r->comm->world);
    for (int first = 0; r->kind == PV_REDUCE_ORDERED && first < count; first += FEW)
        sum_few(r, values, first, count - first < FEW ? count - first : FEW);
    advance(r);
    r->times.wait += pv_seconds() - start;
}

void pv_reducer_begin(pv_reducer *r, pv_real *const *gradients, int64_t count)
{
    for (int leaf = 0; leaf < r->run; leaf++)
        r->leaves[leaf] = gradients[leaf];
    r->from = count;
    r->count = 0;
}

static void begin_bucket(pv_reducer *r, int64_t first, int64_t end)
{
    bucket *const b = &r->buckets[r->count++];
    b->done = false;
    if (r->kind == PV_REDUCE_ORDERED || r->narrow) /* of MPI's own sums the meter knows */
        pv_meter_reduction((end - first) * (int64_t)sizeof(pv_real));
    if (r->kind == PV_REDUCE_ORDERED)
        pv_tree_sum_begin(&b->tree, &r->plan,
                          &(pv_tree_numbers){.type = MPI_FLOAT,
                                             .unit = sizeof(pv_real),
                                             .count = end - first,
                                             .leaves = r->leaves,
                                             .brought = r->brought,
                                             .stride = r->longest,
                                             .offset = first,
                                             .scratch = r->scratch + first,
                                             .requests = r->requests + r->count * r->plan.waits,
                                             .tag = BEGUN_TAG + r->count,
                                             .halving = true});
    else if (r->narrow)
        pv_wire_sum_begin(&b->narrow, &r->wire, r->count - 1, first, end - first,
                          (float *)r->leaves[0] + first);
    else
        MPI_Iallreduce(MPI_IN_PLACE, (pv_real *)r->leaves[0] + first, (int)(end - first), MPI_FLOAT, MPI_SUM,
                       r->comm->world, &b->request);
}

void pv_reducer_ready(pv_reducer *r, int64_t offset)
{
    const double start = pv_seconds();
    if (r->comm->size == 1 && r->kind == PV_REDUCE_FAST) return;
    while (r->from > offset && (offset == 0 || r->from - offset >= LEAST)) {
        const int64_t first = r->from - offset > MOST ? r->from - MOST : offset;
        begin_bucket(r, first, r->from);
        r->from = first;
    }
    advance(r);
    r->times.work += pv_seconds() - start;
}

void pv_reducer_finish(pv_reducer *r)
{
    const double start = pv_seconds();
    while (!advance(r)) { /* one after the other they would leave the network idle between their steps */
    }
    r->times.wait += pv_seconds() - start;
}

int64_t pv_reducer_memory(const pv_reducer *r)
{
    return r->memory.bytes;
}

pv_reducer_times pv_reducer_spent(const pv_reducer *r)
{
    return r->times;
}
