/* The checkpoints of a training run: <output>.ckpt, and the ones before it that are kept. */
#ifndef PV_CHECKPOINT_H
#define PV_CHECKPOINT_H

#include "train/pv_model_file.h"

/* The path of a model's checkpoint, <output>.ckpt; owned by the caller, NULL when there is no memory. */
char *pv_checkpoint_path(const char *output);

/* Opens the newest checkpoint that is whole, of the `keep` that are kept or of more.  If that is not
 * <output>.ckpt itself, a warning says which one is taken, and damaged ones that are newer are put aside as
 * <name>.damaged.
 * Owner: pv_model_file_close.  *found false: there is none of any age.
 * Collective.  Errors: as pv_model_file_open, of the newest, if none is whole. */
pv_status pv_checkpoint_open(const pv_comm *comm, const char *output, int64_t keep, pv_model_file *file,
                             bool *found);

#endif
