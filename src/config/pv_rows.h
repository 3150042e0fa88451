/* Mappings -> structs by rows, private to the config room: shared by configs and command lines. */
#ifndef PV_ROWS_H
#define PV_ROWS_H

#include "config/pv_option.h"
#include "pv_yaml.h"

/* Whether a key, or every key of a mapping, is known to the section, or else to a plug-in that it can
 * pick, and holds a valid value.  Errors: PV_ERR_CONFIG. */
pv_status pv_rows_check_key(const pv_schema *schema, const pv_section *section, const pv_node *node);
pv_status pv_rows_check(const pv_schema *schema, const pv_section *section, const pv_node *mapping);

/* Sets a zeroed struct from a checked mapping (NULL: it says nothing) and the rows' defaults; a pick's own
 * likewise. */
pv_status pv_rows_set(const pv_section *section, const pv_option *rows, const pv_node *mapping,
                      void *options);

/* Refuses a key that neither the rows nor the plug-ins picked in `options` have; `section`: its name, NULL in
 * the words of a command.  Errors: PV_ERR_CONFIG, of words PV_ERR_USAGE. */
pv_status pv_rows_check_taken(const char *section, const pv_option *rows, const void *options,
                              const pv_node *node);

#endif
