/* What a probe works on: features of the splits of a store, which a frozen model makes of rows, or the rows
 * themselves. */
#ifndef PV_PROBE_DATA_H
#define PV_PROBE_DATA_H

#include "data/pv_dataset.h"
#include "nn/pv_model.h"
#include "probe/pv_features.h"
#include "store/pv_store.h"

/* How rows become features: by a model's features (pv_model_features), or as they are. */
typedef struct pv_representation {
    pv_model *model;        /* NULL: the weights themselves */
    pv_row_form *form;      /* that rows are brought into; NULL: they stay as they are stored */
    int max_batch, outputs; /* of the model */
} pv_representation;

/* Loads views of the objects of a split in that form, shared out over the ranks.
 * Owner: pv_dataset_close.  Collective.  Errors: as pv_dataset_open. */
pv_status pv_representation_rows(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                                 uint8_t split, int64_t first, int64_t views, pv_dataset **out);

/* Features of the three splits, of the same width and targets.  `classes`: targets are one-hot classes. */
typedef struct pv_probe_data {
    pv_features train, val, test;
    bool classes;
} pv_probe_data;

/* Which samples are taken, and what is predicted of them. */
typedef struct pv_probe_sampling {
    int64_t first_view, views; /* of the train split; val and test: view 0 */
    int64_t per_class;         /* training objects of a class, 0: all */
    uint64_t seed;             /* of their draw, and of an untrained model */
    bool object_targets;       /* the store's real targets; else the class */
    bool unlabelled;           /* objects without a label are taken, too: their targets are zeros */
} pv_probe_sampling;

/* Representations of the same samples, one a view. */
typedef struct pv_probe_views {
    pv_features *of; /* [count] */
    int64_t count;
} pv_probe_views;

/* Makes the features of the three splits.
 * Owner: pv_probe_data_close, safe on zeros.  Collective.  Errors: PV_ERR_DATA (a model of another
 * architecture, a class with too few objects, no real targets, no label), PV_ERR_NUMERIC (a feature is not
 * finite; object named), and those of models, configs and data sets, agreed. */
pv_status pv_probe_data_open(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                             const pv_probe_sampling *sampling, pv_probe_data *data);
void pv_probe_data_close(pv_probe_data *data);
/* Standardises the features of all splits by the train split.  Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_probe_data_scale(const pv_comm *comm, pv_probe_data *data);

/* Makes the features of the test split, view by view.
 * Owner: pv_probe_views_close, safe on zeros.  Collective.  Errors: as pv_probe_data_open. */
pv_status pv_probe_views_open(const pv_comm *comm, const pv_store *store, const pv_representation *how,
                              const pv_probe_sampling *sampling, pv_probe_views *views);
void pv_probe_views_close(pv_probe_views *views);

#endif
