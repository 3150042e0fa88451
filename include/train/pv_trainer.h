/* Data-parallel training of a weight-space network on the rows of a store, for whatever task the options
 * name. */
#ifndef PV_TRAINER_H
#define PV_TRAINER_H

#include "augment/pv_augment_opts.h"
#include "parallel/pv_comm.h"
#include "nn/core/pv_model_kind.h"
#include "store/pv_store.h"
#include "store/pv_lock.h"
#include "train/pv_model_file.h"
#include "train/pv_train_opts.h"

#include <stdbool.h>

typedef struct pv_train_result {
    int64_t parameters, samples;     /* of the model; of the training split, views counted */
    int64_t epochs, best_epoch;      /* finished; the one whose model is kept */
    double train_loss;               /* of the last finished epoch, NaN if this run finished none */
    const char *best_name;           /* what the task calls the figure that the model is kept by */
    double best;                     /* that figure; NaN without a validation split */
    double test_loss, test_accuracy; /* of the kept model; NaN without a test split */
    double samples_per_s;            /* over all ranks, training only */
    double reduce_share;             /* share of the training time in gradient reductions, on rank 0 */
    double data_share;               /* likewise in waiting for rows, augmenting and normalising them */
    bool sharded;                    /* training rows are sharded over the ranks, not copied to every node */
    int64_t partners;                /* samples that were mixed with another, in this run */
    int64_t remote_samples, remote_partners; /* rows that were fetched from other ranks */
    int64_t memory_plan;                     /* bytes a rank was to take at most, the largest of all ranks */
    double seconds;
} pv_train_result;

/* Trains until opts->epochs; opts->output receives the model of the best validation score (of the last epoch
 * without a validation split), <output>.ckpt the checkpoint, <output>.jsonl the metrics.
 *
 * A batch is opts->batch places of the training stream, shared out over the ranks; gradients are summed over
 * all ranks, batch norm uses the statistics of the whole batch (with opts->accumulate of one chunk of it).
 * Which views validation and test use is the task's (scores_views).  `checkpoint`, unless NULL, is continued
 * from, at the batch where it stopped; its config has been compared by the caller.  `lock` is held on
 * opts->output, NULL where nobody else may write.
 * Collective.  Errors: PV_STOPPED (a signal; the state is saved), PV_ERR_NUMERIC (the loss is not finite),
 * PV_ERR_CONFIG, PV_ERR_NOMEM, PV_ERR_IO, PV_ERR_HDF5, PV_ERR_DATA, agreed.
 * Random   PV_RNG_SHUFFLE, PV_RNG_VIEW, PV_RNG_PARTNER, PV_RNG_AUGMENT, PV_RNG_MATCH, PV_RNG_MODEL_INIT,
 * PV_RNG_DROPOUT. */
pv_status pv_train(const pv_comm *comm, const pv_store *store, const pv_model_opts *model_opts,
                   const pv_train_opts *opts, const pv_augment_list *augment, const char *config_yaml,
                   const pv_model_file *checkpoint, pv_lock *lock, pv_train_result *result);

#endif
