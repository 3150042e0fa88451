/* "did you mean": names near a name that there is not. */
#include "pv_advice.h"

#include "config/pv_plugin.h"
#include "pv_value.h"

#include <stdio.h>

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
        for (int i = 0; row->registry && row->registry->plugins[i]; i++)
            consider_rows(s, row->registry->plugins[i]->options);
}

/* The section that has a key of this name; NULL: none. */
static const char *section_with(const pv_schema *schema, const pv_node *node)
{
    for (const pv_section *section = schema->sections; section->name; section++) {
        if (pv_row_find(section->options, node)) return section->name;
        for (const pv_option *row = section->options; row->name; row++)
            for (int i = 0; row->registry && row->registry->plugins[i]; i++)
                if (pv_row_find(row->registry->plugins[i]->options, node)) return section->name;
    }
    return NULL;
}

pv_status pv_unknown_key(const pv_schema *schema, const pv_section *section, const pv_node *node,
                         const char *name)
{
    char copy[PV_SHOWN + 4], advice[PV_CONFIG_TEXT_MAX + 32];
    search s = {.name = pv_shown(node->name, node->name_length, copy), .least = PV_FAR};
    const bool top = section->name[0] == '\0';
    const char *elsewhere = top ? section_with(schema, node) : NULL;
    consider_rows(&s, section->options);
    for (const pv_section *other = schema->sections; top && other->name; other++)
        if (other->name[0]) consider(&s, other->name);
    if (elsewhere)
        snprintf(advice, sizeof advice, "did you mean '%s.%s'?", elsewhere, s.name);
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
