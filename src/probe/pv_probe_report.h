/* What probes put into the result, and into files; private to them. */
#ifndef PV_PROBE_REPORT_H
#define PV_PROBE_REPORT_H

#include "probe/pv_probe.h"

/* Ends the judging of predictions: their scores, and the file that is asked for; `candidate` names what was
 * chosen.
 * Collective.  Errors: as pv_columns_write. */
pv_status pv_probe_report(const pv_probe_job *job, const pv_probe_data *data, const char *candidate,
                          const pv_probe_result *found);
/* The system of ridge and krr.  Local. */
void pv_probe_report_system(const pv_probe_result *found, json_t *result);

/* Writes to job->output, if there is one: /coordinates [samples][components], /embedding [samples][width],
 * /truth [samples][targets], /label, /object, /view; /explained [components].  Collective.  Errors: as
 * pv_columns_write, PV_ERR_NOMEM. */
pv_status pv_probe_write_components(const pv_probe_job *job, const pv_features *test, const pv_pca *pca);

#endif
