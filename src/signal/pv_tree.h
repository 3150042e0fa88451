/* Class trees: the files below a directory that a source reads, and the id, the class and the pool that
 * their paths give them.
 *
 *     PATH/{train,val,test}/CLASS/...    pools by the first directory
 *     PATH/CLASS/{train,val,test}/...    pools by the second, as ModelNet lies
 *     PATH/CLASS/...                     no pools: the files are divided
 *     PATH/...                           files that lie in PATH itself have no class
 *
 * Splits may also be called Training, TEST, validation, ... (training, testing, valid, validation and dev, in
 * any letters) where train's and another's directory lie beside each other, or no others than such in PATH.
 * Below these a file may lie in any directory.  Hidden files and directories (.name) are passed over, links
 * are followed.  A file's id is the checksum of its path relative to PATH: it, its pool and its order among
 * the files of its pool do not change when other files come or go.  A class is called like its directory
 * and has its number among all of them, of all pools, in the order of their bytes.
 *
 * What a source does with it: survey lists the files, drops those that are no good, and divides the rest into
 * pools; load hands over labels and ids and puts the table of paths into the memory of the node, where fetch
 * and samples find the path of an object's file. */
#ifndef PV_TREE_H
#define PV_TREE_H

#include "signal/pv_source.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_TREE_PATH = 4096 /* bytes of a path with its end */ };

typedef struct pv_tree_file {
    uint64_t id;
    int64_t path;  /* where its relative path stands in the text */
    int32_t label; /* -1: none */
    int pool;      /* -1: dropped */
} pv_tree_file;

typedef struct pv_tree {
    char *text; /* PATH, then the relative paths, each ended by 0 */
    int64_t text_bytes, text_room;
    pv_tree_file
        *files; /* [count], in the order of their paths; once divided, in that of the pools' places */
    int64_t count, room;
    int64_t passed_over; /* files that end in none of the endings */
    bool has_pools;      /* directories say which pool a file is in */
    int classes;
    pv_class_name *names; /* [classes] */
} pv_tree;

/* Lists the files whose names end in one of `endings` (NULL ends them, letters of any case), into a zeroed
 * tree.  Owner: pv_tree_free.
 * Local.   Errors: PV_ERR_CONFIG (no such directory), PV_ERR_IO (a directory that cannot be read; a path that
 * is too long), PV_ERR_DATA (no such file at all, a link that leads back to a directory above it, what is
 * neither file nor directory, files beside classes, files in and outside of train, val and test, two names of
 * one split, splits below the only class, two files of one id, too many classes, a class whose name is not
 * UTF-8), each named; PV_ERR_NOMEM.  Warns of an only class with directories below. */
pv_status pv_tree_list(const char *path, const char *const *endings, pv_tree *tree);
void pv_tree_free(pv_tree *tree); /* safe on a zeroed one */

/* The two halves of pv_tree_list, for paths that come from elsewhere: takes a relative path; then sorts all
 * and finds classes and pools. */
pv_status pv_tree_add(pv_tree *tree, const char *path);
pv_status pv_tree_settle(pv_tree *tree);

void pv_tree_path(const pv_tree *tree, int64_t file, char path[PV_TREE_PATH]);

/* Leaves out the files of pool -1, divides the others as opts->val and test say where the directories do not
 * (pv_divide.h), and brings them in the order of places: by pools, of each by ids, which mixes the classes.
 * Fills pool and apart of the form.
 * Local.   Errors: as pv_divide; PV_ERR_DATA (no file is left). */
pv_status pv_tree_divide(pv_tree *tree, uint64_t seed, const pv_signal_opts *opts, pv_source_form *form);

/* Of a divided tree: labels and ids of the objects of the splits, whose places are in held->ids. */
void pv_tree_hand_over(const pv_tree *tree, const pv_splits *splits, pv_source_held *held);

/* The paths of a divided tree as bytes that mean the same wherever they lie (aligned to 8), and the path of
 * the file at a place.  Local. */
int64_t pv_tree_table_bytes(const pv_tree *tree);
void pv_tree_table(const pv_tree *tree, void *table);
void pv_tree_table_path(const void *table, int64_t place, char path[PV_TREE_PATH]);

#endif
