/* Mappings -> structs by rows: which rows a key can be of, and those of the plug-ins that are picked. */
#include "pv_rows.h"

#include "base/pv_mem.h"
#include "pv_advice.h"
#include "pv_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Owner: free().  NULL: no memory. */
static char *full_name(const pv_section *section, const pv_node *node)
{
    char copy[PV_SHOWN + 4];
    const size_t size = strlen(section->name) + sizeof copy + 2;
    char *name = pv_alloc((int64_t)size, 1);
    if (name)
        snprintf(name, size, "%s%s%s", section->name, section->name[0] ? "." : "",
                 pv_shown(node->name, node->name_length, copy));
    return name;
}

pv_status pv_rows_check_key(const pv_schema *schema, const pv_section *section, const pv_node *node)
{
    pv_status st = PV_OK;
    bool known = false;
    char *name = full_name(section, node);
    const pv_option *row = pv_row_find(section->options, node);
    if (!name) return PV_ERR_NOMEM;
    if (row) PV_TRY(pv_option_check(row, name, node));
    for (const pv_option *pick = section->options; !row && pick->name; pick++)
        for (int i = 0; pick->registry && pick->registry->plugins[i]; i++) {
            const pv_option *own = pv_row_find(pick->registry->plugins[i]->options, node);
            if (!own) continue;
            known = true;
            st = pv_option_check(own, name, node);
            if (st == PV_OK) goto done;
        }
    if (!row && !known) st = pv_unknown_key(schema, section, node, name);
done:
    free(name);
    return st;
}

pv_status pv_rows_check(const pv_schema *schema, const pv_section *section, const pv_node *mapping)
{
    pv_status st = PV_OK;
    for (const pv_node *node = mapping->first; node && st == PV_OK; node = node->next)
        st = pv_rows_check_key(schema, section, node);
    return st;
}

pv_status pv_rows_set(const pv_section *section, const pv_option *rows, const pv_node *mapping, void *options)
{
    pv_status st = pv_options_defaults(rows, options);
    char *name = NULL;
    for (; st == PV_OK && rows && rows->name; rows++) {
        const pv_node *node = pv_node_find(mapping, rows->name);
        if (node) {
            free(name);
            name = full_name(section, node);
            if (!name) PV_TRY(PV_ERR_NOMEM);
            PV_TRY(
                pv_option_check(rows, name, node)); /* of rows with one name, the picked plug-in's decides */
            PV_TRY(pv_option_set(rows, node, options));
        } else if (rows->required) {
            char missing[2 * PV_SHOWN];
            snprintf(missing, sizeof missing, "%s%s%s", section->name, section->name[0] ? "." : "",
                     rows->name);
            PV_TRY(mapping ? pv_layer_fail(mapping->layer, mapping->line, missing, "is missing")
                           : pv_fail(PV_ERR_CONFIG, "%s is missing", missing));
        }
        if (rows->type != PV_OPTION_PICK) continue;
        const pv_pick *pick = pv_picked(rows, options);
        PV_TRY(pv_rows_set(section, pick->plugin->options, mapping, pick->options));
    }
done:
    free(name);
    return st;
}

/* Whether a key of other plug-ins than the picked ones holds a default, as in an item that an older build
 * wrote. */
static bool holds_default(const pv_section *section, const pv_node *node)
{
    for (const pv_option *pick = section->options; pick->name; pick++)
        for (int i = 0; pick->registry && pick->registry->plugins[i]; i++) {
            const pv_option *row = pv_row_find(pick->registry->plugins[i]->options, node);
            if (!row || node->kind != PV_NODE_SCALAR) continue;
            if (row->negative_is_initial) {
                if (node->text[0] == '-') return true;
            } else if (row->initial && row->type == PV_OPTION_REAL
                           ? strtod(row->initial, NULL) == strtod(node->text, NULL)
                           : row->initial && strcmp(row->initial, node->text) == 0)
                return true;
        }
    return false;
}

pv_status pv_rows_foreign(const pv_section *section, const pv_node *item, const void *options)
{
    for (const pv_node *node = item->first; node; node = node->next) {
        const char *kind = "";
        bool own = pv_row_find(section->options, node) != NULL;
        for (const pv_option *row = section->options; !own && row->name; row++)
            if (row->type == PV_OPTION_PICK) {
                kind = pv_picked(row, options)->plugin->name;
                own = pv_row_find(pv_picked(row, options)->plugin->options, node) != NULL;
            }
        if (!own && !holds_default(section, node))
            return pv_layer_fail(node->layer, node->line, section->name, "%s takes no %s", kind, node->name);
    }
    return PV_OK;
}
