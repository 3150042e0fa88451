/* What `fit`, `verify --repair` and timings share: making a store, filling an open one under its lock. */
#ifndef PV_FILL_RUN_H
#define PV_FILL_RUN_H

#include "run/pv_run_config.h"
#include "fit/pv_fill.h"
#include "base/pv_json.h"

/* Takes the lock of a store that is to be written.
 * Owner: pv_lock_release.  Collective.  Errors: as pv_lock_take; PV_ERR_IO: the file has other names (hard
 * links), which the lock does not know, agreed. */
pv_status pv_run_lock(const pv_comm *comm, const char *path, pv_lock **lock);

/* Makes a store at `path` of `views` views of every object of the signal, by a config.
 * Collective.  Errors: as pv_arch_make, pv_store_create, agreed. */
pv_status pv_run_create(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                        const char *path, const pv_storage_opts *storage, int64_t views);

/* Fits what is missing of a store by its config; opts.variant and opts.fit are those of the config.
 * Collective.  Errors: as pv_fill (PV_STOPPED: *result is valid). */
pv_status pv_run_fill(const pv_comm *comm, const pv_run_config *config, const pv_signal *signal,
                      pv_store *store, pv_fill_opts opts, pv_fill_result *result);

/* Ends the writing of a store: its files must be where they were, the lock ours, and what is then found in
 * the store, opened anew, what `fill` counted (NULL: is not looked at).  Gives both back; NULL for none.
 * Collective.  Errors: PV_ERR_IO (what was written is lost: the files are gone, or changed), as
 * pv_store_close and pv_store_open, agreed. */
pv_status pv_run_close_written(const pv_comm *comm, pv_store *store, pv_lock *lock,
                               const pv_fill_result *fill);

/* Adds what a fill did to a result. */
void pv_result_fill(const pv_fill_result *fill, json_t *result);

#endif
