/* What a node holds of a source: labels, ids, what its functions need, and the objects if they fit in. */
#ifndef PV_HELD_H
#define PV_HELD_H

#include "parallel/pv_comm.h"
#include "parallel/pv_shared.h"
#include "pv_splits.h"

/* What a node's rank 0 learns and the other ranks need: plain bytes, broadcast as such. */
typedef struct pv_signal_plan {
    pv_source_form form;
    pv_splits splits;
} pv_signal_plan;

/* Where an id is. */
typedef struct pv_id_place {
    uint64_t id;
    int64_t object;
} pv_id_place;

typedef struct pv_held {
    const pv_source *source;
    const pv_signal_plan *plan;
    int64_t objects;
    int classes;
    pv_class_name *class_names; /* [classes]; NULL: each is called by its label */
    pv_source_held parts;       /* in the memory of the node; NULL where nothing is held */
    uint8_t *kept;              /* [objects][object_bytes], there too; NULL: they are fetched on demand */
    pv_id_place *sorted;        /* [objects] by id, there too; NULL: ids are places */
    pv_shared memory, kept_memory, sorted_memory;
    void *hand;             /* of this rank; NULL: it has not fetched yet */
    uint8_t *fetched;       /* [object_bytes] of this rank, where objects are not kept */
    int64_t fetched_object; /* whose they are, -1 */
} pv_held;

/* Reads what the source holds, on rank 0 of every node; all of the node's ranks fetch its objects side by
 * side if they are kept.  `source`, `plan` and `objects` are set; `keep` and `path` are those of the options.
 * Owner: pv_held_free, also on failure.  Collective.  Errors: those of the source, PV_ERR_DATA (nodes differ,
 * labels that are none, ids of several objects), PV_ERR_NOMEM, agreed. */
pv_status pv_held_load(const pv_comm *comm, double keep, const char *path, void *reader, pv_held *held);
/* Local; safe on a zeroed one. */
void pv_held_free(pv_held *held);

/* An object as its source's functions get it.  Local, with the errors of fetch. */
pv_status pv_held_take(pv_held *held, int64_t object, pv_source_object *it);

uint64_t pv_held_id(const pv_held *held, int64_t object);
/* The object of an id, -1: none. */
int64_t pv_held_find(const pv_held *held, uint64_t id);

#endif
