/* The rows of one split in memory, for training and evaluation: one copy a node, or one copy in all, sharded
 * over the ranks, from which any rank fetches any row by one-sided MPI.
 *
 * A sample is one view of one object: sample s is object s / views, view first_view + s % views.  Which
 * object has which label is known on every node in either case. */
#ifndef PV_DATASET_H
#define PV_DATASET_H

#include "parallel/pv_comm.h"
#include "data/pv_row_form.h"
#include "store/pv_store.h"
#include "symmetry/pv_frame.h"

typedef struct pv_dataset pv_dataset;

/* Where rows are kept: a copy a node, or one over the ranks of the job; auto: a copy a node where that takes
 * no more than a quarter of its memory. */
typedef enum pv_placement { PV_PLACE_AUTO, PV_PLACE_NODE, PV_PLACE_JOB } pv_placement;

typedef struct pv_dataset_opts {
    uint8_t split;             /* PV_SPLIT_TRAIN, ... */
    int64_t first_view, views; /* of every object of the split */
    bool verify;               /* compare every row with its checksum */
    pv_row_form *form; /* that rows are brought into, up to its normalisation; NULL: they stay as stored */
    const pv_frames *frames; /* rows are then matched to its reference, as it says, and keep how, their frame;
                                borrowed while opening; NULL: they have none */
    pv_placement placement;  /* evaluation wants a copy a node */
} pv_dataset_opts;

/* Loads the rows in parallel: the ranks of a node read equal shares into the node's shared memory, or each
 * rank of the job reads the share that it keeps.
 * A form that matches rows and has no reference yet gets one: the first view of the split's first object, in
 * canonical form, or the fresh network.
 * Random: PV_RNG_MATCH, seed 0; PV_RNG_FRESH.
 * Owner: pv_dataset_close.
 * Collective.  Errors: PV_ERR_CONFIG (no such view), PV_ERR_DATA (a row that is missing, refused or
 * fails its checksum: view and object named, refused ones counted; nodes that have different stores at the
 * same path), PV_ERR_NOMEM, agreed.  An empty split
 * gives a data set of 0 samples. */
pv_status pv_dataset_open(const pv_comm *comm, const pv_store *store, const pv_dataset_opts *opts,
                          pv_dataset **out);
/* Collective; NULL is a no-op. */
void pv_dataset_close(pv_dataset *dataset);

int64_t pv_dataset_samples(const pv_dataset *dataset); /* objects x views */
int64_t pv_dataset_views(const pv_dataset *dataset);   /* of every object */
int pv_dataset_params(const pv_dataset *dataset);      /* P */
int pv_dataset_stride(const pv_dataset *dataset);      /* floats of a row and its frame behind it */
/* The samples whose rows this rank holds if the job shares one copy, and its even share of them if nodes have
 * copies: over all ranks, every sample once.  Local. */
void pv_dataset_share(const pv_dataset *dataset, int64_t *first, int64_t *count);
/* Bytes of this rank's share, or of its node's copy; of NULL none. */
int64_t pv_dataset_memory(const pv_dataset *dataset);
/* Whether ranks hold shares of one copy. */
bool pv_dataset_is_sharded(const pv_dataset *dataset);
/* A number for the rows in their form, their labels and their order, whoever holds them: a store's other
 * contents do not count.  NULL has 0. */
uint64_t pv_dataset_identity(const pv_dataset *dataset);
/* One row [P], owned by the data set; NULL if another rank holds it. */
const float *pv_dataset_row(const pv_dataset *dataset, int64_t sample);
/* Begins to fetch a row from the rank that holds it.
 * Shapes   row [pv_dataset_stride], which must not be touched until *request is complete (MPI_Wait,
 * MPI_Test).  Not collective; the other rank does nothing for it, but over some networks it must enter MPI
 * now and then. */
void pv_dataset_fetch(const pv_dataset *dataset, int64_t sample, float *row, MPI_Request *request);
/* The frame behind a row that is held or was fetched; NULL if rows have none. */
const float *pv_dataset_frame(const pv_dataset *dataset, const float *row);
int32_t pv_dataset_label(const pv_dataset *dataset, int64_t sample);
/* The object's number in the store, and the view. */
int64_t pv_dataset_object(const pv_dataset *dataset, int64_t sample);
int64_t pv_dataset_view(const pv_dataset *dataset, int64_t sample);

#endif
