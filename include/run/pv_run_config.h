/* The configuration of a run: YAML text -> option structs, checked against one table of keys
 * (src/cmd/pv_config_keys.c), and back.  Later wins: defaults, the user's file, then each --set. */
#ifndef PV_RUN_CONFIG_H
#define PV_RUN_CONFIG_H

#include "augment/pv_augment_opts.h"
#include "base/pv_status.h"
#include "nn/core/pv_model_opts.h"
#include "signal/pv_signal_opts.h"
#include "inr/pv_inr_opts.h"
#include "store/pv_storage_opts.h"
#include "train/pv_train_opts.h"

#include <stddef.h>
#include <stdio.h>

/* Every string and list was allocated with malloc() and belongs to the config, so that a caller may replace
 * one: free(config->store), then a pv_strdup(). */
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

/* Which results a key determines. */
enum {
    PV_KEYS_ROWS = 1, /* the rows of a store: signal.*, inr.*, fit.*, but no path and not fit.views */
    PV_KEYS_MODEL =
        2, /* a trained model: model.*, train.*, but not train.output, .epochs, .checkpoint_epochs */
};

/* Loads a config: the defaults, over them `yaml_text` (the user's file, "" for none; `name` is what messages
 * call it), over them `sets` in order, each "key.path=value" with a YAML value ("inr.hidden=[64, 64]",
 * "fit={views: 2, steps: 100}").  Every layer is checked on its own: unknown and duplicate keys, types,
 * ranges. Owner: pv_run_config_free(*out); NULL on failure.  Local. Errors: PV_ERR_CONFIG (the message names
 * file, line and key, or the --set), PV_ERR_NOMEM. */
pv_status pv_run_config_load(const char *name, const char *yaml_text, const char *const *sets, int set_count,
                             pv_run_config **out);

/* Reads a config file whole, for pv_run_config_load().  Owner: the caller frees *text; NULL on failure.  Local.
 * Errors: PV_ERR_CONFIG (cannot be read, longer than 1 MiB, holds a NUL byte; names the path), PV_ERR_NOMEM.
 */
pv_status pv_config_read_text(const char *path, char **text);

/* Safe on NULL.  Local. */
void pv_run_config_free(pv_run_config *config);

/* The config as YAML text, every key present, in the order of the table.  Loading the text gives an equal
 * config, whose text is the same bytes.  Owner: the caller frees *yaml_text; NULL on failure.  Local.
 * Errors: PV_ERR_CONFIG (a string that is not UTF-8), PV_ERR_NOMEM. */
pv_status pv_run_config_emit(const pv_run_config *config, char **yaml_text);

/* Compares the keys of `scope` (PV_KEYS_ROWS, PV_KEYS_MODEL or both).  Each key that differs adds a line to
 * `text` ("fit.lr: 0.005 here, 0.0005 in the store"; lines are separated by newlines, one that does not fit
 * into `size` bytes is left out) and 1 to *count.  Borrows both.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_run_config_conflicts(const pv_run_config *now, const pv_run_config *stored, unsigned scope,
                                  char *text, size_t size, int *count);

/* Prints every key with its type, range or choices, default and meaning: for a terminal, and as
 * docs/config.md. Local. */
void pv_run_config_describe(FILE *out);
void pv_run_config_describe_markdown(FILE *out);

#endif
