/* Sums along a binary tree over the ranks. */
#include "pv_tree.h"

enum { NOW_TAG = 0x7000, BEGUN_TAG = 0x4000, SOME = 2048 };

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

void pv_tree_sum_now(const pv_comm *comm, double *values, int count)
{
    for (int first = 0; first < count; first += SOME)
        sum_some(comm, values + first, count - first < SOME ? count - first : SOME);
}

static int64_t middle(const pv_tree_sum *sum, int level)
{
    return sum->first[level] + (sum->end[level] - sum->first[level]) / 2;
}

/* Halving: keeps one half of what it had, sends the other.  Gathering: sends what it has, gets the other
 * half. */
static void post(pv_tree_sum *sum)
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
static void complete(pv_tree_sum *sum)
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

void pv_tree_sum_begin(pv_tree_sum *sum, const pv_comm *comm, int tag, pv_real *values, pv_real *scratch,
                       int64_t count)
{
    *sum = (pv_tree_sum){.comm = comm, .values = values, .scratch = scratch, .tag = tag};
    sum->end[0] = count;
    while (1 << sum->rounds < comm->size)
        sum->rounds++;
    if (sum->rounds > 0) post(sum);
}

bool pv_tree_sum_advance(pv_tree_sum *sum, bool wait)
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
