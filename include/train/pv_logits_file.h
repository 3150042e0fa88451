/* The logits of an evaluation, as HDF5: /logits [samples][classes], /label, /object, /view [samples]. */
#ifndef PV_LOGITS_FILE_H
#define PV_LOGITS_FILE_H

#include "parallel/pv_comm.h"
#include "data/pv_dataset.h"

/* Writes all samples of `dataset` in order, each rank its share (pv_eval_share): aside, then renamed.
 * Shapes   logits [samples of this rank][classes]
 * Collective.  Errors: PV_ERR_IO, PV_ERR_HDF5 (path named), agreed. */
pv_status pv_logits_file_write(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits);

#endif
