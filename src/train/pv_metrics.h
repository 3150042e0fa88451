/* The metrics file of a training run: one JSON object a line, readable while the run goes on. */
#ifndef PV_METRICS_H
#define PV_METRICS_H

#include "base/pv_status.h"

#include <jansson.h>
#include <stdint.h>

/* Starts a file anew (epoch < 0), or keeps of an earlier run what lies up to the end of `epoch` and the
 * `batch` steps of the next one.  Local: rank 0.  Errors: PV_ERR_IO (path named). */
pv_status pv_metrics_start(const char *path, int64_t epoch, int64_t batch);

/* Appends one line; takes over the reference to `line`.  Local: rank 0. */
pv_status pv_metrics_append(const char *path, json_t *line);

#endif
