/* How a model is trained: the `train` section of a config. */
#ifndef PV_TRAIN_OPTS_H
#define PV_TRAIN_OPTS_H

#include "config/pv_plugin.h"
#include "data/pv_dataset.h"
#include "nn/core/pv_optim.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pv_reduce { PV_REDUCE_FAST, PV_REDUCE_ORDERED } pv_reduce;
/* What nodes send each other of a gradient. */
typedef enum pv_wire { PV_WIRE_FLOAT32, PV_WIRE_BFLOAT16 } pv_wire;
/* What the products of a model are multiplied from, in training. */
typedef enum pv_operands { PV_OPERANDS_FLOAT32, PV_OPERANDS_BFLOAT16 } pv_operands;
/* After the warm-up: the same rate at every step, or down to 0 at the end of training by half a cosine. */
typedef enum pv_rate_schedule { PV_RATE_CONSTANT, PV_RATE_COSINE } pv_rate_schedule;
/* How the rate follows from the batch: lr is for base_batch. */
typedef enum pv_rate_scaling { PV_RATE_AS_IS, PV_RATE_LINEAR, PV_RATE_SQRT } pv_rate_scaling;

typedef struct pv_train_opts {
    pv_pick task;  /* of pv_tasks, with its own options */
    char *output;  /* the model file; <output>.ckpt and <output>.jsonl stand beside it; owned by the config */
    int64_t views; /* the first `views` views of every training object are samples */
    int64_t epochs;
    int64_t batch;             /* global batch, over all ranks */
    int64_t accumulate;        /* the batch is passed through the model in so many chunks; divides it */
    int64_t micro_batch;       /* ordered: samples of a leaf of the tree, at most */
    int64_t warmup_steps;      /* linear warm-up from 0 to lr */
    int64_t checkpoint_epochs; /* a checkpoint every so many epochs */
    int64_t checkpoint_steps;  /* and steps; 0: none within an epoch */
    double checkpoint_minutes; /* and minutes; 0: likewise */
    int64_t keep;              /* checkpoints that are kept */
    int64_t log_steps;         /* the loss of every so many steps goes into the metrics; 0: none */
    pv_optim_kind optimizer;
    double lr, weight_decay, momentum;
    pv_rate_schedule schedule;
    pv_rate_scaling lr_scaling;
    int64_t base_batch;
    double clip; /* the gradient's norm, at most; 0: any */
    bool amsgrad;
    pv_row_form_opts form;  /* its fresh network is the commands' to say */
    bool random_view;       /* an epoch draws one view of every object */
    bool test_each_epoch;   /* the metrics hold the test split's score; selection never looks at it */
    pv_placement placement; /* of the training rows */
    pv_reduce reduce;
    pv_wire wire;
    pv_operands precision;
    uint64_t seed;
    bool no_verify; /* rows are not compared with their checksums as they are loaded; an option of `train` */
} pv_train_opts;

/* The rows of the section, but for those of the tasks; the registry of tasks (train/pv_task.h). */
extern const pv_option pv_train_options[];
extern const pv_registry pv_tasks;

/* The learning rate of step 0 .. steps - 1 of a training: linear warm-up over the first opts->warmup_steps,
 * then opts->schedule, all scaled by opts->lr_scaling. */
double pv_train_rate(const pv_train_opts *opts, int64_t step, int64_t steps);

#endif
