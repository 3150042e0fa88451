/* Layers of YAML -> the structs of a schema: each layer is checked, then laid over the ones before, then
 * the whole is set. */
#include "config/pv_schema.h"

#include "base/pv_mem.h"
#include "base/pv_path.h"
#include "pv_rows.h"
#include "pv_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static pv_status check_list(const pv_schema *schema, const pv_section *section, const pv_node *list)
{
    char text[PV_FOUND_MAX];
    int count = 0;
    pv_status st = PV_OK;
    if (list->kind != PV_NODE_LIST)
        return pv_layer_fail(list->layer, list->line, section->name, "must be a list such as [%s], found %s",
                             section->example, pv_node_found(list, text));
    for (const pv_node *item = list->first; item; item = item->next) {
        if (item->kind != PV_NODE_MAPPING)
            PV_TRY(pv_layer_fail(item->layer, item->line, section->name,
                                 "an entry must be a mapping such as %s, found %s", section->example,
                                 pv_node_found(item, text)));
        if (count++ == section->most)
            PV_TRY(
                pv_layer_fail(item->layer, item->line, section->name, "more than %d entries", section->most));
        PV_TRY(pv_rows_check(schema, section, item));
    }
done:
    return st;
}

static pv_status check_section(const pv_schema *schema, const pv_section *section, const pv_node *node)
{
    char text[PV_FOUND_MAX];
    if (pv_node_is_null(node)) return PV_OK;
    if (section->item_size > 0) return check_list(schema, section, node);
    if (node->kind == PV_NODE_MAPPING) return pv_rows_check(schema, section, node);
    return pv_layer_fail(node->layer, node->line, section->name,
                         "must be a mapping of keys to values, found %s", pv_node_found(node, text));
}

/* Checks a layer on its own. */
static pv_status check_layer(const pv_schema *schema, const pv_node *root)
{
    pv_status st = PV_OK;
    char text[PV_FOUND_MAX];
    if (!root || pv_node_is_null(root)) return PV_OK;
    if (root->kind != PV_NODE_MAPPING)
        return pv_layer_fail(root->layer, root->line, NULL, "must be a mapping of keys to values, found %s",
                             pv_node_found(root, text));
    for (const pv_node *node = root->first; node && st == PV_OK; node = node->next) {
        const pv_section *section = schema->sections;
        while (section->name && (section->name[0] == '\0' || !pv_node_named(node, section->name)))
            section++;
        st = section->name ? check_section(schema, section, node)
                           : pv_rows_check_key(schema, schema->sections, node);
    }
    return st;
}

/* Lays a layer over those before it: a mapping adds to what a section holds, all else replaces.  Takes
 * `over`. */
static void merge(pv_node **under, pv_node *over)
{
    if (!*under || (*under)->kind != PV_NODE_MAPPING || over->kind != PV_NODE_MAPPING) {
        const bool says_nothing = *under && (*under)->kind == PV_NODE_MAPPING && pv_node_is_null(over);
        pv_node *loser = says_nothing ? over : *under;
        if (!says_nothing) {
            over->next = *under ? (*under)->next : NULL;
            *under = over;
        }
        if (loser) loser->next = NULL;
        pv_node_free(loser);
        return;
    }
    for (pv_node *entry = over->first, *next; entry; entry = next) {
        pv_node **at = &(*under)->first;
        next = entry->next;
        entry->next = NULL;
        while (*at && ((*at)->name_length != entry->name_length ||
                       memcmp((*at)->name, entry->name, entry->name_length) != 0))
            at = &(*at)->next;
        merge(at, entry);
    }
    over->first = NULL;
    pv_node_free(over);
}

/* Whether a key of the plug-ins that an item can pick says what is so anyway, as in an item that an older
 * build wrote out. */
static bool says_default(const pv_section *section, const pv_node *node)
{
    for (const pv_option *pick = section->options; pick->name; pick++)
        for (const pv_plugin *const *plugin = pv_plugins_of(pick); *plugin; plugin++) {
            const pv_option *row = pv_row_find((*plugin)->options, node);
            if (!row || node->kind != PV_NODE_SCALAR) continue;
            if (row->negative_is_initial      ? node->text[0] == '-'
                : row->type == PV_OPTION_REAL ? strtod(row->initial, NULL) == strtod(node->text, NULL)
                                              : strcmp(row->initial, node->text) == 0)
                return true;
        }
    return false;
}

