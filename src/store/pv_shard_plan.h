/* The shards of a store on their way: which rows each is to hold, its file's name, and that none stays behind
 * that was made for nothing. */
#ifndef PV_SHARD_PLAN_H
#define PV_SHARD_PLAN_H

#include "pv_shards.h"
#include "store/pv_store.h"

typedef struct shard_plan {
    const char *path;                                          /* of the master; borrowed */
    char directory[SHARD_NAME_BYTES - sizeof "/00000.h5" + 1]; /* of new shards, as named in the table */
    shard_entry *entries;                                      /* owner: who made the plan, free */
    int count, there;                                          /* entries below `there` need not be written */
    int kept;     /* those below `kept` belong to the store as it is */
    int64_t most; /* rows of a shard, at most */
} shard_plan;

/* Without an entry yet; `most` is set.  Local.  Errors: PV_ERR_IO (the name is too long), PV_ERR_NOMEM. */
pv_status shard_plan_make(const char *path, shard_plan *plan);
/* Adds the shards that a store has; one file counts as one, which is to get a second name. */
pv_status shard_plan_present(shard_plan *plan, const pv_store *store);
/* Adds a box that is cut into shards.  Local.  Errors: PV_ERR_CONFIG (too many). */
pv_status shard_plan_box(shard_plan *plan, const store_box *box);

/* Takes away what an earlier making left when it was killed; with `sharded` gives the new shards names that
 * no file has, notes them down for the next making, and gives the store's own file its second name.
 * Collective.  Errors: PV_ERR_IO, agreed. */
pv_status shard_plan_begin(const pv_comm *comm, shard_plan *plan, bool sharded);
/* The new files are part of the store, or else are taken away.  Local: rank 0. */
void shard_plan_end(const shard_plan *plan, bool made);

#endif
