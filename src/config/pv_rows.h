/* Mappings -> structs by rows, private to the config room: shared by configs and command lines. */
#ifndef PV_ROWS_H
#define PV_ROWS_H

#include "config/pv_section.h"
#include "pv_yaml.h"

/* Whether a key, or every key of a mapping, is known to the section, or else to a plug-in that it can
 * pick, and holds a valid value.  Errors: PV_ERR_CONFIG. */
pv_status pv_rows_check_key(const pv_schema *schema, const pv_section *section, const pv_node *node);
pv_status pv_rows_check(const pv_schema *schema, const pv_section *section, const pv_node *mapping);

/* Sets a zeroed struct from a checked mapping (NULL: it says nothing) and the rows' defaults; a pick's own
 * likewise. */
pv_status pv_rows_set(const pv_section *section, const pv_option *rows, const pv_node *mapping,
                      void *options);

/* Refuses keys that are neither the section's nor of the plug-ins that `options` picked, unless they hold
 * a default. */
pv_status pv_rows_foreign(const pv_section *section, const pv_node *mapping, const void *options);

#endif
