/* Model files and checkpoints (HDF5; docs/formats.md).
 *
 * /model/<state_dict name> holds every tensor with PyTorch's name and shape; /norm/mean and /norm/std the
 * statistics that rows are normalised with, /reference the row that they are matched to before.  A checkpoint
 * adds /optimizer/<slot> and the position in the training stream.  Attribute `checksum` is of all this. */
#ifndef PV_MODEL_FILE_H
#define PV_MODEL_FILE_H

#include "data/pv_row_form.h"
#include "inr/pv_arch.h"
#include "nn/core/pv_optim.h"
#include "nn/pv_model.h"
#include "parallel/pv_comm.h"

#include <hdf5.h>

/* Where training stands: everything that is not a tensor. */
typedef struct pv_train_state {
    int64_t epoch;   /* epochs finished */
    int64_t batch;   /* batches finished in the current epoch */
    double loss_sum; /* over the samples of the current epoch */
    int64_t correct; /* likewise */
    uint64_t stream; /* checksum of the samples of the current epoch */
    double
        best_merit; /* of the kept model (pv_task_score), under best_val_accuracy in the file; -1: none yet */
    int64_t best_epoch;
} pv_train_state;

/* What stands in a model file beside the tensors.  Owner: pv_model_head_free. */
typedef struct pv_model_head {
    char *config; /* YAML */
    pv_arch arch; /* of the INRs that are its input */
    int classes;
    pv_row_form form; /* that it takes rows in; as read: of opts only features, the others are the config's */
    uint64_t rows;    /* identifies what it was trained on; 0 in a model that was made elsewhere */
    pv_train_state state;
} pv_model_head;

void pv_model_head_free(pv_model_head *head);

/* Writes a model (optim NULL) or a checkpoint: aside, flushed to disk, then renamed; `keep`: pv_file_replace.
 * Local: rank 0 calls it.
 * Errors: PV_ERR_IO, PV_ERR_HDF5 (path named); an earlier file of the name is left as it was. */
pv_status pv_model_file_write(const char *path, int64_t keep, const pv_model_head *head, pv_model *model,
                              pv_optim *optim);

/* A file that is open, and stays the same one when its name gets another. */
typedef struct pv_model_file {
    const pv_comm *comm;
    char *path;
    pv_model_head head; /* on all ranks */
    hid_t hdf5;         /* on rank 0 */
} pv_model_file;

/* Opens a file on rank 0, compares what it holds with its checksum, if it has one, and gives its head to all.
 * Owner: pv_model_file_close, safe on zeros.
 * Collective.  Errors: PV_ERR_IO (no such file), PV_ERR_DATA (not a model, or damaged), agreed. */
pv_status pv_model_file_open(const pv_comm *comm, const char *path, pv_model_file *out);
void pv_model_file_close(pv_model_file *file);

/* Reads every tensor of `model` (and the optimiser's state, unless NULL) on rank 0 and gives it to all.
 * Collective.  Errors: PV_ERR_DATA when a tensor is missing, has another shape or is one too many (name, both
 * shapes), agreed.
 */
pv_status pv_model_file_load(const pv_model_file *file, pv_model *model, pv_optim *optim);

#endif
