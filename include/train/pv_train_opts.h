/* How a model is trained: the `train` section of a config. */
#ifndef PV_TRAIN_OPTS_H
#define PV_TRAIN_OPTS_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/pv_optim.h"
#include "sampler/pv_placement.h"

typedef enum pv_task_kind { PV_TASK_CLASSIFY } pv_task_kind;
typedef enum pv_reduce { PV_REDUCE_FAST } pv_reduce;
typedef enum pv_normalise { PV_NORMALISE_ENTRY, PV_NORMALISE_TENSOR, PV_NORMALISE_NONE } pv_normalise;

/* Sets of PV_CANONICAL_SIGN and PV_CANONICAL_PHASE (pv_symmetry.h). */
typedef enum pv_canonical {
    PV_CANONICAL_AS_IS = 0,
    PV_CANONICAL_SIGNS = 1,
    PV_CANONICAL_PHASES = 2,
    PV_CANONICAL_BOTH = 3
} pv_canonical;

typedef struct pv_train_opts {
    pv_task_kind task;
    char *output;  /* the model file; <output>.ckpt and <output>.jsonl stand beside it; owned by the config */
    int64_t views; /* the first `views` views of every training object are samples */
    int64_t epochs;
    int64_t batch;             /* global batch, over all ranks */
    int64_t warmup_steps;      /* linear warm-up from 0 to lr */
    int64_t checkpoint_epochs; /* a checkpoint every so many epochs */
    pv_optim_kind optimizer;
    double lr, weight_decay, momentum;
    bool amsgrad;
    pv_normalise normalise;
    bool random_view;     /* an epoch draws one view of every object */
    bool test_each_epoch; /* the metrics hold the test split's score; selection never looks at it */
    pv_canonical canonical;
    pv_placement placement; /* of the training rows */
    pv_reduce reduce;
    uint64_t seed;
} pv_train_opts;

#endif
