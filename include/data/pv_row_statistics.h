/* The statistics that rows are normalised with, measured on the training split. */
#ifndef PV_ROW_STATISTICS_H
#define PV_ROW_STATISTICS_H

#include "data/pv_dataset.h"

/* Sets mean and (unbiased) standard deviation of a form over all samples, as the model reads them: of every
 * entry, or pooled over every tensor, as form->opts.normalise says.  A constant entry gets std 1.  The same
 * bits on any number of ranks; two passes in double, each rank adds up its share.  Collective.  Errors:
 * PV_ERR_NOMEM, agreed. */
pv_status pv_row_statistics_measure(const pv_comm *comm, const pv_dataset *dataset, pv_row_form *form);

#endif
