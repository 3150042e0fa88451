/* The choice of a hyperparameter on the validation split, private to the probes. */
#ifndef PV_CHOOSE_H
#define PV_CHOOSE_H

#include "probe/pv_probe.h"

/* The candidates of an option: "1e-3,1e-2", numbers from `least` up.  Local.  Errors: PV_ERR_USAGE. */
pv_status pv_candidates_read(const char *option, const char *text, double least, pv_candidates *list);

/* Predicts this rank's validation and test samples with one candidate; fills what it knows of result->added,
 * rcond, seconds, system.  Shapes   val, test [count][targets].  Collective; its status is agreed. */
typedef pv_status (*pv_predict)(void *context, double candidate, double *val, double *test,
                                pv_probe_result *result);

/* Tries every candidate, keeps the predictions of the best on the validation split (of equals the first),
 * and scores them.  A candidate that fails with PV_ERR_NUMERIC is left out with a warning, as long as
 * another one succeeds. */
pv_status pv_probe_choose(const pv_comm *comm, const pv_probe_data *data, const pv_candidates *candidates,
                          pv_predict predict, void *context, pv_probe_result *result);

#endif
