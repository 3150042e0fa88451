/* Sums over all ranks along a tree, element by element. */
#include "pv_tree_sum.h"
#include "simd/pv_real.h"

#include <string.h>

/* ---- the plan ---- */

static void list_block(const pv_tree_plan *plan, pv_block_piece *list, int *pieces, int *brought)
{
    const pv_leaf_tree *const tree = &plan->tree;
    int64_t leaf = tree->core * tree->block;
    for (const int64_t end = leaf + tree->block; leaf < end; (*pieces)++) {
        const pv_tree_piece piece = pv_leaf_tree_piece(tree, leaf);
        const bool own = piece.rank == tree->rank;
        if (list) list[*pieces] = (pv_block_piece){piece, own ? -1 : *brought};
        *brought += !own;
        leaf += piece.leaves;
    }
}

/* Those of this rank's pieces that lie in others' blocks: all before its own block, or all. */
static void list_away(const pv_tree_plan *plan, pv_tree_piece *list, int *count)
{
    const pv_leaf_tree *const tree = &plan->tree;
    for (int64_t leaf = tree->first; leaf < tree->end;) {
        const pv_tree_piece piece = pv_leaf_tree_piece(tree, leaf);
        if (leaf / tree->block != tree->core) {
            if (list) list[*count] = piece;
            (*count)++;
        }
        leaf += piece.leaves;
    }
}

pv_status pv_tree_plan_make(const pv_comm *comm, int64_t leaves, pv_memory *memory, pv_tree_plan *out)
{
    enum { OF_A_ROUND = 2 };
    pv_tree_plan *const plan = out;
    int pieces = 0, brought = 0, aways = 0;
    *plan = (pv_tree_plan){.comm = comm, .tree = pv_leaf_tree_of(leaves, comm->rank, comm->size)};
    if (plan->tree.core >= 0) list_block(plan, NULL, &plan->pieces, &plan->brought);
    list_away(plan, NULL, &plan->aways);
    PV_TAKE(memory, plan->pieces, &plan->block);
    PV_TAKE(memory, plan->aways, &plan->away);
    if (pv_memory_status(memory) != PV_OK) return PV_ERR_NOMEM;
    if (plan->tree.core >= 0) list_block(plan, plan->block, &pieces, &brought);
    list_away(plan, plan->away, &aways);
    plan->waits = plan->brought + plan->aways;
    if (plan->waits < OF_A_ROUND) plan->waits = OF_A_ROUND;
    return PV_OK;
}

/* ---- adding ---- */

/* Adding is commutative, so that both partners of a round get the same bits. */
static void add(const pv_tree_numbers *numbers, void *to, const void *from, int64_t count)
{
    if (numbers->type == MPI_DOUBLE) {
        double *const restrict sum = to;
        const double *const restrict more = from;
        for (int64_t i = 0; i < count; i++)
            sum[i] += more[i];
    } else {
        pv_real *const restrict sum = to;
        const pv_real *const restrict more = from;
        for (int64_t i = 0; i < count; i++)
            sum[i] += more[i];
    }
}

static void *own(const pv_tree_sum *sum, int64_t leaf)
{
    const pv_tree_numbers *const n = &sum->numbers;
    return (char *)n->leaves[leaf - sum->plan->tree.first] + (size_t)n->offset * n->unit;
}

static void *brought(const pv_tree_sum *sum, int place)
{
    const pv_tree_numbers *const n = &sum->numbers;
    return (char *)n->brought + (size_t)(place * n->stride + n->offset) * n->unit;
}

/* What a core adds up in, from number `at` on: the first leaf of its block is its own. */
static void *total(const pv_tree_sum *sum, int64_t at)
{
    const pv_leaf_tree *const tree = &sum->plan->tree;
    return (char *)own(sum, tree->core * tree->block) + (size_t)at * sum->numbers.unit;
}

/* Makes pieces of this rank's leaves. */
static void add_run(const pv_tree_sum *sum)
{
    const pv_leaf_tree *const tree = &sum->plan->tree;
    for (int64_t half = 1; half < tree->block; half *= 2)
        for (int64_t leaf = (tree->first + 2 * half - 1) / (2 * half) * 2 * half;
             leaf + 2 * half <= tree->end; leaf += 2 * half)
            add(&sum->numbers, own(sum, leaf), own(sum, leaf + half), sum->numbers.count);
}

/* Makes one sum of the block's pieces: two of the same size that follow each other are neighbours in the
 * tree. */
static void add_block(const pv_tree_sum *sum)
{
    enum { DEEPEST = 64 };
    void *at[DEEPEST];
    int64_t leaves[DEEPEST];
    int depth = 0;
    for (int i = 0; i < sum->plan->pieces; i++) {
        const pv_block_piece *const piece = &sum->plan->block[i];
        at[depth] = piece->place < 0 ? own(sum, piece->at.leaf) : brought(sum, piece->place);
        leaves[depth++] = piece->at.leaves;
        for (; depth > 1 && leaves[depth - 1] == leaves[depth - 2]; depth--) {
            add(&sum->numbers, at[depth - 2], at[depth - 1], sum->numbers.count);
            leaves[depth - 2] *= 2;
        }
    }
}

