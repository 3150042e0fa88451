/* What memory a run is going to take, before it takes it. */
#ifndef PV_MEMORY_PLAN_H
#define PV_MEMORY_PLAN_H

#include "pv_training.h"

/* Bytes of the rank that takes the most, told in the log item by item; `before`: what the program took
 * without the run.
 * Collective. */
int64_t pv_memory_plan(const pv_training *training, int64_t before);

#endif
