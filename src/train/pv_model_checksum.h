/* What tells a model file that is whole from a damaged one. */
#ifndef PV_MODEL_CHECKSUM_H
#define PV_MODEL_CHECKSUM_H

#include "base/pv_status.h"

#include <hdf5.h>
#include <stdint.h>

/* XXH3-64 over the names and values of all that is read of an open file: config, numbers of the head,
 * position of training, tensors, optimiser, form of the rows.  What others add to the file does not matter.
 * Local.  Errors: PV_ERR_DATA (the object is named), PV_ERR_NOMEM. */
pv_status pv_model_checksum(hid_t file, uint64_t *sum);

#endif
