/* The tree over leaves that ranks hold in runs: every leaf is added up once, along the same tree on any
 * number of ranks. */
#include "train/pv_leaf_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MOST_RANKS = 70 };

static void blocks_have_cores_of_their_own(const pv_leaf_tree *ranks, int size)
{
    int cores = 0, told = 0;
    assert_true(ranks->cores <= size && 2 * ranks->cores > size &&
                ranks->cores * ranks->block == ranks->leaves);
    for (int rank = 0; rank < size; rank++) {
        const pv_leaf_tree *const tree = &ranks[rank];
        assert_int_equal(tree->first, rank > 0 ? ranks[rank - 1].end : 0);
        assert_true(tree->end > tree->first);
        if (tree->core >= 0) {
            assert_int_equal(tree->core, cores++);
            assert_int_equal(pv_leaf_tree_core(tree, tree->core), rank);
            assert_true(tree->core * tree->block >= tree->first && tree->core * tree->block < tree->end);
        }
        if (tree->other < 0) continue;
        assert_int_equal(ranks[tree->other].other, rank); /* who tells, and who is told */
        assert_true((tree->core < 0) != (ranks[tree->other].core < 0));
        told += tree->core < 0;
    }
    assert_int_equal(ranks[size - 1].end, ranks->leaves);
    assert_int_equal(cores, ranks->cores);
    assert_int_equal(told, size - cores);
}

static void pieces_are_whole_subtrees(const pv_leaf_tree *ranks)
{
    for (int64_t leaf = 0; leaf < ranks->leaves;) {
        const pv_tree_piece piece = pv_leaf_tree_piece(ranks, leaf);
        const pv_leaf_tree *const tree = &ranks[piece.rank];
        assert_true(piece.leaf == leaf && piece.leaves > 0 && leaf % piece.leaves == 0);
        assert_true((piece.leaves & (piece.leaves - 1)) == 0);
        assert_true(leaf >= tree->first && leaf + piece.leaves <= tree->end);
        assert_int_equal(leaf / tree->block, (leaf + piece.leaves - 1) / tree->block);
        leaf += piece.leaves;
    }
}

static void any_number_of_ranks_shares_the_leaves(void **state)
{
    (void)state;
    pv_leaf_tree ranks[MOST_RANKS];
    for (int size = 1; size <= MOST_RANKS; size++)
        for (int64_t leaves = 1; leaves <= 1024; leaves *= 2) {
            if (leaves < size) continue;
            for (int rank = 0; rank < size; rank++)
                ranks[rank] = pv_leaf_tree_of(leaves, rank, size);
            blocks_have_cores_of_their_own(ranks, size);
            pieces_are_whole_subtrees(ranks);
        }
}

static void a_power_of_two_of_ranks_has_its_blocks(void **state)
{
    (void)state;
    for (int size = 1; size <= 64; size *= 2)
        for (int rank = 0; rank < size; rank++) {
            const pv_leaf_tree tree = pv_leaf_tree_of(64, rank, size);
            assert_int_equal(tree.core, rank);
            assert_int_equal(tree.other, -1);
            assert_int_equal(tree.first, rank * tree.block);
            assert_int_equal(pv_leaf_tree_piece(&tree, tree.first).leaves, tree.block);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_shares_the_leaves),
        cmocka_unit_test(a_power_of_two_of_ranks_has_its_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
