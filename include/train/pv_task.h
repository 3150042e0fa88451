/* What is learned: all of training that depends on the task and not on the loop.
 *
 * A task is one file with a pv_task_kind, and one line in PV_TASKS: it says what rows a step trains on, what
 * the loss of the model's outputs is, and how the model is scored.  Whatever it does must depend on the
 * places of the stream only, never on which rank does it, so that any number of ranks learns the same. */
#ifndef PV_TASK_H
#define PV_TASK_H

#include "augment/pv_augment_opts.h"
#include "data/pv_sampler.h"
#include "nn/pv_model.h"
#include "parallel/pv_comm.h"
#include "train/pv_train_opts.h"

/* What a task is made over; everything is borrowed and outlives it. */
typedef struct pv_task_data {
    const pv_comm *comm;
    const pv_store *store;
    const pv_dataset *train, *val, *test;
    const pv_dataset *further[PV_SPLITS]; /* views of the splits that only partners of MixUps are of; NULL:
                                             there are none */
    const pv_row_form *form;              /* of the rows that the model takes */
    int classes;                          /* of the store's labels */
    const pv_train_opts *opts;
    const pv_augment_list *augment;
} pv_task_data;

typedef struct pv_task_score {
    int64_t samples;       /* 0: nothing to score, the figures are NaN */
    double loss, accuracy; /* means; accuracy NaN where the task knows none */
    double merit;          /* at least 0; of two models the one of higher merit is kept */
} pv_task_score;

typedef struct pv_task pv_task;

typedef struct pv_task_kind {
    pv_plugin plugin;
    bool embeds;       /* outputs are an embedding, with a projection on it in training, and no classes */
    bool scores_views; /* scored on the views that it trains on; else on view 0 */
    int place_rows;    /* rows that a place of the stream gives */
    const char *best;  /* what the merit of the best model is called in results */
    double (*best_of)(double merit);

    /* Outputs of the model. */
    int (*outputs)(const pv_train_opts *opts, int classes);

    /* Makes sampler and own, over task->data; without a sampler it may set places.
     * Local.  Errors: PV_ERR_CONFIG, PV_ERR_DATA, PV_ERR_NOMEM. */
    pv_status (*open)(pv_task *task);
    void (*close)(pv_task *task); /* frees own, which may be NULL or half made; NULL: there is none */

    /* Gives this rank's share of a batch of an epoch, ready for the model; NULL: the sampler does.
     * Local.  Errors: PV_ERR_NUMERIC; *out may be used all the same. */
    pv_status (*take)(pv_task *task, int64_t epoch, int64_t batch, pv_batch *out);

    /* The loss of every row of a batch, and the gradient of `scale` times their sum over all ranks.
     * Shapes   outputs, doutputs [count][task->outputs]; losses [count]
     * Returns  how many rows of the share the model got right.  Collective if it must be. */
    int64_t (*loss)(pv_task *task, const pv_batch *batch, const pv_real *outputs, double scale,
                    double *losses, pv_real *doutputs);

    /* Scores the model on a split (PV_SPLIT_VAL, PV_SPLIT_TEST).  Collective.  Errors agreed. */
    pv_status (*score)(pv_task *task, uint8_t split, pv_model *model, pv_task_score *score);
} pv_task_kind;

/* The registry: X(name) is a pv_task_kind pv_task_<name>. */
#define PV_TASKS(X)          X(classify) X(simclr)
#define PV_TASK_EXTERN(name) extern const pv_task_kind pv_task_##name;
PV_TASKS(PV_TASK_EXTERN)
#undef PV_TASK_EXTERN

struct pv_task {
    const pv_task_kind *kind;
    pv_task_data data;
    int64_t places;      /* of an epoch; INT64_MAX: an epoch never ends */
    pv_sampler *sampler; /* of the places; NULL in a task that makes up its rows */
    int outputs;         /* of the model */
    void *own;           /* the task's */
};

/* The task that opts->task names. */
const pv_task_kind *pv_task_of(const pv_train_opts *opts);

/* Makes the task that data->opts names.
 * Owner: pv_task_close.  Local, but the same on all ranks.  Errors: as the kind's open. */
pv_status pv_task_open(const pv_task_data *data, pv_task *task);
/* Safe on a zeroed task. */
void pv_task_close(pv_task *task);

/* The sampler of a split (PV_SPLIT_TRAIN, ...), as far as all tasks want the same of it. */
pv_sampler_opts pv_task_sampler_opts(const pv_task_data *data, uint8_t split);

/* The kind's take, or the sampler's. */
pv_status pv_task_take(pv_task *task, int64_t epoch, int64_t batch, pv_batch *out);

/* A step trains on `accumulate` chunks of a batch, each of so many places: the batches of the sampler. */
int64_t pv_task_chunk(const pv_train_opts *opts);
/* Micro-batches of a chunk, of which ranks have runs: reduce ordered has as many on any number of ranks, a
 * power of two; fast has one a rank. */
int64_t pv_task_leaves(const pv_train_opts *opts, int size);
/* The most rows of a chunk that a rank of `size` has. */
int64_t pv_task_share(const pv_task_kind *kind, const pv_train_opts *opts, int size);
/* Steps of an epoch; the places of chunk `chunk` of an epoch, 0 behind its end. */
int64_t pv_task_steps(const pv_task *task);
int64_t pv_task_places(const pv_task *task, int64_t chunk);

#endif
