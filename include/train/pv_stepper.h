/* One optimiser step over all ranks: rows, forward, loss, backward, the sum of the gradients, the update.
 *
 * With opts->reduce ordered a rank's share of a batch is passed through the model in micro-batches, each by a
 * model of its own that shares the parameters: their passes run side by side, and everything that is summed
 * over samples - batch statistics, gradients, losses - is summed along one tree over all micro-batches of all
 * ranks, so that the number of ranks does not show. */
#ifndef PV_STEPPER_H
#define PV_STEPPER_H

#include "nn/pv_model.h"
#include "nn/core/pv_optim.h"
#include "train/pv_task.h"
#include "train/pv_train_opts.h"

typedef struct pv_stepper pv_stepper;

/* What a stepper works with; everything is borrowed and outlives it. */
typedef struct pv_stepper_setup {
    const pv_comm *comm;
    const pv_train_opts *opts;
    pv_task *task;
    const pv_model_opts *model;
    const pv_arch *arch;
    int64_t steps; /* of the whole training */
} pv_stepper_setup;

/* What a step gave, summed over all ranks; `mark` is this rank's alone. */
typedef struct pv_step {
    double loss_sum;
    int64_t rows, correct;
    uint64_t mark;
    bool stop; /* some rank was asked to stop */
    bool save; /* going in: this rank asks for a checkpoint; coming out: some rank did */
} pv_step;

/* Seconds of this rank so far: in all, in taking rows, in adding up gradients and driving MPI, in waiting for
 * others; the rest is computing. */
typedef struct pv_step_times {
    double whole, data, reduce, wait;
} pv_step_times;

/* Makes model, optimiser and workspace.  The parameters are zero until pv_model_init or a load.
 * Owner: pv_stepper_free.  Local, but the same on all ranks.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_stepper_new(const pv_stepper_setup *setup, pv_stepper **out);
/* NULL is a no-op. */
void pv_stepper_free(pv_stepper *stepper);

/* Owned by the stepper. */
pv_model *pv_stepper_model(pv_stepper *stepper);
pv_optim *pv_stepper_optim(pv_stepper *stepper);

/* Bytes of what the stepper holds on this rank. */
typedef struct pv_step_memory {
    int64_t models;    /* parameters, gradients and workspace of all passes that run side by side */
    int64_t optimiser; /* its state, and the room that sums of gradients need */
    int64_t batch;     /* what the model makes of the rows of a share, the losses */
} pv_step_memory;
pv_step_memory pv_stepper_memory(const pv_stepper *stepper);

/* Brings what a load has put into the model to all passes that run side by side.  Local. */
void pv_stepper_loaded(pv_stepper *stepper);

/* The learning rate of the next step. */
double pv_stepper_rate(const pv_stepper *stepper);

/* The step on batch `batch` of an epoch.
 * Collective.  Errors: PV_ERR_NUMERIC (the loss is not finite; the parameters are as they were), agreed. */
pv_status pv_stepper_step(pv_stepper *stepper, int64_t epoch, int64_t batch, pv_step *step);

pv_step_times pv_stepper_times(const pv_stepper *stepper);

#endif
