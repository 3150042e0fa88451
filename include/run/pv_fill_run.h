/* What `fit` and `verify --repair` share: a fill of an open store, under its lock. */
#ifndef PV_FILL_RUN_H
#define PV_FILL_RUN_H

#include "cmd/pv_cmd.h"
#include "fit/pv_fill.h"

/* The words of --max-hours and --grace, NULL where they are not given. */
typedef struct pv_run_limits {
    const char *max_hours, *grace;
} pv_run_limits;

/* Loads the config that the store at `path` keeps; its `store` is `path`.  Owner: pv_run_config_free.
 * Collective.  Errors: as pv_store_open; PV_ERR_DATA (a damaged config; a store that was imported, whose INRs nobody
 * here can fit again), agreed. */
pv_status pv_cmd_store_config(const pv_comm *comm, const char *path, pv_run_config **config);

/* Fits what is missing of a store by its config.
 * Collective.  Errors: as pv_fill (PV_STOPPED: *result is valid); PV_ERR_USAGE (a word of `limits`), agreed. */
pv_status pv_cmd_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal, pv_store *store,
                      pv_lock *lock, bool retry_refused, const pv_run_limits *limits, pv_fill_result *result);

/* Ends the writing of a store: its files must be where they were, and the lock ours.  Gives both back; NULL for none.
 * Collective.  Errors: PV_ERR_IO (what was written is lost: the files are gone), as pv_store_close, agreed. */
pv_status pv_cmd_close_written(const pv_comm *comm, pv_store *store, pv_lock *lock);

/* Adds what a fill did to a command's result. */
void pv_cmd_put_fill(const pv_fill_result *fill, json_t *result);

/* What the runs that made a store took, by <store>.runs.jsonl; zeros where there is none. */
typedef struct pv_runs_total {
    int64_t runs, fitted;
    double seconds, core_seconds, steps;
} pv_runs_total;
pv_runs_total pv_cmd_runs_total(const char *store_path);

#endif
