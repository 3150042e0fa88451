/* The config of a run: all sections put together (the rows of each stand in the room that reads it), from a
 * file, the defaults, or what a store or a model keeps. */
#ifndef PV_RUN_CONFIG_H
#define PV_RUN_CONFIG_H

#include "augment/pv_augment_opts.h"
#include "config/pv_schema.h"
#include "inr/pv_inr_opts.h"
#include "nn/pv_model_kinds.h"
#include "parallel/pv_comm.h"
#include "signal/pv_source.h"
#include "store/pv_storage_opts.h"
#include "train/pv_train_opts.h"

typedef struct pv_run_config {
    char *store; /* path of the store file */
    pv_storage_opts storage;
    pv_signal_opts signal;
    pv_inr_opts inr;
    pv_fit_opts fit;
    pv_model_opts model;
    pv_train_opts train;
    pv_augment_list augment;
} pv_run_config;

extern const pv_schema pv_run_schema;

/* What config/pv_schema.h does, for this schema; Local, with its errors and owners. */
pv_status pv_run_config_load(const char *name, const char *yaml_text, const char *const *sets, int set_count,
                             pv_run_config **out);
void pv_run_config_free(pv_run_config *config);
pv_status pv_run_config_emit(const pv_run_config *config, char **yaml_text);
pv_status pv_run_config_conflicts(const pv_run_config *now, const pv_run_config *stored, unsigned scope,
                                  char *text, size_t size, int *count);

/* Reads a config file on rank 0, gives it to all and loads it with the --set words; the defaults with them
 * if `path` is NULL.  Owner: pv_run_config_free.  Collective.  Errors: PV_ERR_CONFIG, agreed. */
pv_status pv_config_of_file(const pv_comm *comm, const char *path, const pv_words *sets,
                            pv_run_config **config);

/* Loads the config that a store or model keeps as text.  Owner: pv_run_config_free.
 * Local.  Errors: PV_ERR_DATA (`path`, line and key named), PV_ERR_NOMEM. */
pv_status pv_config_kept(const char *path, const char *yaml_text, pv_run_config **config);

/* Loads the config of the store at `path`, with --set words that change no row; its `store` is `path`.
 * Owner: pv_run_config_free.
 * Collective.  Errors: as pv_store_open; PV_ERR_DATA (a damaged config; a store that was imported, whose
 * INRs nobody here can fit again), PV_ERR_CONFIG (words that would change rows are named), agreed. */
pv_status pv_config_of_store(const pv_comm *comm, const char *path, const pv_words *sets,
                             pv_run_config **config);

/* Has the config say that its store is at `path`.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_run_config_place(pv_run_config *config, const char *path);

/* Prints every key for a terminal, and docs/config.md. */
void pv_run_config_describe(FILE *out);
void pv_run_config_describe_markdown(FILE *out);

#endif
