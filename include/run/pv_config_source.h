/* Where the config of a run comes from: a file, the defaults, or what a store or a model keeps. */
#ifndef PV_CONFIG_SOURCE_H
#define PV_CONFIG_SOURCE_H

#include "run/pv_run_config.h"
#include "parallel/pv_comm.h"

/* Reads a config file on rank 0, gives it to all and loads it with the --set words; the defaults with them
 * if `path` is NULL.  Owner: pv_run_config_free.  Collective.  Errors: PV_ERR_CONFIG, agreed. */
pv_status pv_config_of_file(const pv_comm *comm, const char *path, const pv_words *sets,
                            pv_run_config **config);

/* Loads the config that a store or model keeps as text.  Owner: pv_run_config_free.
 * Local.  Errors: PV_ERR_DATA (`path`, line and key named), PV_ERR_NOMEM. */
pv_status pv_config_kept(const char *path, const char *yaml_text, pv_run_config **config);

/* Loads the config of the store at `path`; its `store` is `path`.  Owner: pv_run_config_free.
 * Collective.  Errors: as pv_store_open; PV_ERR_DATA (a damaged config; a store that was imported, whose
 * INRs nobody here can fit again), agreed. */
pv_status pv_config_of_store(const pv_comm *comm, const char *path, pv_run_config **config);

#endif