/* ---- messages ---- */

static void send(pv_tree_sum *sum, const void *from, int64_t count, int to)
{
    const pv_tree_numbers *const n = &sum->numbers;
    MPI_Isend(from, (int)count, n->type, to, n->tag, sum->plan->comm->world, &n->requests[sum->waits++]);
}

static void receive(pv_tree_sum *sum, void *to, int64_t count, int from)
{
    const pv_tree_numbers *const n = &sum->numbers;
    MPI_Irecv(to, (int)count, n->type, from, n->tag, sum->plan->comm->world, &n->requests[sum->waits++]);
}

static void bring(pv_tree_sum *sum)
{
    const pv_tree_plan *const plan = sum->plan;
    for (int i = 0; i < plan->pieces; i++)
        if (plan->block[i].place >= 0)
            receive(sum, brought(sum, plan->block[i].place), sum->numbers.count, plan->block[i].at.rank);
    for (int i = 0; i < plan->aways; i++)
        send(sum, own(sum, plan->away[i].leaf), sum->numbers.count,
             pv_leaf_tree_core(&plan->tree, plan->away[i].leaf / plan->tree.block));
}

/* Adding up: keeps one half of what it had, or all, and sends the other.  Gathering: sends what it has, gets
 * the other half. */
static void exchange(pv_tree_sum *sum, int round)
{
    const pv_leaf_tree *const tree = &sum->plan->tree;
    const bool adds = round < sum->rounds;
    const int level = adds ? round : 2 * sum->rounds - 1 - round;
    const int partner = pv_leaf_tree_core(tree, tree->core ^ (1 << level));
    const bool low = !(tree->core & (1 << level));
    const int64_t first = sum->first[level], end = sum->end[level], middle = first + (end - first) / 2;
    int64_t mine = first, mine_end = end, other = first, other_end = end;
    if (sum->numbers.halving) {
        mine = low ? first : middle;
        mine_end = low ? middle : end;
        other = low ? middle : first;
        other_end = low ? end : middle;
    }
    sum->first[level + 1] = mine;
    sum->end[level + 1] = mine_end;
    receive(sum, adds ? sum->numbers.scratch : total(sum, other), adds ? mine_end - mine : other_end - other,
            partner);
    send(sum, total(sum, adds ? other : mine), adds ? other_end - other : mine_end - mine, partner);
}

static void tell(pv_tree_sum *sum)
{
    const pv_leaf_tree *const tree = &sum->plan->tree;
    if (tree->other < 0) return;
    if (tree->core >= 0)
        send(sum, total(sum, 0), sum->numbers.count, tree->other);
    else
        receive(sum, own(sum, tree->first), sum->numbers.count, tree->other);
}

/* ---- step by step ---- */

static int steps(const pv_tree_sum *sum)
{
    return 1 + (sum->numbers.halving ? 2 : 1) * sum->rounds + 1;
}

static void begin_step(pv_tree_sum *sum)
{
    sum->waits = 0;
    if (sum->step == 0)
        bring(sum);
    else if (sum->step < steps(sum) - 1)
        exchange(sum, sum->step - 1);
    else
        tell(sum);
}

static void end_step(pv_tree_sum *sum)
{
    const pv_leaf_tree *const tree = &sum->plan->tree;
    if (sum->step == 0)
        add_block(sum);
    else if (sum->step <= sum->rounds)
        add(&sum->numbers, total(sum, sum->first[sum->step]), sum->numbers.scratch,
            sum->end[sum->step] - sum->first[sum->step]);
    else if (sum->step == steps(sum) - 1 && tree->core >= 0 && tree->core * tree->block > tree->first)
        memcpy(own(sum, tree->first), total(sum, 0), (size_t)sum->numbers.count * sum->numbers.unit);
}

void pv_tree_sum_begin(pv_tree_sum *sum, const pv_tree_plan *plan, const pv_tree_numbers *numbers)
{
    *sum = (pv_tree_sum){.plan = plan, .numbers = *numbers};
    sum->end[0] = numbers->count;
    while (plan->tree.core >= 0 && 1 << sum->rounds < plan->tree.cores)
        sum->rounds++;
    add_run(sum);
    begin_step(sum);
}

bool pv_tree_sum_advance(pv_tree_sum *sum, bool wait)
{
    while (sum->step < steps(sum)) {
        int done = 1;
        if (sum->waits > 0 && wait)
            MPI_Waitall(sum->waits, sum->numbers.requests, MPI_STATUSES_IGNORE);
        else if (sum->waits > 0)
            MPI_Testall(sum->waits, sum->numbers.requests, &done, MPI_STATUSES_IGNORE);
        if (!done) return false;
        end_step(sum);
        if (++sum->step < steps(sum)) begin_step(sum);
    }
    return true;
}
