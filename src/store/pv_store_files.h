/* Writing the files of a store, on one rank: a file with rows, all missing, and the master over shards. */
#ifndef PV_STORE_FILES_H
#define PV_STORE_FILES_H

#include "pv_shards.h"
#include "store/pv_store.h"

/* What a new file of a store holds beside rows: texts for its attributes, and where its objects come from. */
typedef struct store_recipe {
    const char *texts[PV_STORE_TEXTS];
    const pv_arch *arch;
    const pv_store *old;     /* the first objects are copied from it, all that it has; NULL for none */
    const pv_signal *signal; /* the others are the signal's first_new, first_new + 1, ... */
    int64_t first_new;
    const pv_storage_opts *storage;
    bool sharded; /* files with rows are shards, and say so */
} store_recipe;

/* Writes a whole file of the name `path`: with the rows of a box, all missing; or, with `entries`, the master
 * over `count` shards, which replaces a file of that name.
 * Local.  Errors: PV_ERR_IO, PV_ERR_HDF5; nothing is left behind. */
pv_status store_write_file(const store_recipe *recipe, const char *path, const store_box *box,
                           const shard_entry *entries, int count);

#endif
