/* Any list of paths, one a line, ends in classes, pools and ids that fit each other, or in a message. */
#include "base/pv_checksum.h"
#include "fuzz.h"
#include "signal/pv_tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static void check(const pv_tree *tree)
{
    int highest = -1;
    for (int64_t i = 0; i < tree->count; i++) {
        const pv_tree_file *file = &tree->files[i];
        const char *path = tree->text + file->path;
        fuzz_require(file->id == pv_checksum(path, strlen(path)), "an id is the checksum of the path");
        fuzz_require(file->pool >= 0 && file->pool < (tree->has_pools ? PV_POOLS : 1),
                     "a pool is one of them");
        fuzz_require(file->label >= -1 && file->label < tree->classes, "a label is that of a class");
        fuzz_require(i == 0 || strcmp(tree->text + file[-1].path, path) < 0, "paths ascend");
        if (file->label > highest) highest = file->label;
    }
    fuzz_require(highest == tree->classes - 1, "every class has a file");
    for (int c = 0; c < tree->classes; c++)
        fuzz_require(strlen(tree->names[c].text) < sizeof tree->names[c].text, "a name ends");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    pv_tree tree = {0};
    char *text = strndup((const char *)data, count);
    pv_status st = pv_tree_add(&tree, "root");
    fuzz_require(text && st == PV_OK, "memory");
    tree.count = 0; /* the first text is that of the root */
    for (char *line = strtok(text, "\n"); line && st == PV_OK; line = strtok(NULL, "\n"))
        st = pv_tree_add(&tree, line);
    if (st == PV_OK) st = pv_tree_settle(&tree);
    if (st == PV_OK) check(&tree);
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "bad paths are PV_ERR_DATA");
    fuzz_require(st == PV_OK || pv_fail_message()[0], "a message tells");
    pv_tree_free(&tree);
    free(text);
    return 0;
}
