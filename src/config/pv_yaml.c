/* YAML text -> a tree of nodes that know their line.  YAML is read as events, which need no stack of their
 * own. */
#include "pv_yaml.h"

#include "base/pv_mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Top level, section, list of items, item, list: nothing lies deeper.  More entries than this are no
 * config's, and would be compared with each other one by one. */
enum { DEEPEST = 5, MOST_ENTRIES = 1024, MESSAGE = 1536 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const pv_layer *layer;
    const char *text; /* what is parsed */
} reader;

const char *pv_shown(const char *bytes, size_t length, char copy[PV_SHOWN + 4])
{
    size_t n = length < PV_SHOWN ? length : PV_SHOWN;
    while (n < length && n > 0 && ((unsigned char)bytes[n] & 0xC0) == 0x80)
        n--;
    for (size_t i = 0; i < n; i++)
        copy[i] = (unsigned char)bytes[i] < ' ' || bytes[i] == 0x7F ? '?' : bytes[i];
    memcpy(copy + n, n < length ? "..." : "", n < length ? 4 : 1);
    return copy;
}

/* Of an option "--labels-per-class" or "-o", or of a word that stands by itself. */
static pv_status fail_word(const char *key, const char *message)
{
    char name[PV_SHOWN + 4];
    snprintf(name, sizeof name, "%s%s", key[0] < 'a' ? "" : key[1] ? "--" : "-", key);
    for (char *at = name; *at; at++)
        if (*at == '_') *at = '-';
    return pv_fail(PV_ERR_USAGE, "%s%s%s", name, key[0] ? " " : "", message);
}

pv_status pv_layer_fail(const pv_layer *layer, size_t line, const char *key, const char *format, ...)
{
    char message[MESSAGE], copy[PV_SHOWN + 4], of[PV_SHOWN + 6] = "", place[32] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (!layer->file && !layer->set) return fail_word(key ? key : "", message);
    const size_t name = layer->file ? 0 : strcspn(layer->set, "=");
    const bool said = key && layer->set && strlen(key) == name && memcmp(key, layer->set, name) == 0;
    if (key && !said) snprintf(of, sizeof of, "%s: ", pv_shown(key, strlen(key), copy));
    if (!layer->file)
        return pv_fail(PV_ERR_CONFIG, "--set %s: %s%s", pv_shown(layer->set, strlen(layer->set), copy), of,
                       message);
    if (line > 0) snprintf(place, sizeof place, ":%zu", line);
    return pv_fail(PV_ERR_CONFIG, "%s%s: %s%s", layer->file, place, of, message);
}

void pv_node_free(pv_node *node)
{
    while (node) {
        pv_node *next = node->next;
        pv_node_free(node->first); /* as deep as DEEPEST */
        free(node->name);
        if (!node->borrowed) free(node->text);
        free(node);
        node = next;
    }
}

bool pv_node_named(const pv_node *node, const char *name)
{
    return node->name && strlen(name) == node->name_length &&
           memcmp(name, node->name, node->name_length) == 0;
}

pv_node *pv_node_find(const pv_node *mapping, const char *name)
{
    pv_node *node = mapping && mapping->kind == PV_NODE_MAPPING ? mapping->first : NULL;
    while (node && !pv_node_named(node, name))
        node = node->next;
    return node;
}

bool pv_node_is_null(const pv_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != PV_NODE_SCALAR || !node->plain) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(node->text, words[i]) == 0) return true;
    return false;
}

const char *pv_node_found(const pv_node *node, char text[PV_FOUND_MAX])
{
    char copy[PV_SHOWN + 4];
    if (node->kind != PV_NODE_SCALAR) return node->kind == PV_NODE_LIST ? "a list" : "a mapping";
    if (node->plain && node->length == 0) return "nothing";
    snprintf(text, PV_FOUND_MAX, node->plain ? "'%s'" : "the text \"%s\"",
             pv_shown(node->text, node->length, copy));
    return text;
}

/* A copy of bytes that ends with a NUL. */
static char *copied(const void *bytes, size_t length)
{
    char *copy = pv_alloc((int64_t)length + 1, 1);
    if (copy) memcpy(copy, bytes, length);
    return copy;
}

pv_node *pv_node_scalar(const pv_layer *layer, const char *name, const char *text)
{
    pv_node *node = pv_alloc(1, sizeof *node);
    if (!node) return NULL;
    *node = (pv_node){
        .layer = layer, .text = (char *)text, .length = strlen(text), .plain = true, .borrowed = true};
    if (!name) return node;
    node->name = pv_strdup(name);
    node->name_length = strlen(name);
    if (node->name) return node;
    free(node);
    return NULL;
}

