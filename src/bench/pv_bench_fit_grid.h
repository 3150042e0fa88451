/* The rates of fits over widths, inputs and precisions.  Private to the room. */
#ifndef PV_BENCH_FIT_GRID_H
#define PV_BENCH_FIT_GRID_H

#include "base/pv_status.h"

#include <jansson.h>
#include <stdbool.h>

/* Times fits of INRs with two hidden layers of 16 .. 256 units and 1 .. 3 inputs to 784 samples in every
 * precision, in seconds of this core, for about `seconds` in all; adds "grid" to the result and, unless
 * `quiet`, prints a table to stderr.
 * Local.  Errors: PV_STOPPED, PV_ERR_NOMEM. */
pv_status pv_bench_fit_grid(double seconds, bool quiet, json_t *result);

#endif
