/* The metrics file of a training run: one JSON object a line, readable while the run goes on. */
#ifndef PV_METRICS_H
#define PV_METRICS_H

#include "base/pv_status.h"

#include <jansson.h>
#include <stdint.h>

/* Starts a file anew (last_epoch < 0), or keeps of an earlier run what lies up to `last_epoch`.  Local: rank
 * 0. Errors: PV_ERR_IO (path named). */
pv_status pv_metrics_start(const char *path, int64_t last_epoch);

/* Appends one line; takes over the reference to `line`.  Local: rank 0. */
pv_status pv_metrics_append(const char *path, json_t *line);

#endif
