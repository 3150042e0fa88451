/* The rows of one split in memory, one copy a node, for training and evaluation.
 *
 * A sample is one view of one object: sample s is object s / views, view first_view + s % views. */
#ifndef PV_DATASET_H
#define PV_DATASET_H

#include "base/pv_comm.h"
#include "store/pv_store.h"

typedef struct pv_dataset pv_dataset;

typedef struct pv_dataset_opts {
    uint8_t split;             /* PV_SPLIT_TRAIN, ... */
    int64_t first_view, views; /* which views of every object of the split */
    bool verify;               /* compare every row with its checksum */
} pv_dataset_opts;

/* Loads the rows in parallel: the ranks of a node read equal shares into the node's shared memory.
 * Owner: pv_dataset_close.
 * Collective.  Errors: PV_ERR_CONFIG (no such view), PV_ERR_DATA (a row that is missing, refused or
 * fails its checksum: view and object named, refused ones counted), PV_ERR_NOMEM, agreed.  An empty split
 * gives a data set of 0 samples. */
pv_status pv_dataset_open(const pv_comm *comm, const pv_store *store, const pv_dataset_opts *opts,
                          pv_dataset **out);
/* Collective; NULL is a no-op. */
void pv_dataset_close(pv_dataset *dataset);

int64_t pv_dataset_samples(const pv_dataset *dataset);
int pv_dataset_params(const pv_dataset *dataset); /* P */
/* One row [P], owned by the data set. */
const float *pv_dataset_row(const pv_dataset *dataset, int64_t sample);
int32_t pv_dataset_label(const pv_dataset *dataset, int64_t sample);
/* The object's number in the store, and the view. */
int64_t pv_dataset_object(const pv_dataset *dataset, int64_t sample);
int64_t pv_dataset_view(const pv_dataset *dataset, int64_t sample);

#endif
