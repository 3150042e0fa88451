/* Normalisation of input rows with statistics of the training split. */
#ifndef PV_NORM_H
#define PV_NORM_H

#include "parallel/pv_comm.h"
#include "simd/pv_real.h"
#include "data/pv_dataset.h"
#include "train/pv_train_opts.h"

typedef struct pv_norm {
    int params;
    float *mean, *std; /* [P]; std > 0 */
} pv_norm;

/* The identity: mean 0, std 1.  Owner: pv_norm_free.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_norm_make(int params, pv_norm *norm);
void pv_norm_free(pv_norm *norm);

/* Sets mean and (unbiased) standard deviation over all samples: of every entry, or pooled over every tensor
 * of the row. A constant entry gets std 1.  Two passes in double, each rank adds up its share.  Collective.
 */
pv_status pv_norm_measure(const pv_comm *comm, const pv_dataset *dataset, const pv_arch *arch,
                          pv_normalise kind, pv_norm *norm);

/* out[i] = (row[i] - mean[i]) / std[i]. */
void pv_norm_apply(const pv_norm *norm, const float *row, pv_real *out);

#endif
