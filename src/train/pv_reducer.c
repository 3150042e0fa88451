/* Sums of gradients in buckets that travel while backward goes on. */
#include "pv_reducer.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "pv_tree.h"

#include <stdlib.h>

/* Numbers of one sum of gradients: fewer cost more in messages than they gain in time. */
enum { LEAST = 1 << 14, MOST = 1 << 26 };

/* A run of gradients whose sum is on its way. */
typedef struct bucket {
    MPI_Request request; /* fast */
    pv_tree_sum tree;    /* ordered */
    bool done;
} bucket;

struct pv_reducer {
    const pv_comm *comm;
    pv_reduce kind;
    pv_real *gradients, *scratch; /* scratch [longest]: a bucket's is at its own offset */
    int64_t from;                 /* gradients from here on are in buckets */
    bucket *buckets;
    int count;
    pv_reducer_times times;
};

pv_status pv_reducer_open(const pv_comm *comm, pv_reduce kind, int64_t longest, pv_reducer **out)
{
    pv_reducer *r = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    if (kind == PV_REDUCE_ORDERED && (comm->size & (comm->size - 1)))
        return pv_fail(PV_ERR_CONFIG, "train.reduce: ordered needs a power of two of ranks, not %d",
                       comm->size);
    PV_ALLOC(r, 1);
    r->comm = comm;
    r->kind = kind;
    PV_ALLOC(r->buckets, longest / LEAST + longest / MOST + 2);
    if (kind == PV_REDUCE_ORDERED) PV_ALLOC(r->scratch, longest + 1);
    *out = r;
    r = NULL;
done:
    pv_reducer_close(r);
    return st;
}

void pv_reducer_close(pv_reducer *r)
{
    if (!r) return;
    free(r->buckets);
    free(r->scratch);
    free(r);
}

static void poll(pv_reducer *r)
{
    for (int i = 0; i < r->count; i++) {
        bucket *const b = &r->buckets[i];
        int done = 1;
        if (b->done) continue;
        if (r->kind == PV_REDUCE_ORDERED)
            done = pv_tree_sum_advance(&b->tree, false);
        else
            MPI_Test(&b->request, &done, MPI_STATUS_IGNORE);
        b->done = done != 0;
    }
}

void pv_reducer_sum(pv_reducer *r, double *values, int count)
{
    const double start = pv_seconds();
    if (r->kind == PV_REDUCE_ORDERED)
        pv_tree_sum_now(r->comm, values, count);
    else
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, r->comm->world);
    poll(r);
    r->times.wait += pv_seconds() - start;
}

void pv_reducer_begin(pv_reducer *r, pv_real *gradients, int64_t count)
{
    r->gradients = gradients;
    r->from = count;
    r->count = 0;
}

static void begin_bucket(pv_reducer *r, int64_t first, int64_t end)
{
    bucket *const b = &r->buckets[r->count];
    b->done = false;
    if (r->kind == PV_REDUCE_ORDERED)
        pv_tree_sum_begin(&b->tree, r->comm, r->count, r->gradients + first, r->scratch + first, end - first);
    else
        MPI_Iallreduce(MPI_IN_PLACE, r->gradients + first, (int)(end - first), MPI_FLOAT, MPI_SUM,
                       r->comm->world, &b->request);
    r->count++;
}

void pv_reducer_ready(pv_reducer *r, int64_t offset)
{
    const double start = pv_seconds();
    if (r->comm->size == 1) return;
    while (r->from > offset && (offset == 0 || r->from - offset >= LEAST)) {
        const int64_t first = r->from - offset > MOST ? r->from - MOST : offset;
        begin_bucket(r, first, r->from);
        r->from = first;
    }
    poll(r);
    r->times.work += pv_seconds() - start;
}

void pv_reducer_finish(pv_reducer *r)
{
    const double start = pv_seconds();
    for (int i = 0; i < r->count; i++) {
        bucket *const b = &r->buckets[i];
        if (b->done) continue;
        if (r->kind == PV_REDUCE_ORDERED)
            pv_tree_sum_advance(&b->tree, true);
        else
            MPI_Wait(&b->request, MPI_STATUS_IGNORE);
        b->done = true;
    }
    r->times.wait += pv_seconds() - start;
}

pv_reducer_times pv_reducer_spent(const pv_reducer *r)
{
    return r->times;
}
