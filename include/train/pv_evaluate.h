/* Evaluation of a model on a data set, shared out over the ranks.  Samples are taken in passes, and losses
 * are summed in groups of passes, without regard to the ranks, which take whole groups: what comes out has
 * the same bits on any number of them. */
#ifndef PV_EVALUATE_H
#define PV_EVALUATE_H

#include "parallel/pv_comm.h"
#include "nn/pv_model.h"
#include "data/pv_dataset.h"

/* Samples of one pass: a model that is scored must hold as many. */
enum { PV_EVAL_BATCH = 32 };

typedef struct pv_score {
    int64_t samples;       /* that have a label: the others count for nothing here */
    double loss, accuracy; /* means; NaN when there are no samples */
    int classes;
    int64_t *class_samples; /* [classes], or NULL when not asked for */
    int64_t *class_correct; /* [classes] */
} pv_score;

/* The samples that a rank scores; over all ranks every one, in order.  Local. */
void pv_eval_share(const pv_comm *comm, int64_t samples, int64_t *first, int64_t *count);

/* Scores `model` in evaluation mode on rows that were loaded in `form`.
 * Shapes   logits [samples of this rank][classes] or NULL
 * Owner    the caller frees score->class_samples and class_correct when per_class
 * Collective.  Errors: PV_STOPPED, PV_ERR_NOMEM, PV_ERR_DATA (a label outside the model's classes),
 * agreed. */
pv_status pv_evaluate(const pv_comm *comm, pv_model *model, const pv_row_form *form,
                      const pv_dataset *dataset, int classes, bool per_class, float *logits, pv_score *score);

/* Writes the logits of all samples of `dataset` in order, as HDF5: /logits [samples][classes], /label,
 * /object, /view [samples]; aside, then renamed.  Shapes: logits [samples of this rank][classes]
 * Collective.  Errors: PV_ERR_IO, PV_ERR_HDF5 (path named), agreed. */
pv_status pv_eval_write_logits(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits);

#endif
