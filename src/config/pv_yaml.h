/* YAML text -> a tree of nodes that know their line, private to the config room. */
#ifndef PV_YAML_H
#define PV_YAML_H

#include "base/pv_status.h"

#include <stdbool.h>
#include <stddef.h>

/* Where text comes from, for messages: a file, the "key.path=value" of a --set, or (both NULL) the words
 * of a command. */
typedef struct pv_layer {
    const char *file, *set;
} pv_layer;

typedef enum pv_node_kind { PV_NODE_SCALAR, PV_NODE_LIST, PV_NODE_MAPPING } pv_node_kind;

typedef struct pv_node {
    pv_node_kind kind;
    const pv_layer *layer;
    size_t line; /* of the value */
    char *name;  /* of a mapping's entry; may hold NUL bytes, which no key has */
    size_t name_length, name_line;
    char *text; /* of a scalar */
    size_t length;
    bool plain;                   /* written without quotes */
    bool borrowed;                /* the text is not the node's: a word of the command line */
    struct pv_node *first, *next; /* entries; the next entry of what this one is in */
} pv_node;

enum { PV_SHOWN = 64, PV_FOUND_MAX = PV_SHOWN + 16, PV_CONFIG_TEXT_MAX = 1024 };

/* Reads a layer.  A file is a mapping, or nothing (*root NULL); "fit.views=3" of a --set gives {fit:
 * {views: 3}}. Owner: pv_node_free(*root).  Errors: PV_ERR_CONFIG (not YAML, or YAML that a config does
 * not use), PV_ERR_NOMEM. */
pv_status pv_yaml_read(const pv_layer *layer, const char *text, pv_node **root);

/* Safe on NULL; frees what follows it too. */
void pv_node_free(pv_node *node);

/* A scalar, as if read from `text`, which is borrowed; called `name` (NULL: no entry of a mapping).
 * Owner: pv_node_free.  Errors: NULL, no memory. */
pv_node *pv_node_scalar(const pv_layer *layer, const char *name, const char *text);

/* The entry of a mapping; NULL: none, or no mapping. */
pv_node *pv_node_find(const pv_node *mapping, const char *name);
bool pv_node_named(const pv_node *node, const char *name);
/* Whether it says nothing: null, ~, an empty value. */
bool pv_node_is_null(const pv_node *node);

/* What stands at a node, for messages; quotes tell that a number was written as a text. */
const char *pv_node_found(const pv_node *node, char text[PV_FOUND_MAX]);
/* A copy of at most PV_SHOWN bytes, fit for a message: whole UTF-8 characters, no control characters. */
const char *pv_shown(const char *bytes, size_t length, char copy[PV_SHOWN + 4]);

/* "config.yaml:7: fit.views: <message>", "--set fit.views=0: <message>", "--views: <message>".  line 0,
 * key NULL: not known.  Returns PV_ERR_CONFIG, PV_ERR_USAGE of words. */
pv_status pv_layer_fail(const pv_layer *layer, size_t line, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
