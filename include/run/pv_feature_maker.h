/* Where the features that a probe works on come from: a model, trained or not, or the weights themselves. */
#ifndef PV_FEATURE_MAKER_H
#define PV_FEATURE_MAKER_H

#include "probe/pv_probe_data.h"
#include "run/pv_open_model.h"

/* Where features come from: a model file, the model of a config as it is initialised, or (both NULL) the
 * weights. */
typedef struct pv_feature_source {
    const char *model, *untrained;
    bool aligned; /* weights: matched to those of the first training object */
} pv_feature_source;

/* What a source needs to make features. */
typedef struct pv_feature_maker {
    pv_open_model of; /* of the weights themselves, only the form of its head */
    pv_representation how;
} pv_feature_maker;

/* Measures on the train split of `sampling` what an untrained model and matched rows need.
 * Owner: pv_feature_maker_close, safe on zeros.  Collective.  Errors: PV_ERR_DATA (a model of another
 * architecture), and those of models, configs and data sets, agreed. */
pv_status pv_feature_maker_open(const pv_comm *comm, const pv_store *store, const pv_feature_source *source,
                                const pv_probe_sampling *sampling, pv_feature_maker *m);
void pv_feature_maker_close(pv_feature_maker *m);

#endif
