/* Refuses a key that a section does not have, with the name that was meant; private to the config room. */
#ifndef PV_ADVICE_H
#define PV_ADVICE_H

#include "config/pv_section.h"
#include "pv_yaml.h"

/* Returns PV_ERR_CONFIG; `name` is the key's in full. */
pv_status pv_unknown_key(const pv_schema *schema, const pv_section *section, const pv_node *node,
                         const char *name);

#endif
