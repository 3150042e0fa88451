/* Who adds what along one binary tree over leaves, which ranks hold in runs. */
#include "pv_leaf_tree.h"
#include "parallel/pv_comm.h"

/* The rank whose run a leaf is in. */
static int owner_of(const pv_leaf_tree *tree, int64_t leaf)
{
    return (int)(((leaf + 1) * tree->size - 1) / tree->leaves);
}

/* The block that begins in a rank's run, or the first one that begins behind: so many cores come before. */
static int64_t block_from(const pv_leaf_tree *tree, int64_t first)
{
    return (first + tree->block - 1) / tree->block;
}

int pv_leaf_tree_core(const pv_leaf_tree *tree, int64_t core)
{
    return owner_of(tree, core * tree->block);
}

/* The rank number `number` of those that are no cores. */
static int other_rank(const pv_leaf_tree *tree, int64_t number)
{
    int64_t rank = number;
    for (int64_t core = 0; core < tree->cores && pv_leaf_tree_core(tree, core) <= rank; core++)
        rank++;
    return (int)rank;
}

pv_leaf_tree pv_leaf_tree_of(int64_t leaves, int rank, int size)
{
    pv_leaf_tree tree = {.leaves = leaves,
                         .first = pv_share_start(leaves, rank, size),
                         .end = pv_share_start(leaves, rank + 1, size),
                         .rank = rank,
                         .size = size,
                         .cores = 1,
                         .core = -1,
                         .other = -1};
    while (2 * tree.cores <= size)
        tree.cores *= 2;
    tree.block = leaves / tree.cores;
    const int64_t before = block_from(&tree, tree.first);
    if (before * tree.block >= tree.end)
        tree.other = pv_leaf_tree_core(&tree, rank - before);
    else {
        tree.core = (int)before;
        if (tree.core < size - tree.cores) tree.other = other_rank(&tree, tree.core);
    }
    return tree;
}

pv_tree_piece pv_leaf_tree_piece(const pv_leaf_tree *tree, int64_t leaf)
{
    const int rank = owner_of(tree, leaf);
    const int64_t end = pv_share_start(tree->leaves, rank + 1, tree->size);
    int64_t leaves = 1;
    while (leaves < tree->block && leaf % (2 * leaves) == 0 && leaf + 2 * leaves <= end)
        leaves *= 2;
    return (pv_tree_piece){leaf, leaves, rank};
}
