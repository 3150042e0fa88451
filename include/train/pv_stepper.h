/* One optimiser step over all ranks: rows, forward, loss, backward, the sum of the gradients, the update. */
#ifndef PV_STEPPER_H
#define PV_STEPPER_H

#include "nn/pv_model.h"
#include "nn/pv_optim.h"
#include "train/pv_norm.h"
#include "train/pv_task.h"
#include "train/pv_train_opts.h"

typedef struct pv_stepper pv_stepper;

/* What a stepper works with; everything is borrowed and outlives it. */
typedef struct pv_stepper_parts {
    const pv_comm *comm;
    const pv_train_opts *opts;
    pv_task *task;
    const pv_model_opts *model;
    const pv_arch *arch;
} pv_stepper_parts;

/* What a step gave, summed over all ranks; `mark` is this rank's alone. */
typedef struct pv_step {
    double loss_sum;
    int64_t rows, correct;
    uint64_t mark;
    bool stop; /* some rank was asked to stop */
} pv_step;

/* Seconds of this rank so far. */
typedef struct pv_step_times {
    double whole, data, reduce;
} pv_step_times;

/* Makes model, optimiser and workspace.  The parameters are zero until pv_model_init or a load.
 * Owner: pv_stepper_free.  Local, but the same on all ranks.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_stepper_new(const pv_stepper_parts *parts, pv_stepper **out);
/* NULL is a no-op. */
void pv_stepper_free(pv_stepper *stepper);

/* Owned by the stepper. */
pv_model *pv_stepper_model(pv_stepper *stepper);
pv_optim *pv_stepper_optim(pv_stepper *stepper);

/* Rows of one pass of the model on a rank, at most; at least PV_EVAL_BATCH. */
int pv_stepper_max_rows(const pv_stepper *stepper);

/* The step on batch `batch` of an epoch.
 * Collective.  Errors: PV_ERR_NUMERIC (the loss is not finite; the parameters are as they were), agreed. */
pv_status pv_stepper_step(pv_stepper *stepper, const pv_norm *norm, int64_t epoch, int64_t batch,
                          pv_step *step);

pv_step_times pv_stepper_times(const pv_stepper *stepper);

#endif
