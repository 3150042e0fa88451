/* Mappings -> structs by rows: which rows a key can be of, those of the plug-ins that are picked, and "did
 * you mean" for a key that there is not. */
#include "pv_rows.h"

#include "pv_value.h"

#include <stdio.h>

enum { NAME = 2 * PV_SHOWN + 8 };

/* "fit.views" */
static const char *full_name(const pv_section *section, const pv_node *node, char name[NAME])
{
    char copy[PV_SHOWN + 4];
    snprintf(name, NAME, "%.*s%s%s", PV_SHOWN, section->name, section->name[0] ? "." : "",
             pv_shown(node->name, node->name_length, copy));
    return name;
}

typedef struct search {
    const char *name; /* what was written */
    int least;        /* changes of a letter to the nearest */
    const char *nearest;
    char all[PV_CONFIG_TEXT_MAX]; /* every name */
} search;

static void consider(search *s, const char *known)
{
    pv_nearest(s->name, known, &s->least, &s->nearest);
    pv_append(s->all, sizeof s->all, "%s%s", s->all[0] ? ", " : "", known);
}

/* Rows, and those of the plug-ins that they pick from. */
static void consider_rows(search *s, const pv_option *rows)
{
    for (const pv_option *row = rows; row && row->name; row++)
        consider(s, row->name);
    for (const pv_option *row = rows; row && row->name; row++)
        for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin; plugin++)
            consider_rows(s, (*plugin)->options);
}

/* Whether rows, or those of plug-ins that they pick from, have a key. */
static bool have_key(const pv_option *rows, const pv_node *node)
{
    bool found = pv_row_find(rows, node) != NULL;
    for (const pv_option *row = rows; !found && row && row->name; row++)
        for (const pv_plugin *const *plugin = pv_plugins_of(row); *plugin && !found; plugin++)
            found = have_key((*plugin)->options, node);
    return found;
}

static pv_status unknown_key(const pv_schema *schema, const pv_section *section, const pv_node *node,
                             const char *name)
{
    char copy[PV_SHOWN + 4], advice[PV_CONFIG_TEXT_MAX + 32];
    search s = {.name = pv_shown(node->name, node->name_length, copy), .least = PV_FAR};
    const bool top = section->name[0] == '\0';
    const pv_section *elsewhere = top ? schema->sections : NULL;
    while (elsewhere && elsewhere->name && !have_key(elsewhere->options, node))
        elsewhere++;
    consider_rows(&s, section->options);
    for (const pv_section *other = top ? schema->sections : NULL; other && other->name; other++)
        if (other->name[0]) consider(&s, other->name);
    if (elsewhere && elsewhere->name)
        snprintf(advice, sizeof advice, "did you mean '%s.%s'?", elsewhere->name, s.name);
    else if (s.nearest)
        snprintf(advice, sizeof advice, "did you mean '%s'?", s.nearest);
    else
        snprintf(advice, sizeof advice, "the keys here are %s", s.all);
    return pv_layer_fail(node->layer, node->name_line, name, "unknown key (%s)", advice);
}

pv_status pv_plugin_choose(const pv_registry *registry, const char *name, const pv_plugin **plugin)
{
    search s = {.name = name, .least = PV_FAR};
    *plugin = pv_plugin_find(registry, name);
    if (*plugin) return PV_OK;
    for (int i = 0; registry->plugins[i]; i++)
        consider(&s, registry->plugins[i]->name);
    return s.nearest
               ? pv_fail(PV_ERR_USAGE, "unknown %s '%s': did you mean '%s'?", registry->what, name, s.nearest)
               : pv_fail(PV_ERR_USAGE, "unknown %s '%s': there are %s", registry->what, name, s.all);
}

pv_status pv_rows_check_key(const pv_schema *schema, const pv_section *section, const pv_node *node)
{
    char name[NAME];
    const pv_option *row = pv_row_find(section->options, node);
    pv_status st = PV_ERR_CONFIG;
    full_name(section, node, name);
    if (row) return pv_option_check(row, name, node);
    if (!have_key(section->options, node)) return unknown_key(schema, section, node, name);
    for (const pv_option *pick = section->options; pick->name; pick++)
        for (const pv_plugin *const *plugin = pv_plugins_of(pick); *plugin && st != PV_OK; plugin++)
            if ((row = pv_row_find((*plugin)->options, node))) st = pv_option_check(row, name, node);
    return st;
}

pv_status pv_rows_check(const pv_schema *schema, const pv_section *section, const pv_node *mapping)
{
    pv_status st = PV_OK;
    for (const pv_node *node = mapping->first; node && st == PV_OK; node = node->next)
        st = pv_rows_check_key(schema, section, node);
    return st;
}

/* The row's member from its mapping, where rows with one name were checked against any: now against the
 * picked plug-in's. */
static pv_status set_row(const pv_section *section, const pv_option *row, const pv_node *mapping,
                         void *options)
{
    char name[NAME];
    const pv_node *node = pv_node_find(mapping, row->name);
    if (node) {
        const pv_status st = pv_option_check(row, full_name(section, node, name), node);
        return st == PV_OK ? pv_option_set(row, node, options) : st;
    }
    if (!row->required) return PV_OK;
    snprintf(name, sizeof name, "%s%s%s", section->name, section->name[0] ? "." : "", row->name);
    return mapping ? pv_layer_fail(mapping->layer, mapping->line, name, "is missing")
                   : pv_fail(PV_ERR_CONFIG, "%s is missing", name);
}

pv_status pv_rows_set(const pv_section *section, const pv_option *rows, const pv_node *mapping, void *options)
{
    pv_status st = pv_options_defaults(rows, options);
    for (; st == PV_OK && rows && rows->name; rows++) {
        PV_TRY(set_row(section, rows, mapping, options));
        if (rows->type != PV_OPTION_PICK) continue;
        const pv_pick *pick = pv_picked(rows, options);
        PV_TRY(pv_rows_set(section, pick->plugin->options, mapping, pick->options));
    }
done:
    return st;
}

pv_status pv_rows_check_taken(const char *section, const pv_option *rows, const void *options,
                              const pv_node *node)
{
    const char *picked = "";
    bool taken = pv_row_find(rows, node) != NULL;
    for (const pv_option *row = rows; !taken && row->name; row++)
        if (row->type == PV_OPTION_PICK) {
            picked = pv_picked(row, options)->plugin->name;
            taken = pv_row_find(pv_picked(row, options)->plugin->options, node) != NULL;
        }
    return taken ? PV_OK
                 : pv_layer_fail(node->layer, node->name_line, section, "%s takes no %s", picked, node->name);
}
