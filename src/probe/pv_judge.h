/* What probes share, private to them. */
#ifndef PV_JUDGE_H
#define PV_JUDGE_H

#include "probe/pv_probe.h"
#include "pv_matrix.h"
#include "store/pv_columns.h"

/* The row of lambda, in the struct of ridge and of krr. */
#define PV_PROBE_LAMBDA(owner)                                                                               \
    {                                                                                                        \
        PV_KEY(owner, lambda), .initial = "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1,1,10", .value = "L,...",            \
                               .meaning = "candidates, as shares of the mean diagonal of the system"         \
    }

/* Replaces `right` by the solution X of (system + alpha I) X = right, alpha = lambda * trace(system) / rows,
 * and tells the result of the system, which is destroyed.  Collective.  Errors: as pv_matrix_factor. */
pv_status pv_probe_solve(pv_matrix *system, double lambda, pv_matrix *right, pv_probe_result *result);

/* A column of this rank's samples; width 0: of one number each.  Local. */
pv_column pv_probe_column(const pv_features *f, const char *name, int64_t width, const double *values);

/* Writes the probe's own columns to job->output, beside /truth [samples][targets], /label, /object and /view
 * of the samples.  Collective.  Errors: as pv_columns_write. */
pv_status pv_probe_write(const pv_probe_job *job, const char *kind, const pv_features *f,
                         const pv_column *own, int count);

#endif
