/* Class trees: the pools and places of their files, and what an object is by its place. */
#include "pv_tree.h"
#include "base/pv_mem.h"
#include "pv_divide.h"
#include "pv_splits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
    const pv_tree_file *x = a, *y = b;
    return x->pool != y->pool ? x->pool - y->pool : (x->id > y->id) - (x->id < y->id);
}

/* Puts files of the first pool apart. */
static pv_status put_apart(pv_tree *tree, uint64_t seed, double test, double val)
{
    static const int pool_of[PV_SPLITS] = {[PV_SPLIT_TRAIN] = 0, [PV_SPLIT_VAL] = 2, [PV_SPLIT_TEST] = 1};
    uint64_t *ids = NULL;
    uint8_t *split = NULL;
    int64_t count = 0;
    pv_status st;
    PV_ALLOC(ids, tree->count);
    PV_ALLOC(split, tree->count);
    while (count < tree->count && tree->files[count].pool == 0) {
        ids[count] = tree->files[count].id;
        count++;
    }
    PV_TRY(pv_divide(seed, count, ids, test, val, split));
    for (int64_t i = 0; i < count; i++)
        tree->files[i].pool = pool_of[split[i]];
    qsort(tree->files, (size_t)tree->count, sizeof *tree->files, by_place);
done:
    PV_FREE(ids, split);
    return st;
}

pv_status pv_tree_divide(pv_tree *tree, uint64_t seed, const pv_signal_opts *opts, pv_source_form *form)
{
    bool own_val = false;
    int64_t kept = 0;
    pv_status st = PV_OK;
    for (int64_t i = 0; i < tree->count; i++)
        if (tree->files[i].pool >= 0) {
            own_val = own_val || tree->files[i].pool == 2;
            tree->files[kept++] = tree->files[i];
        }
    tree->count = kept;
    if (kept == 0) return pv_fail(PV_ERR_DATA, "no file is left of those in '%s'", tree->text);
    qsort(tree->files, (size_t)kept, sizeof *tree->files, by_place);
    if (!tree->has_pools)
        form->apart = 1 << PV_SPLIT_VAL | 1 << PV_SPLIT_TEST;
    else if (!own_val)
        form->apart = 1 << PV_SPLIT_VAL;
    if (form->apart) PV_TRY(put_apart(tree, seed, tree->has_pools ? 0 : opts->test, opts->val));
    for (int64_t i = 0; i < kept; i++)
        form->pool[tree->files[i].pool]++;
    form->passed_over = tree->passed_over;
done:
    return st;
}

void pv_tree_hand_over(const pv_tree *tree, const pv_splits *splits, pv_source_held *held)
{
    for (int64_t i = 0; i < pv_splits_objects(splits); i++) {
        const pv_tree_file *file = &tree->files[held->ids[i]];
        held->labels[i] = file->label;
        held->ids[i] = file->id;
    }
}

/* Where the paths begin, counted from the table's own beginning, that of PATH first; then the text. */
int64_t pv_tree_table_bytes(const pv_tree *tree)
{
    return (tree->count + 1) * (int64_t)sizeof(int64_t) + tree->text_bytes;
}

void pv_tree_table(const pv_tree *tree, void *table)
{
    int64_t *begins = table;
    const int64_t text = (tree->count + 1) * (int64_t)sizeof *begins;
    memcpy((char *)table + text, tree->text, (size_t)tree->text_bytes);
    begins[0] = text;
    for (int64_t i = 0; i < tree->count; i++)
        begins[1 + i] = text + tree->files[i].path;
}

void pv_tree_table_path(const void *table, int64_t place, char path[PV_TREE_PATH])
{
    const int64_t *begins = table;
    snprintf(path, PV_TREE_PATH, "%s/%s", (const char *)table + begins[0],
             (const char *)table + begins[1 + place]);
}
