/* A walk of all ranks through many things, each rank through a share of its own: a block at a time and in
 * step, so that what fails on one rank, or a signal or limit there, ends it on all of them within a block. */
#ifndef PV_WALK_H
#define PV_WALK_H

#include "base/pv_progress.h"
#include "parallel/pv_comm.h"

typedef struct pv_walk {
    const char *what, *unit; /* of the progress: "counting", "rows" */
    int64_t items, block;
    /* Sees to items [first, first + count), at most a block.  Independent of other ranks. */
    pv_status (*visit)(void *context, int64_t first, int64_t count);
    void *context;
} pv_walk;

/* Collective.  Errors: PV_STOPPED, those of `visit`, agreed. */
pv_status pv_walk_all(const pv_comm *comm, const pv_walk *walk);

/* Likewise one leg of a longer way, whose progress has begun; *passed of its items are behind it. */
pv_status pv_walk_leg(const pv_comm *comm, const pv_walk *walk, pv_progress *progress, int64_t *passed);
/* The end of such a way: nothing is drawn of one that was short.  Local. */
void pv_walk_end(pv_progress *progress, int64_t passed);

/* Whether all ranks are to go on: a look between two parts of what cannot be walked through.
 * Collective.  Errors: PV_STOPPED, agreed. */
pv_status pv_walk_on(const pv_comm *comm);

#endif