static pv_status set_item(const pv_section *section, const pv_node *item, void *options)
{
    pv_status st = pv_rows_set(section, section->options, item, options);
    for (const pv_node *node = item->first; node && st == PV_OK; node = node->next)
        if (!says_default(section, node))
            st = pv_rows_check_taken(section->name, section->options, options, node);
    return st;
}

static pv_status set_items(const pv_section *section, const pv_node *list, char *config)
{
    pv_status st = PV_OK;
    unsigned count = 0;
    char *items = NULL;
    for (const pv_node *item = list ? list->first : NULL; item; item = item->next)
        count++;
    if (count == 0) return PV_OK;
    if (!(items = pv_alloc(count, section->item_size))) return PV_ERR_NOMEM;
    *(void **)(config + section->offset) = items;
    *(unsigned *)(config + section->count) = count;
    for (const pv_node *item = list->first; item && st == PV_OK;
         item = item->next, items += section->item_size)
        st = set_item(section, item, items);
    return st;
}

static pv_status set_all(const pv_schema *schema, const pv_node *root, void *config)
{
    pv_status st = PV_OK;
    for (const pv_section *s = schema->sections; s->name && st == PV_OK; s++) {
        const pv_node *node = s->name[0] ? pv_node_find(root, s->name) : root;
        st = s->item_size > 0 ? set_items(s, node, config)
                              : pv_rows_set(s, s->options, node, (char *)config + s->offset);
    }
    return st;
}

pv_status pv_schema_load(const pv_schema *schema, const char *name, const char *yaml_text,
                         const char *const *sets, int set_count, void **out)
{
    pv_status st = PV_OK;
    pv_node *root = NULL, *node = NULL;
    pv_layer *layers = NULL;
    *out = NULL;
    PV_ALLOC(layers, set_count + 1);
    for (int i = 0; i <= set_count; i++) {
        layers[i].set = i > 0 ? sets[i - 1] : NULL;
        layers[i].file = i > 0 ? NULL : name ? name : "config";
        PV_TRY(pv_yaml_read(&layers[i], yaml_text, &node));
        PV_TRY(check_layer(schema, node));
        if (node) merge(&root, node);
        node = NULL;
    }
    if (!(*out = pv_alloc(1, schema->size))) PV_TRY(PV_ERR_NOMEM);
    st = set_all(schema, root, *out);
done:
    if (st != PV_OK) {
        pv_schema_free(schema, *out);
        *out = NULL;
    }
    pv_node_free(root);
    pv_node_free(node);
    free(layers);
    return st;
}

void pv_schema_free(const pv_schema *schema, void *config)
{
    for (const pv_section *s = schema->sections; config && s->name; s++) {
        char *at = (char *)config + s->offset;
        if (s->item_size == 0) {
            pv_options_free(s->options, at);
            continue;
        }
        const unsigned count = *(unsigned *)((char *)config + s->count);
        char *items = *(void **)at;
        for (unsigned i = 0; i < count; i++)
            pv_options_free(s->options, items + i * s->item_size);
        free(items);
    }
    free(config);
}

pv_status pv_config_read_text(const char *path, char **text)
{
    enum { LIMIT = 1 << 20 };
    pv_status st = PV_OK;
    size_t length = 0;
    char *buffer = NULL, *whole;
    FILE *file = NULL;
    *text = NULL;
    PV_TRY(pv_path_absolute(path, &whole));
    file = fopen(whole, "rb");
    free(whole);
    if (!file) PV_TRY(pv_fail(PV_ERR_CONFIG, "cannot read the config '%s': %s", path, strerror(errno)));
    PV_ALLOC(buffer, LIMIT + 1);
    length = fread(buffer, 1, LIMIT + 1, file);
    if (ferror(file))
        PV_TRY(pv_fail(PV_ERR_CONFIG, "cannot read the config '%s': %s", path, strerror(errno)));
    if (length > LIMIT)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "the config '%s' is longer than 1 MiB: is it a config?", path));
    if (memchr(buffer, '\0', length))
        PV_TRY(pv_fail(PV_ERR_CONFIG, "the config '%s' holds NUL bytes: is it a text file?", path));
    buffer[length] = '\0';
    *text = pv_strdup(buffer);
    if (!*text) st = PV_ERR_NOMEM;
done:
    free(buffer);
    if (file) fclose(file);
    return st;
}
