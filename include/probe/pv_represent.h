/* Representations of INRs: what a frozen model makes of their rows, or the rows themselves. */
#ifndef PV_REPRESENT_H
#define PV_REPRESENT_H

#include "nn/pv_model.h"
#include "probe/pv_features.h"
#include "data/pv_dataset.h"

/* How rows become features: by a model's features (pv_model_features), or as they are. */
typedef struct pv_representation {
    pv_model *model;        /* NULL: the weights themselves */
    pv_row_form *form;      /* that rows are brought into; NULL: they stay as they are stored */
    int max_batch, outputs; /* of the model */
} pv_representation;

/* Features of all samples of a data set, each rank those of its share (pv_dataset_share), with labels and
 * room for `targets` targets.
 * Owner: pv_features_free.  Collective.  Errors: PV_ERR_NUMERIC (a feature is not finite; object named),
 * PV_ERR_NOMEM, agreed. */
pv_status pv_represent(const pv_comm *comm, const pv_representation *how, const pv_dataset *dataset,
                       int targets, pv_features *out);

/* Loads views of the objects of a split in that form, shared out over the ranks.
 * Owner: pv_dataset_close.  Collective.  Errors: as pv_dataset_open. */
pv_status pv_representation_rows(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                                 uint8_t split, int64_t first, int64_t views, pv_dataset **out);

#endif
