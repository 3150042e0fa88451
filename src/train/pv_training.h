/* Everything that a training run holds, made from the store and the options, or from a checkpoint. */
#ifndef PV_TRAINING_H
#define PV_TRAINING_H

#include "store/pv_lock.h"
#include "train/pv_checkpoint.h"
#include "train/pv_stepper.h"
#include "train/pv_task.h"

typedef struct pv_training {
    const pv_comm *comm;
    const pv_train_opts *opts;
    pv_dataset *train, *val, *test;
    pv_dataset *further[PV_SPLITS]; /* views of the splits that only partners of MixUps are of; or NULL */
    pv_task task;
    pv_stepper *stepper;
    pv_model_head head; /* the rows' form and the state live here */
    char *checkpoint, *metrics;
    pv_lock *lock; /* of opts->output, borrowed; NULL: nobody else writes there */
    double saved;  /* when the last checkpoint was written */
} pv_training;

/* Makes a run: its parameters drawn and the rows' statistics measured, or both from a checkpoint.
 * Owner: pv_training_close, also after a failure.  Collective.  Errors: as pv_train's, agreed. */
pv_status pv_training_open(const pv_comm *comm, const pv_store *store, const pv_model_opts *model,
                           const pv_train_opts *opts, const pv_augment_list *augment, const char *config,
                           const pv_model_file *checkpoint, pv_lock *lock, pv_training *out);
void pv_training_close(pv_training *training);

/* Whether all ranks hold the same model, which each of them steps by itself: after `epoch` epochs.
 * Collective.  Errors: PV_ERR_NUMERIC, agreed. */
pv_status pv_training_compare(const pv_comm *comm, const pv_model *model, int64_t epoch);

/* Scores the model on a split.  Collective.  Errors agreed. */
pv_status pv_training_score(pv_training *training, uint8_t split, pv_task_score *out);

/* Writes a checkpoint, and keeps the opts->keep - 1 before it as <path>.1 (the last one), .2, ...  The
 * partial sums of the stream's mark, one a rank, become rank 0's.  At every moment <path> is a whole
 * checkpoint.
 * Collective.  Errors: PV_ERR_IO, PV_ERR_HDF5 (path named), agreed. */
pv_status pv_training_save(pv_training *training);
/* Writes the model as the best so far.  Collective.  Errors likewise. */
pv_status pv_training_keep(pv_training *training);

#endif