static size_t event_line(const reader *in)
{
    return in->event.start_mark.line + 1;
}

static pv_status syntax_error(const reader *in)
{
    const yaml_parser_t *parser = &in->parser;
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR)
        return pv_fail(PV_ERR_NOMEM, "out of memory while reading a config");
    if (parser->error == YAML_READER_ERROR) {
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && in->text[i]; i++)
            line += in->text[i] == '\n';
    }
    return pv_layer_fail(in->layer, line, NULL, "not valid YAML: %s%s%s",
                         parser->problem ? parser->problem : "unknown cause", parser->context ? " " : "",
                         parser->context ? parser->context : "");
}

/* Moves to the next event; refuses what a config has no use for. */
static pv_status next(reader *in)
{
    yaml_event_delete(&in->event);
    if (!yaml_parser_parse(&in->parser, &in->event)) return syntax_error(in);
    const yaml_event_type_t type = in->event.type;
    const bool value =
        type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
    /* The events of values begin with anchor and tag, that of an alias with the anchor. */
    const bool anchor = (value || type == YAML_ALIAS_EVENT) && in->event.data.scalar.anchor;
    if (anchor)
        return pv_layer_fail(in->layer, event_line(in), NULL,
                             "anchors (&) and aliases (*) are not used in a config");
    if (value && in->event.data.scalar.tag)
        return pv_layer_fail(in->layer, event_line(in), NULL, "tags (!) are not used in a config");
    return PV_OK;
}

static pv_status read_node(reader *in, const char *where, int depth, pv_node *node);

/* Takes the name at the current event, a key of a mapping, into the node, and moves past it. */
static pv_status read_name(reader *in, const char *where, const pv_node *mapping, pv_node *node)
{
    char text[PV_FOUND_MAX], copy[PV_SHOWN + 4];
    if (in->event.type != YAML_SCALAR_EVENT) {
        node->kind = in->event.type == YAML_SEQUENCE_START_EVENT ? PV_NODE_LIST : PV_NODE_MAPPING;
        return pv_layer_fail(in->layer, event_line(in), where, "a key must be a name, found %s",
                             pv_node_found(node, text));
    }
    node->name_line = event_line(in);
    node->name_length = in->event.data.scalar.length;
    node->name = copied(in->event.data.scalar.value, node->name_length);
    if (!node->name) return PV_ERR_NOMEM;
    for (const pv_node *other = mapping->first; other; other = other->next) {
        if (other == node || other->name_length != node->name_length ||
            memcmp(other->name, node->name, node->name_length) != 0)
            continue;
        snprintf(text, sizeof text, "%s%s%s", where ? where : "", where ? "." : "",
                 pv_shown(node->name, node->name_length, copy));
        return pv_layer_fail(in->layer, node->name_line, text, "given twice (first on line %zu)",
                             other->name_line);
    }
    return next(in);
}

/* Reads the entries of a list or a mapping, from behind its start up to its end. */
static pv_status read_entries(reader *in, const char *where, int depth, pv_node *parent)
{
    pv_status st = PV_OK;
    const bool mapping = parent->kind == PV_NODE_MAPPING;
    const yaml_event_type_t end = mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    pv_node **link = &parent->first;
    if (depth == DEEPEST)
        return pv_layer_fail(in->layer, event_line(in), where, "is nested deeper than any key of a config");
    for (int count = 0; in->event.type != end; count++) {
        if (count == MOST_ENTRIES)
            return pv_layer_fail(in->layer, event_line(in), where, "holds more than %d entries",
                                 MOST_ENTRIES);
        PV_ALLOC(*link, 1);
        if (mapping) PV_TRY(read_name(in, where, parent, *link));
        PV_TRY(read_node(in, where ? where : (*link)->name, depth + 1, *link));
        link = &(*link)->next;
    }
    st = next(in);
done:
    return st;
}

/* Reads the value at the current event into a zeroed node, and moves past it.  `where`: the section that
 * it is in. */
