/* Who adds what along one binary tree over leaves, which ranks hold in runs: numbers alone, no messages.
 *
 * The tree is the same for any number of ranks.  It is cut into equal blocks, as many as the largest power of
 * two of ranks there is: one rank of each block, its core, adds up what it holds of the block and what the
 * block's other ranks bring it; then cores meet in pairs, as in a job of a power of two of ranks.  Where the
 * ranks are one, every run is a block. */
#ifndef PV_LEAF_TREE_H
#define PV_LEAF_TREE_H

#include <stdint.h>

typedef struct pv_leaf_tree {
    int64_t leaves, block; /* in all, and of a block: powers of two */
    int64_t first, end;    /* the leaves of this rank */
    int rank, size, cores; /* cores: a power of two */
    int core;              /* which this rank is, or -1 */
    int other; /* the rank that a core hands the result on to, or that another rank has it from; -1: none */
} pv_leaf_tree;

/* The largest whole subtree that begins at a leaf and lies in one rank's run and in one block. */
typedef struct pv_tree_piece {
    int64_t leaf, leaves;
    int rank;
} pv_tree_piece;

/* leaves: a power of two, at least `size`. */
pv_leaf_tree pv_leaf_tree_of(int64_t leaves, int rank, int size);

pv_tree_piece pv_leaf_tree_piece(const pv_leaf_tree *tree, int64_t leaf);

/* The rank that is core `core`; core c adds up block c. */
int pv_leaf_tree_core(const pv_leaf_tree *tree, int64_t core);

#endif
