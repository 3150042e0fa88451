/* Checkpoints: what a training run is continued from. */
#ifndef PV_CHECKPOINT_H
#define PV_CHECKPOINT_H

#include "parallel/pv_comm.h"
#include "nn/pv_model.h"
#include "nn/core/pv_optim.h"
#include "train/pv_model_file.h"

/* Writes a checkpoint, and keeps the `keep` - 1 before it as <path>.1 (the last one), .2, ...  The partial
 * sums of the stream's mark, one a rank, become rank 0's.  At every moment <path> is a whole checkpoint.
 * Collective.  Errors: PV_ERR_IO, PV_ERR_HDF5 (path named), agreed. */
pv_status pv_checkpoint_save(const pv_comm *comm, const char *path, int64_t keep, pv_model_head *head,
                             pv_model *model, pv_optim *optim);

/* Reads a checkpoint into model, optimiser, head->form's statistics and head->state; head's arch, classes and
 * rows say what it must be of.  Collective.  Errors: PV_ERR_IO, PV_ERR_DATA (not a checkpoint of this model),
 * agreed. */
pv_status pv_checkpoint_load(const pv_comm *comm, const char *path, pv_model_head *head, pv_model *model,
                             pv_optim *optim);

#endif
