/* Sections of rows put together: YAML text -> typed structs, checked, and back.  Later wins: defaults, the
 * user's file, then each --set.  Knows no room: the schema of a run is run/pv_run_config.h's. */
#ifndef PV_SCHEMA_H
#define PV_SCHEMA_H

#include "config/pv_plugin.h"

#include <stdio.h>

/* Loads a config: the defaults, over them `yaml_text` (the user's file, "" for none; `name` is what messages
 * call it), over them `sets` in order, each "key.path=value" with a YAML value ("inr.hidden=[64, 64]",
 * "fit={views: 2, steps: 100}").  Every layer is checked on its own: unknown and duplicate keys, types,
 * ranges.  Owner: pv_schema_free(*out); NULL on failure.  Local.  Errors: PV_ERR_CONFIG (the message names
 * file, line and key, or the --set), PV_ERR_NOMEM. */
pv_status pv_schema_load(const pv_schema *schema, const char *name, const char *yaml_text,
                         const char *const *sets, int set_count, void **out);

/* Safe on NULL.  Local. */
void pv_schema_free(const pv_schema *schema, void *config);

/* The config as YAML text: every section with all its keys, of plug-ins those that are picked.  Loading
 * the text gives an equal config, whose text is the same bytes.  Owner: the caller frees *yaml_text; NULL
 * on failure.  Local. Errors: PV_ERR_CONFIG (a string that is not UTF-8), PV_ERR_NOMEM. */
pv_status pv_schema_emit(const pv_schema *schema, const void *config, char **yaml_text);

/* Compares the keys whose rows fix anything of `scope`.  Each key that differs adds a line to
 * `text` ("fit.lr: 0.005 here, 0.0005 in the store"; lines are separated by newlines, one that does not fit
 * into `size` bytes is left out) and 1 to *count.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_schema_conflicts(const pv_schema *schema, const void *now, const void *stored, unsigned scope,
                              char *text, size_t size, int *count);

/* Prints every key with its type, range or choices, default and meaning, and below them the keys of each
 * plug-in: for a terminal, and as the tables of docs/config.md.  Local. */
void pv_schema_describe(const pv_schema *schema, FILE *out);
void pv_schema_describe_markdown(const pv_schema *schema, FILE *out);

/* Reads a config file whole, for pv_schema_load().  Owner: the caller frees *text; NULL on failure.  Local.
 * Errors: PV_ERR_CONFIG (cannot be read, longer than 1 MiB, holds a NUL byte; names the path), PV_ERR_NOMEM.
 */
pv_status pv_config_read_text(const char *path, char **text);

#endif
