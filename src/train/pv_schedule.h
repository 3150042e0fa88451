/* The learning rate of a step. */
#ifndef PV_SCHEDULE_H
#define PV_SCHEDULE_H

#include "train/pv_train_opts.h"

/* The rate of step 0 .. steps - 1 of a training: linear warm-up over the first opts->warmup_steps, then
 * opts->schedule, all scaled by opts->lr_scaling. */
double pv_schedule_rate(const pv_train_opts *opts, int64_t step, int64_t steps);

#endif
