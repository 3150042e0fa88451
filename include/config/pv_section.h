/* Sections of rows, and a schema: all sections of a config put together. */
#ifndef PV_SECTION_H
#define PV_SECTION_H

#include "config/pv_option.h"

/* A section of a config: a mapping of its rows' keys, or a list of such mappings (items).  A key of a
 * plug-in that is not picked is checked and left alone in a mapping, since a later --set may pick it; in
 * an item, which says its kind itself, it may hold the default only, as older files do. */
typedef struct pv_section {
    const char *name; /* "" : keys of the top level */
    const char *meaning;
    const pv_option *options;
    size_t offset;       /* of its struct in the config; of a list: of the pointer to its items */
    size_t item_size;    /* of a list: bytes of an item; 0: a mapping */
    size_t count;        /* of a list: offset of its unsigned number of items */
    int most;            /* items of a list */
    const char *example; /* of an item: "{kind: noise}" */
} pv_section;

typedef struct pv_schema {
    const pv_section *sections; /* that of the top level first; a zero section ends them */
    size_t size;                /* of the config's struct */
} pv_schema;

#endif