static pv_status read_node(reader *in, const char *where, int depth, pv_node *node)
{
    pv_status st = PV_OK;
    node->layer = in->layer;
    node->line = event_line(in);
    if (in->event.type == YAML_SCALAR_EVENT) {
        node->length = in->event.data.scalar.length;
        node->plain = in->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node->text = copied(in->event.data.scalar.value, node->length);
        return node->text ? next(in) : PV_ERR_NOMEM;
    }
    node->kind = in->event.type == YAML_SEQUENCE_START_EVENT ? PV_NODE_LIST : PV_NODE_MAPPING;
    char text[PV_FOUND_MAX];
    if (depth == 0 && !where && node->kind != PV_NODE_MAPPING)
        return pv_layer_fail(in->layer, node->line, NULL, "must be a mapping of keys to values, found %s",
                             pv_node_found(node, text));
    PV_TRY(next(in));
    st = read_entries(in, where, depth, node);
done:
    return st;
}

/* libyaml compares each directive with all before it: refused unread, a hostile file would take minutes. */
static pv_status refuse_directives(const reader *in)
{
    size_t line = 1;
    for (const char *at = in->text; *at; at++) {
        if (*at == '%' && (at == in->text || at[-1] == '\n' || at[-1] == '\r'))
            return pv_layer_fail(in->layer, line, NULL, "directives (%%) are not used in a config");
        line += *at == '\n';
    }
    return PV_OK;
}

/* Reads the one document of the text into *root; NULL: there is none. */
static pv_status read_document(reader *in, const char *where, int depth, pv_node **root)
{
    pv_status st = PV_OK;
    PV_TRY(next(in)); /* the start of the stream */
    PV_TRY(next(in));
    if (in->event.type == YAML_STREAM_END_EVENT) goto done; /* nothing but comments */
    PV_TRY(next(in));
    PV_ALLOC(*root, 1);
    PV_TRY(read_node(in, where, depth, *root));
    PV_TRY(next(in)); /* past the end of the document */
    if (in->event.type != YAML_STREAM_END_EVENT)
        st = pv_layer_fail(in->layer, event_line(in), NULL, "holds more than one YAML document");
done:
    return st;
}

/* Editors on Windows put a byte order mark in front, which libyaml takes for text once it is told
 * the encoding. */
static const char *after_mark(const char *text)
{
    static const char mark[] = "\xEF\xBB\xBF";
    return strncmp(text, mark, sizeof mark - 1) == 0 ? text + sizeof mark - 1 : text;
}

static pv_status read_text(const pv_layer *layer, const char *whole, const char *where, int depth,
                           pv_node **root)
{
    const char *const text = after_mark(whole);
    reader in = {.layer = layer, .text = text};
    pv_status st = refuse_directives(&in);
    if (st != PV_OK) return st;
    if (!yaml_parser_initialize(&in.parser))
        return pv_fail(PV_ERR_NOMEM, "out of memory while reading a config");
    yaml_parser_set_encoding(&in.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&in.parser, (const unsigned char *)text, strlen(text));
    st = read_document(&in, where, depth, root);
    yaml_event_delete(&in.event);
    yaml_parser_delete(&in.parser);
    return st;
}

/* Puts a node into a mapping of its own, where it is called so. */
static pv_status wrap(const char *name, size_t length, pv_node **node)
{
    pv_status st = PV_OK;
    pv_node *mapping = NULL;
    PV_ALLOC(mapping, 1);
    *mapping = (pv_node){.kind = PV_NODE_MAPPING, .layer = (*node)->layer, .first = *node};
    (*node)->name = copied(name, length);
    (*node)->name_length = length;
    if (!(*node)->name) st = PV_ERR_NOMEM;
    *node = mapping;
done:
    return st;
}

/* "fit.views=3": the value, in a mapping for every part of its key. */
static pv_status read_set(const pv_layer *layer, pv_node **root)
{
    pv_status st = PV_OK;
    const char *word = layer->set, *value = strchr(word, '=');
    char *head = NULL;
    if (!value || value == word)
        return pv_layer_fail(layer, 0, NULL, "must be key.path=value, as in fit.views=10");
    const size_t length = (size_t)(value - word), section = strcspn(word, ".=");
    if (!(head = copied(word, section))) return PV_ERR_NOMEM;
    PV_TRY(read_text(layer, value + 1, head, section < length ? 2 : 1, root));
    if (!*root && !(*root = pv_node_scalar(layer, NULL, ""))) PV_TRY(PV_ERR_NOMEM);
    if (section < length) PV_TRY(wrap(word + section + 1, length - section - 1, root));
    st = wrap(word, section, root);
done:
    free(head);
    return st;
}

pv_status pv_yaml_read(const pv_layer *layer, const char *text, pv_node **root)
{
    *root = NULL;
    const pv_status st = layer->file ? read_text(layer, text, NULL, 0, root) : read_set(layer, root);
    if (st == PV_OK) return PV_OK;
    pv_node_free(*root);
    *root = NULL;
    return st;
}
