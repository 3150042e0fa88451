/* What is learned: the part of training that depends on the task and not on the loop.
 *
 * A task is one file that fills a pv_task: it says what rows a step trains on, what the loss of the model's outputs is,
 * and how the model is scored.  Whatever it does must depend on the places of the stream only, never on which rank does
 * it, so that any number of ranks learns the same. */
#ifndef PV_TASK_H
#define PV_TASK_H

#include "augment/pv_augment_opts.h"
#include "parallel/pv_comm.h"
#include "nn/pv_model.h"
#include "data/pv_dataset.h"
#include "data/pv_sampler.h"
#include "data/pv_norm.h"
#include "train/pv_train_opts.h"

/* What a task is made over; everything is borrowed and outlives it. */
typedef struct pv_task_data {
    const pv_comm *comm;
    const pv_store *store;
    const pv_dataset *train, *val, *test;
    int classes; /* of the store's labels */
    const pv_train_opts *opts;
    const pv_augment_list *augment;
} pv_task_data;

/* This rank's part of a batch, as rows for the model; owned by the task, until the next is taken. */
typedef struct pv_part {
    int count;             /* rows of this part */
    int64_t first, global; /* rows of the batch before this part, and in all */
    const float *rows;     /* [count][P], augmented, not normalised */
    uint64_t mark;         /* sum of the stream's marks over the part */
} pv_part;

typedef struct pv_task_score {
    int64_t samples;       /* 0: nothing to score, the figures are NaN */
    double loss, accuracy; /* means; accuracy NaN where the task knows none */
    double merit;          /* of two models the one of higher merit is kept */
} pv_task_score;

typedef struct pv_task pv_task;

typedef struct pv_task_ops {
    /* Gives this rank's part of a batch of an epoch.  Local.  Errors: PV_ERR_NUMERIC; `part` is valid all the same. */
    pv_status (*take)(pv_task *task, int64_t epoch, int64_t batch, pv_part *part);

    /* The loss of every row of the part taken last, and the gradient of `scale` times their sum over all ranks.
     * Shapes   outputs, doutputs [count][task->outputs]; losses [count]
     * Returns  how many rows of the part the model got right.  Collective if it must be. */
    int64_t (*loss)(pv_task *task, const pv_part *part, const pv_real *outputs, double scale, double *losses,
                    pv_real *doutputs);

    /* Scores the model on a split (PV_SPLIT_VAL, PV_SPLIT_TEST).  Collective.  Errors agreed. */
    pv_status (*score)(pv_task *task, uint8_t split, pv_model *model, const pv_norm *norm,
                       pv_task_score *score);

    void (*close)(pv_task *task);
} pv_task_ops;

struct pv_task {
    const pv_task_ops *ops;
    pv_task_data data;
    pv_sampler *sampler; /* the places of an epoch; NULL in a task that makes up its rows, for ever */
    int outputs;         /* of the model */
    int place_rows;      /* rows that a place of the stream gives */
    void *own;           /* the task's, freed by close */
};

/* Makes the task that data->opts->task names.
 * Owner: pv_task_close.  Local, but the same on all ranks.  Errors: PV_ERR_CONFIG, PV_ERR_DATA, PV_ERR_NOMEM. */
pv_status pv_task_open(const pv_task_data *data, pv_task *task);
/* Safe on a zeroed task. */
void pv_task_close(pv_task *task);

/* Batches of a sampler that are fetched ahead. */
enum { PV_TASK_BATCHES_AHEAD = 3 };

/* A step trains on `accumulate` pieces of a batch, each of so many places: the batches of the sampler. */
int64_t pv_task_piece(const pv_train_opts *opts);
/* Steps of an epoch; the places of piece `piece` of an epoch, 0 behind its end.  For tasks with a sampler. */
int64_t pv_task_steps(const pv_task *task);
int64_t pv_task_places(const pv_task *task, int64_t piece);

/* The tasks; each sets everything but data. */
pv_status pv_classify_open(pv_task *task);
pv_status pv_simclr_open(pv_task *task);

#endif
