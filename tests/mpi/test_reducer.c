/* Sums over ranks: fast ones are right, ordered ones are those of a fixed tree, bit by bit, on any number of
 * ranks; those of which nodes send 16 bits a number are within two roundings, and the same on all ranks. */
#include "pv_mpi_test.h"
#include "base/pv_rng.h"
#include "train/pv_reducer.h"
#include "train/pv_wire_sum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 5000, MANY = 100003, REPEATS = 3 };

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

/* This rank's leaves, `count` of them from `first` on. */
typedef struct leaves {
    int64_t all, first, count;
    double **few;
    pv_real **many;
} leaves;

static leaves make_leaves(const pv_comm *comm, int64_t all)
{
    leaves l = {.all = all, .first = pv_share_start(all, comm->rank, comm->size)};
    l.count = pv_share_start(all, comm->rank + 1, comm->size) - l.first;
    l.few = calloc((size_t)l.count, sizeof *l.few);
    l.many = calloc((size_t)l.count, sizeof *l.many);
    for (int64_t leaf = 0; leaf < l.count; leaf++) {
        l.few[leaf] = malloc(sizeof(double) * FEW);
        l.many[leaf] = malloc(sizeof(pv_real) * MANY);
    }
    return l;
}

static void free_leaves(leaves *l)
{
    for (int64_t leaf = 0; leaf < l->count; leaf++) {
        free(l->few[leaf]);
        free(l->many[leaf]);
    }
    free(l->few);
    free(l->many);
}

static void fill(const leaves *l)
{
    for (int64_t leaf = 0; leaf < l->count; leaf++) {
        for (int i = 0; i < FEW; i++)
            l->few[leaf][i] = leaf_value(l->first + leaf, i);
        for (int i = 0; i < MANY; i++)
            l->many[leaf][i] = (pv_real)leaf_value(l->first + leaf, i);
    }
}

/* Sums in pieces of many sizes, some too small for a message of their own. */
static void reduce(pv_reducer *reducer, const leaves *l)
{
    static const int64_t offsets[] = {MANY - 1, MANY - 20000, MANY - 20001, 50000, 17, 0};
    pv_reducer_begin(reducer, l->many, MANY);
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        pv_reducer_ready(reducer, offsets[i]);
    pv_reducer_sum(reducer, l->few, FEW);
    pv_reducer_finish(reducer);
}

/* A sum in no particular order, and the sum of sizes. */
static double plain_sum(int64_t all, int64_t i, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t leaf = 0; leaf < all; leaf++) {
        sum += leaf_value(leaf, i);
        *size += fabs(leaf_value(leaf, i));
    }
    return sum;
}

/* The largest relative difference from the leaves' tree, or from a plain sum; 0 means the same bits. */
static double difference(const leaves *l, bool ordered)
{
    double worst = 0, size;
    for (int i = 0; i < FEW; i += 3) {
        const double plain = plain_sum(l->all, i, &size);
        const double sum = ordered ? tree_double(0, l->all, i) : plain;
        worst = fmax(worst, fabs(l->few[0][i] - sum) / size);
    }
    for (int i = 0; i < MANY; i += 13) {
        const double plain = plain_sum(l->all, i, &size);
        const double sum = ordered ? (double)tree_real(0, l->all, i) : plain;
        worst = fmax(worst, fabs((double)l->many[0][i] - sum) / size);
    }
    return worst;
}

/* Whether all ranks have the same sums, bit by bit. */
static bool same_everywhere(const pv_comm *comm, const leaves *l)
{
    pv_real *const first = malloc(sizeof *first * MANY);
    memcpy(first, l->many[0], sizeof *first * MANY);
    MPI_Bcast(first, MANY, MPI_FLOAT, 0, comm->world);
    const bool same = memcmp(first, l->many[0], sizeof *first * MANY) == 0;
    free(first);
    return same;
}

/* The worst difference of several sums with one reducer; 1 if ranks disagree. */
static double sum_up(const pv_comm *comm, const pv_reducer_setup *setup)
{
    leaves l = make_leaves(comm, setup->leaves);
    double worst = 0;
    pv_reducer *reducer = NULL;
    if (pv_reducer_open(comm, setup, &reducer) != PV_OK) worst = 1;
    for (int repeat = 0; reducer && repeat < REPEATS; repeat++) {
        fill(&l);
        reduce(reducer, &l);
        worst = fmax(worst, difference(&l, setup->kind == PV_REDUCE_ORDERED));
        if (!same_everywhere(comm, &l)) worst = 1;
    }
    pv_reducer_close(reducer);
    free_leaves(&l);
    return worst;
}

static void sums(const pv_comm *comm, pv_reduce kind, int64_t all, const char *statement)
{
    const double worst = sum_up(comm, &(pv_reducer_setup){kind, PV_WIRE_FLOAT32, all, MANY});
    pv_test_check(comm, worst <= (kind == PV_REDUCE_ORDERED ? 0 : 1e-6), statement);
}

/* Nodes of so many ranks, the last one of what is left: a number is rounded twice where there are two or
 * more. */
static void narrow_sums(int node_ranks)
{
    pv_comm comm;
    char statement[128];
    pv_comm_open(MPI_COMM_WORLD, node_ranks, &comm);
    const double worst =
        sum_up(&comm, &(pv_reducer_setup){PV_REDUCE_FAST, PV_WIRE_BFLOAT16, comm.size, MANY});
    snprintf(statement, sizeof statement,
             "nodes of %d ranks that send 16 bits a number have the same sums, %s", node_ranks,
             comm.nodes > 1 ? "rounded" : "whole as one node's");
    pv_test_check(&comm, comm.nodes > 1 ? worst > 1e-4 && worst <= ldexp(1.005, -7) : worst <= 1e-6,
                  statement);
    pv_comm_close(&comm);
}

/* Of every word, and of what lies between it and the next. */
static bool rounds_to_nearest(void)
{
    for (uint32_t word = 0; word < 0x7f80; word++)
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000)
            for (uint32_t rest = 0; rest <= 0x10000; rest += rest < 0x7fff || rest > 0x8000 ? 0x7fff : 1) {
                const uint32_t bits = ((word | sign) << 16) + rest;
                const bool up = rest > 0x8000 || (rest == 0x8000 && word & 1);
                float x;
                memcpy(&x, &bits, sizeof x);
                if (pv_bfloat16_of(x) != (word | sign) + up) return false;
            }
    return isnan(pv_bfloat16_value(pv_bfloat16_of(NAN))) &&
           pv_bfloat16_value(pv_bfloat16_of(-INFINITY)) == -INFINITY;
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    sums(&comm, PV_REDUCE_FAST, comm.size, "fast sums are sums");
    sums(&comm, PV_REDUCE_ORDERED, 16,
         "ordered sums of 16 leaves are those of the tree over them, bit by bit");
    sums(&comm, PV_REDUCE_ORDERED, comm.size > 4 ? 8 : 4, "and those of hardly more leaves than ranks");
    pv_test_check(&comm, rounds_to_nearest(), "bfloat16 is the nearest, and NaN stays NaN");
    for (int node_ranks = 1; node_ranks <= 3; node_ranks++)
        narrow_sums(node_ranks);
    return pv_test_end(&comm);
}
