/* Evaluation of a model on a data set, sharded over the ranks. */
#ifndef PV_EVALUATE_H
#define PV_EVALUATE_H

#include "base/pv_comm.h"
#include "nn/pv_model.h"
#include "sampler/pv_dataset.h"
#include "train/pv_norm.h"

/* Samples of one pass, at most: a model that is scored must hold as many. */
enum { PV_EVAL_BATCH = 64 };

typedef struct pv_score {
    int64_t samples;
    double loss, accuracy; /* means; NaN when there are no samples */
    int classes;
    int64_t *class_samples; /* [classes], or NULL when not asked for */
    int64_t *class_correct; /* [classes] */
} pv_score;

/* Scores `model` in evaluation mode.
 * Shapes   max_batch is the model's; logits [samples of this rank][classes] or NULL: the samples of
 * pv_share_of, in order Owner    the caller frees score->class_samples and class_correct when per_class
 * Collective.  Errors: PV_ERR_NOMEM, PV_ERR_DATA (a label outside the model's classes), agreed. */
pv_status pv_evaluate(const pv_comm *comm, pv_model *model, const pv_norm *norm, const pv_dataset *dataset,
                      int classes, int max_batch, bool per_class, float *logits, pv_score *score);

#endif
