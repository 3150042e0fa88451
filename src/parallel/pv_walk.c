/* A walk of all ranks through many things, in step. */
#include "parallel/pv_walk.h"
#include "base/pv_stop.h"

pv_status pv_walk_on(const pv_comm *comm)
{
    return pv_agree(comm, pv_stop_check());
}

pv_status pv_walk_leg(const pv_comm *comm, const pv_walk *walk, pv_progress *progress, int64_t *passed)
{
    const int64_t longest = (walk->items + comm->size - 1) / comm->size;
    int64_t first, share;
    pv_status st = PV_OK;
    pv_share_of(walk->items, comm->rank, comm->size, &first, &share);
    for (int64_t done = 0; st == PV_OK && done < longest; done += walk->block) {
        const int64_t left = share - done, count = left < walk->block ? left : walk->block;
        const int64_t all = (done + walk->block) * comm->size;
        st = pv_stop_check();
        if (st == PV_OK && count > 0) st = walk->visit(walk->context, first + done, count);
        st = pv_agree(comm, st);
        pv_progress_update(progress, *passed + (all < walk->items ? all : walk->items));
    }
    *passed += walk->items;
    return st;
}

void pv_walk_end(pv_progress *progress, int64_t passed)
{
    if (progress->last > progress->start) pv_progress_end(progress, passed);
}

pv_status pv_walk_all(const pv_comm *comm, const pv_walk *walk)
{
    pv_progress progress;
    int64_t passed = 0;
    pv_progress_start(&progress, walk->what, walk->unit, walk->items);
    const pv_status st = pv_walk_leg(comm, walk, &progress, &passed);
    if (st == PV_OK) pv_walk_end(&progress, passed);
    return st;
}
