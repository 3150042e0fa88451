/* The figures that a plan needs, measured on the ranks of this run with the config itself: a few of its
 * fits, and a few epochs of its training, on a temporary store. */
#ifndef PV_PLAN_MEASURE_H
#define PV_PLAN_MEASURE_H

#include "parallel/pv_comm.h"
#include "run/pv_run_config.h"
#include "plan/pv_plan.h"

/* What the config asks for.
 * Collective (it reads the source's sizes).  Errors: as pv_signal_open; PV_ERR_CONFIG. */
pv_status pv_plan_workload(const pv_comm *comm, const pv_run_config *config, pv_workload *work);

/* Measures for some 15 seconds; `share` is how many samples of a batch a rank will have.  Temporary files
 * are made in `directory`, and removed.
 * Collective.  Errors: as pv_signal_open, pv_fill and pv_train, agreed. */
pv_status pv_figures_measure(const pv_comm *comm, const pv_run_config *config, int64_t share,
                             const char *directory, pv_figures *figures);

#endif
