/* What a run tells: lines for people, and the metrics file, one JSON object a line, readable while the run
 * goes on. */
#ifndef PV_TRAIN_LOG_H
#define PV_TRAIN_LOG_H

#include "pv_training.h"

/* One epoch, over all ranks. */
typedef struct pv_epoch_figures {
    double loss, accuracy; /* of its training */
    double seconds, rate;  /* of what this run trained of it; rate in samples a second */
    uint64_t stream;
    pv_task_score val, test; /* samples 0: not scored */
    bool best;               /* its model is kept */
} pv_epoch_figures;

/* Bytes of the rank that is going to take the most, told item by item; `before`: what the program took
 * without the run.  Collective. */
int64_t pv_train_log_memory(const pv_training *training, int64_t before);

/* Each is collective, and agrees on failures to write (PV_ERR_IO, path named). */

/* Begins: with the metrics of the run that `resume` continues, or without any. */
pv_status pv_train_log_open(pv_training *training, const char *kind, bool resume);
/* After the step, if it is one of opts->log_steps. */
pv_status pv_train_log_step(const pv_training *training, const pv_step *step);
/* After the epoch, which the state counts already. */
pv_status pv_train_log_epoch(const pv_training *training, const pv_epoch_figures *figures);

#endif
