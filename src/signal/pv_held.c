/* What a node holds of a source: labels, ids, what its functions need, and the objects if they fit in. */
#include "pv_held.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* All but the objects, one behind the other: what is shared, ids, labels. */
static int64_t round_up(int64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

static int64_t memory_bytes(const pv_held *held)
{
    return round_up(held->plan->form.shared_bytes) +
           held->objects * (int64_t)(sizeof *held->parts.ids + sizeof *held->parts.labels);
}

static pv_status open_memory(const pv_comm *comm, pv_held *held)
{
    const pv_status st = pv_shared_open(comm, memory_bytes(held), &held->memory);
    if (st != PV_OK) return st;
    uint8_t *const data = held->memory.data;
    held->parts.shared = data;
    held->parts.ids = (uint64_t *)(void *)(data + round_up(held->plan->form.shared_bytes));
    held->parts.labels = (int32_t *)(void *)(held->parts.ids + held->objects);
    return PV_OK;
}

/* Room for the objects, if they fit in or cannot be fetched one by one. */
static pv_status open_kept(const pv_comm *comm, double keep, pv_held *held)
{
    const int64_t each = held->plan->form.object_bytes;
    const double all = (double)held->objects * (double)each;
    int64_t bytes = all < 0x1p62 ? held->objects * each : INT64_MAX;
    pv_status st = PV_OK;
    if (held->source->fetch && all > keep * (double)pv_shared_room()) bytes = 0;
    MPI_Bcast(&bytes, 1, MPI_INT64_T, 0, comm->node); /* what rank 0 of the node says */
    PV_TRY(pv_shared_open(comm, bytes, &held->kept_memory));
    if (bytes > 0)
        held->kept = held->kept_memory.data;
    else
        PV_ALLOC(held->fetched, each);
    held->fetched_object = -1;
done:
    return pv_agree(comm, st);
}

/* ---- reading, on rank 0 of a node ---- */

static pv_status check_labels(const pv_held *held)
{
    const int32_t *labels = held->parts.labels;
    for (int64_t i = 0; i < held->objects; i++)
        if (labels[i] < -1 || labels[i] > INT32_MAX - 1)
            return pv_fail(PV_ERR_DATA, "object %lld of the source '%s' has the label %d, expected -1 to %d",
                           (long long)i, held->source->plugin.name, labels[i], INT32_MAX - 1);
    return PV_OK;
}

static pv_status load(pv_held *held, void *reader)
{
    const pv_source *source = held->source;
    const pv_signal_plan *plan = held->plan;
    pv_source_held parts = held->parts;
    pv_status st;
    for (int64_t i = 0; i < held->objects; i++)
        parts.ids[i] = (uint64_t)pv_splits_place(&plan->form, &plan->splits, i);
    parts.objects = source->fetch ? NULL : held->kept;
    PV_TRY(source->load(reader, &plan->form, &plan->splits, &parts));
    PV_TRY(check_labels(held));
    if (source->classes) st = source->classes(reader, &held->classes, &held->class_names);
done:
    return st;
}

/* Nodes may read from disks of their own: all must have read the same.  Objects that are fetched are compared
 * where they are fitted, by digests.  Collective over comm->leaders. */
static pv_status compare_nodes(const pv_comm *comm, const pv_held *held, const char *path)
{
    const bool read = held->kept && !held->source->fetch;
    const size_t bytes = read ? (size_t)(held->objects * held->plan->form.object_bytes) : 0;
    pv_signal_plan plan;
    memcpy(&plan, held->plan, sizeof plan); /* with what lies between its members */
    plan.form.passed_over = 0;
    const size_t named = held->class_names ? (size_t)held->classes * sizeof *held->class_names : 0;
    const uint64_t mine[] = {pv_checksum(&plan, sizeof plan),
                             pv_checksum(held->memory.data, (size_t)memory_bytes(held)),
                             pv_checksum(held->kept, bytes), pv_checksum(held->class_names, named)};
    uint64_t first[sizeof mine / sizeof *mine];
    memcpy(first, mine, sizeof mine);
    MPI_Bcast(first, sizeof mine / sizeof *mine, MPI_UINT64_T, 0, comm->leaders);
    if (memcmp(first, mine, sizeof mine) != 0)
        return pv_fail(PV_ERR_DATA, "the files in '%s' on this node are not those on the node of rank 0",
                       path ? path : "");
    return PV_OK;
}

/* ---- ids ---- */

static bool ids_are_places(const pv_held *held)
{
    const pv_signal_plan *plan = held->plan;
    for (int64_t i = 0; i < held->objects; i++)
        if (held->parts.ids[i] != (uint64_t)pv_splits_place(&plan->form, &plan->splits, i)) return false;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t x = ((const pv_id_place *)a)->id, y = ((const pv_id_place *)b)->id;
    return (x > y) - (x < y);
}

static pv_status sort_ids(const pv_held *held, pv_id_place *sorted)
{
    for (int64_t i = 0; i < held->objects; i++)
        sorted[i] = (pv_id_place){held->parts.ids[i], i};
    qsort(sorted, (size_t)held->objects, sizeof *sorted, compare_ids);
    for (int64_t i = 1; i < held->objects; i++)
        if (sorted[i].id == sorted[i - 1].id)
            return pv_fail(PV_ERR_DATA, "objects %lld and %lld of the source '%s' have the same id %llu",
                           (long long)sorted[i - 1].object, (long long)sorted[i].object,
                           held->source->plugin.name, (unsigned long long)sorted[i].id);
    return PV_OK;
}

/* Where ids are not places, an array to find them in.  All nodes have the same ids. */
static pv_status open_sorted(const pv_comm *comm, pv_held *held)
{
    const int64_t bytes = held->objects * (int64_t)sizeof *held->sorted;
    pv_status st;
    if (ids_are_places(held)) return PV_OK;
    PV_TRY(pv_shared_open(comm, bytes, &held->sorted_memory));
    PV_TRY(pv_agree(comm, comm->node_rank == 0 ? sort_ids(held, held->sorted_memory.data) : PV_OK));
    pv_shared_sync(comm, &held->sorted_memory);
    held->sorted = held->sorted_memory.data;
done:
    return st;
}

uint64_t pv_held_id(const pv_held *held, int64_t object)
{
    const pv_signal_plan *plan = held->plan;
    return held->parts.ids ? held->parts.ids[object]
                           : (uint64_t)pv_splits_place(&plan->form, &plan->splits, object);
}

int64_t pv_held_find(const pv_held *held, uint64_t id)
{
    const pv_id_place wanted = {.id = id};
    if (!held->sorted)
        return id > INT64_MAX ? -1 : pv_splits_find(&held->plan->form, &held->plan->splits, (int64_t)id);
    const pv_id_place *found =
        bsearch(&wanted, held->sorted, (size_t)held->objects, sizeof wanted, compare_ids);
    return found ? found->object : -1;
}

/* ---- all of it ---- */

/* Gives the names of the classes to the other ranks of the node.  Collective over the node and the world. */
static pv_status share_names(const pv_comm *comm, pv_held *held)
{
    int names = held->class_names ? held->classes : 0;
    pv_status st = PV_OK;
    MPI_Bcast(&names, 1, MPI_INT, 0, comm->node);
    if (names > 0 && !held->class_names) PV_ALLOC(held->class_names, names);
done:
    st = pv_agree(comm, st);
    if (st != PV_OK || names == 0) return st;
    held->classes = names;
    MPI_Bcast(held->class_names, names * (int)sizeof *held->class_names, MPI_BYTE, 0, comm->node);
    return PV_OK;
}

static pv_source_object object_of(const pv_held *held, int64_t object)
{
    const pv_signal_plan *plan = held->plan;
    return (pv_source_object){.form = &plan->form,
                              .shared = held->parts.shared,
                              .id = pv_held_id(held, object),
                              .place = pv_splits_place(&plan->form, &plan->splits, object)};
}

static pv_status fetch(pv_held *held, int64_t object, void *bytes)
{
    const pv_source *source = held->source;
    pv_source_object it = object_of(held, object);
    const bool reaches = source->reach && !held->hand;
    const pv_status st = reaches ? source->reach(&held->plan->form, held->parts.shared, &held->hand) : PV_OK;
    it.hand = held->hand;
    return st == PV_OK ? source->fetch(&it, bytes) : st;
}

/* This rank's part of the node's objects: neighbours, which lie side by side in files. */
static pv_status fetch_part(const pv_comm *comm, pv_held *held)
{
    const int64_t bytes = held->plan->form.object_bytes;
    int64_t first, count;
    pv_status st = PV_OK;
    pv_share_of(held->objects, comm->node_rank, comm->node_size, &first, &count);
    for (int64_t i = first; st == PV_OK && i < first + count; i++)
        if ((st = pv_stop_check()) == PV_OK) st = fetch(held, i, held->kept + i * bytes);
    return st;
}

pv_status pv_held_load(const pv_comm *comm, double keep, const char *path, void *reader, pv_held *held)
{
    const bool leads = comm->node_rank == 0;
    pv_status st;
    PV_TRY(open_memory(comm, held));
    PV_TRY(open_kept(comm, keep, held));
    PV_TRY(pv_agree(comm, leads ? load(held, reader) : PV_OK));
    PV_TRY(pv_agree(comm, leads ? compare_nodes(comm, held, path) : PV_OK));
    pv_shared_sync(comm, &held->memory);
    PV_TRY(open_sorted(comm, held));
    PV_TRY(share_names(comm, held));
    for (int64_t i = 0; !held->class_names && i < held->objects; i++)
        if (held->parts.labels[i] >= held->classes) held->classes = held->parts.labels[i] + 1;
    if (held->source->fetch) {
        PV_TRY(pv_agree(comm, held->kept ? fetch_part(comm, held) : PV_OK));
        pv_shared_sync(comm, &held->kept_memory);
    }
done:
    return st;
}

pv_status pv_held_take(pv_held *held, int64_t object, pv_source_object *it)
{
    pv_status st = PV_OK;
    *it = object_of(held, object);
    if (held->kept) {
        it->bytes = held->kept + object * held->plan->form.object_bytes;
    } else if (held->fetched) {
        if (held->source->fetch && held->fetched_object != object) {
            held->fetched_object = -1;
            PV_TRY(fetch(held, object, held->fetched));
            held->fetched_object = object;
        }
        it->bytes = held->fetched;
    }
done:
    return st;
}

void pv_held_free(pv_held *held)
{
    pv_shared_close(&held->memory);
    pv_shared_close(&held->kept_memory);
    pv_shared_close(&held->sorted_memory);
    if (held->hand) held->source->leave(held->hand);
    free(held->class_names);
    free(held->fetched);
}
