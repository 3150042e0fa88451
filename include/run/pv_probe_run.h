/* What `probe` works on: features of the splits of a store, by a model or without one. */
#ifndef PV_PROBE_RUN_H
#define PV_PROBE_RUN_H

#include "parallel/pv_comm.h"
#include "probe/pv_probe.h"
#include "store/pv_store.h"

/* Where features come from: a model file, the model of a config as it is initialised, or (both NULL) the weights. */
typedef struct pv_probe_source {
    const char *model, *untrained;
    bool aligned; /* weights: matched to those of the first training object */
} pv_probe_source;

/* Which samples are taken, and what is predicted of them. */
typedef struct pv_probe_sampling {
    int64_t first_view, views; /* of the train split; val and test: view 0 */
    int64_t per_class;         /* training objects of a class, 0: all */
    uint64_t seed;             /* of their draw, and of an untrained model */
    bool object_targets;       /* the store's real targets; else the class */
} pv_probe_sampling;

/* Makes the features of the three splits.
 * Owner: pv_probe_data_close, safe on zeros.  Collective.  Errors: PV_ERR_DATA (a model of another architecture, a class
 * with too few objects, no real targets), and those of models, configs and data sets, agreed. */
pv_status pv_probe_data_open(const pv_comm *comm, const pv_store *store, const pv_probe_source *source,
                             const pv_probe_sampling *sampling, pv_probe_data *data);
void pv_probe_data_close(pv_probe_data *data);
/* Standardises the features of all splits by the train split.  Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_probe_data_scale(const pv_comm *comm, pv_probe_data *data);

/* Makes the features of the test split, view by view.
 * Owner: pv_probe_views_close, safe on zeros.  Collective.  Errors: as pv_probe_data_open. */
pv_status pv_probe_views_open(const pv_comm *comm, const pv_store *store, const pv_probe_source *source,
                              const pv_probe_sampling *sampling, pv_probe_views *views);
void pv_probe_views_close(pv_probe_views *views);

#endif
