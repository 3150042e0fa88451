/* Sums over ranks: fast ones are right, ordered ones are those of a fixed tree, bit by bit. */
#include "pv_mpi_test.h"
#include "base/pv_rng.h"
#include "train/pv_reducer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 5000, MANY = 100003, LEAVES = 8, REPEATS = 3 };

/* What leaf `leaf` brings to element i. */
static double leaf_value(int64_t leaf, int64_t i)
{
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, (uint64_t)leaf, (uint64_t)i);
    return pv_rng_normal(&rng) * exp(5 * pv_rng_normal(&rng));
}

static double tree_double(int64_t first, int64_t count, int64_t i)
{
    return count == 1 ? leaf_value(first, i)
                      : tree_double(first, count / 2, i) + tree_double(first + count / 2, count / 2, i);
}

static pv_real tree_real(int64_t first, int64_t count, int64_t i)
{
    return count == 1 ? (pv_real)leaf_value(first, i)
                      : tree_real(first, count / 2, i) + tree_real(first + count / 2, count / 2, i);
}

static bool is_power_of_two(int n)
{
    return (n & (n - 1)) == 0;
}

/* The leaves of a rank, where the ranks are a power of two; else as many as a rank. */
static int64_t leaves_of(const pv_comm *comm)
{
    return is_power_of_two(comm->size) ? LEAVES / comm->size : 1;
}

static void fill(const pv_comm *comm, double *few, pv_real *many)
{
    const int64_t leaves = leaves_of(comm), first = comm->rank * leaves;
    for (int i = 0; i < FEW; i++)
        few[i] = tree_double(first, leaves, i);
    for (int i = 0; i < MANY; i++)
        many[i] = tree_real(first, leaves, i);
}

/* Sums in pieces of many sizes, some too small for a message of their own. */
static void reduce(pv_reducer *reducer, double *few, pv_real *many)
{
    static const int64_t offsets[] = {MANY - 1, MANY - 20000, MANY - 20001, 50000, 17, 0};
    pv_reducer_begin(reducer, many, MANY);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        pv_reducer_ready(reducer, offsets[i]);
    pv_reducer_sum(reducer, few, FEW);
    pv_reducer_finish(reducer);
}

/* The largest relative difference from the tree over all leaves; 0 means the same bits. */
static double difference(const pv_comm *comm, const double *few, const pv_real *many)
{
    const int64_t leaves = leaves_of(comm) * comm->size;
    double worst = 0;
    for (int i = 0; i < FEW; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < leaves; k++)
            size += fabs(leaf_value(k, i));
        for (int64_t k = 0; k < leaves && !is_power_of_two(comm->size); k++)
            sum += leaf_value(k, i);
        if (is_power_of_two(comm->size)) sum = tree_double(0, leaves, i);
        worst = fmax(worst, fabs(few[i] - sum) / size);
    }
    for (int i = 0; i < MANY; i += 7) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < leaves; k++) {
            size += fabs(leaf_value(k, i));
            sum += leaf_value(k, i);
        }
        if (is_power_of_two(comm->size)) sum = (double)tree_real(0, leaves, i);
        worst = fmax(worst, fabs((double)many[i] - sum) / size);
    }
    return worst;
}

static void sums(const pv_comm *comm, pv_reduce kind, double tolerance, const char *statement)
{
    double *few = malloc(sizeof *few * FEW), worst = 0;
    pv_real *many = malloc(sizeof *many * MANY);
    pv_reducer *reducer = NULL;
    bool good = few && many && pv_reducer_open(comm, kind, MANY, &reducer) == PV_OK;
    for (int repeat = 0; good && repeat < REPEATS; repeat++) {
        fill(comm, few, many);
        reduce(reducer, few, many);
        worst = fmax(worst, difference(comm, few, many));
    }
    pv_test_check(comm, good && worst <= tolerance, statement);
    pv_reducer_close(reducer);
    free(few);
    free(many);
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    sums(&comm, PV_REDUCE_FAST, 1e-6, "fast sums are sums");
    if (is_power_of_two(comm.size)) {
        sums(&comm, PV_REDUCE_ORDERED, 0, "ordered sums are those of the tree over all leaves, bit by bit");
    } else {
        pv_reducer *reducer = NULL;
        pv_test_check(&comm,
                      pv_reducer_open(&comm, PV_REDUCE_ORDERED, MANY, &reducer) == PV_ERR_CONFIG && !reducer,
                      "ordered sums are refused where the ranks are not a power of two");
    }
    return pv_test_end(&comm);
}
