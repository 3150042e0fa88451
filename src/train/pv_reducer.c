/* Sums along a tree over the ranks, and of gradients in buckets that travel while backward goes on. */
#include "pv_reducer.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"

#include <stdbool.h>

/* ---- sums along a binary tree whose leaves are the ranks ---- */

enum { TREE_ROUNDS = 32, NOW_TAG = 0x7000, BEGUN_TAG = 0x4000, SOME = 2048 };

/* A sum on its way: halves are exchanged with ever more distant ranks, then gathered back. */
typedef struct tree_sum {
    const pv_comm *comm;
    pv_real *values, *scratch;                            /* [count], [count / 2 + 1] */
    int tag, round, rounds;                               /* rounds of halving, then as many of gathering */
    int64_t first[TREE_ROUNDS + 1], end[TREE_ROUNDS + 1]; /* what this rank adds up after each round */
    MPI_Request requests[2];
} tree_sum;

/* Adding is commutative, so that both partners get the same bits without agreeing on left and right. */
static void sum_some(const pv_comm *comm, double *values, int count)
{
    double scratch[SOME];
    for (int distance = 1; distance < comm->size; distance *= 2) {
        const int partner = comm->rank ^ distance;
        MPI_Sendrecv(values, count, MPI_DOUBLE, partner, NOW_TAG, scratch, count, MPI_DOUBLE, partner,
                     NOW_TAG, comm->world, MPI_STATUS_IGNORE);
        for (int i = 0; i < count; i++)
            values[i] += scratch[i];
    }
}

/* Adds `values` up element by element over all ranks, at once: for few of them. */
static void tree_sum_now(const pv_comm *comm, double *values, int count)
{
    for (int first = 0; first < count; first += SOME)
        sum_some(comm, values + first, count - first < SOME ? count - first : SOME);
}

static int64_t middle(const tree_sum *sum, int level)
{
    return sum->first[level] + (sum->end[level] - sum->first[level]) / 2;
}

/* Halving: keeps one half of what it had, sends the other.  Gathering: sends what it has, gets the other
 * half. */
static void post(tree_sum *sum)
{
    const bool halving = sum->round < sum->rounds;
    const int level = halving ? sum->round : 2 * sum->rounds - 1 - sum->round;
    const int partner = sum->comm->rank ^ (1 << level);
    const bool low = !(sum->comm->rank & (1 << level));
    const int64_t border = middle(sum, level);
    const int64_t mine = low ? sum->first[level] : border, mine_end = low ? border : sum->end[level];
    const int64_t other = low ? border : sum->first[level], other_end = low ? sum->end[level] : border;
    sum->first[level + 1] = mine;
    sum->end[level + 1] = mine_end;
    pv_real *const to = halving ? sum->scratch : sum->values + other;
    const pv_real *const from = sum->values + (halving ? other : mine);
    const int64_t get = halving ? mine_end - mine : other_end - other;
    const int64_t give = halving ? other_end - other : mine_end - mine;
    MPI_Irecv(to, (int)get, MPI_FLOAT, partner, BEGUN_TAG + sum->tag, sum->comm->world, &sum->requests[0]);
    MPI_Isend(from, (int)give, MPI_FLOAT, partner, BEGUN_TAG + sum->tag, sum->comm->world, &sum->requests[1]);
}

/* What a round does once its messages have arrived. */
static void complete(tree_sum *sum)
{
    if (sum->round < sum->rounds) {
        pv_real *const restrict values = sum->values + sum->first[sum->round + 1];
        const pv_real *const restrict scratch = sum->scratch;
        const int64_t n = sum->end[sum->round + 1] - sum->first[sum->round + 1];
        for (int64_t i = 0; i < n; i++)
            values[i] += scratch[i];
    }
    sum->round++;
}

/* Begins the same of a long vector; tag tells apart sums that are on their way together. */
static void tree_sum_begin(tree_sum *sum, const pv_comm *comm, int tag, pv_real *values, pv_real *scratch,
                           int64_t count)
{
    *sum = (tree_sum){.comm = comm, .values = values, .scratch = scratch, .tag = tag};
    sum->end[0] = count;
    while (1 << sum->rounds < comm->size)
        sum->rounds++;
    if (sum->rounds > 0) post(sum);
}

/* Goes as far as it can without waiting, or to the end.  Returns whether the sum is complete. */
static bool tree_sum_advance(tree_sum *sum, bool wait)
{
    while (sum->round < 2 * sum->rounds) {
        int done = 1;
        if (wait)
            MPI_Waitall(2, sum->requests, MPI_STATUSES_IGNORE);
        else
            MPI_Testall(2, sum->requests, &done, MPI_STATUSES_IGNORE);
        if (!done) return false;
        complete(sum);
        if (sum->round < 2 * sum->rounds) post(sum);
    }
    return true;
}

/* ---- buckets ---- */

/* Numbers of one sum of gradients: fewer cost more in messages than they gain in time. */
enum { LEAST = 1 << 14, MOST = 1 << 26 };

/* A run of gradients whose sum is on its way. */
typedef struct bucket {
    MPI_Request request; /* fast */
    tree_sum tree;       /* ordered */
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
    PV_FREE(r->buckets, r->scratch, r);
}

/* All sums that are on their way: as far as they go without waiting, or to their ends. */
static void advance(pv_reducer *r, bool wait)
{
    for (int i = 0; i < r->count; i++) {
        bucket *const b = &r->buckets[i];
        int done = 1;
        if (b->done) continue;
        if (r->kind == PV_REDUCE_ORDERED)
            done = tree_sum_advance(&b->tree, wait);
        else if (wait)
            MPI_Wait(&b->request, MPI_STATUS_IGNORE);
        else
            MPI_Test(&b->request, &done, MPI_STATUS_IGNORE);
        b->done = done != 0;
    }
}

void pv_reducer_sum(pv_reducer *r, double *values, int count)
{
    const double start = pv_seconds();
    if (r->kind == PV_REDUCE_ORDERED)
        tree_sum_now(r->comm, values, count);
    else
        MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, r->comm->world);
    advance(r, false);
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
        tree_sum_begin(&b->tree, r->comm, r->count, r->gradients + first, r->scratch + first, end - first);
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
    advance(r, false);
    r->times.work += pv_seconds() - start;
}

void pv_reducer_finish(pv_reducer *r)
{
    const double start = pv_seconds();
    advance(r, true);
    r->times.wait += pv_seconds() - start;
}

pv_reducer_times pv_reducer_spent(const pv_reducer *r)
{
    return r->times;
}
