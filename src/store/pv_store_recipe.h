/* What a store that is made or grows is to hold, and how far its making is. */
#ifndef PV_STORE_RECIPE_H
#define PV_STORE_RECIPE_H

#include "base/pv_progress.h"
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

/* How far a store's making is: objects written into any of its files. */
typedef struct store_making {
    pv_progress progress;
    int64_t written;
} store_making;

#endif
