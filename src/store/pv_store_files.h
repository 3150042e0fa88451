/* Writing the files of a store: a file with rows, all missing, and the master over shards.  Rank 0 lays a
 * file out; all ranks write what is known of its objects. */
#ifndef PV_STORE_FILES_H
#define PV_STORE_FILES_H

#include "pv_store_recipe.h"

/* Writes a whole file of the name `path`: with the rows of a box, all missing; or, with `entries`, the master
 * over `count` shards, which replaces a file of that name.
 * Collective.  Errors: PV_STOPPED, PV_ERR_IO, PV_ERR_HDF5, agreed; nothing is left behind. */
pv_status store_write_file(const pv_comm *comm, const store_recipe *recipe, const char *path,
                           const store_box *box, const shard_entry *entries, int count, store_making *making);

#endif
