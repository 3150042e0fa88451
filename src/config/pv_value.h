/* What a row says about a value, private to the config room: checks, descriptions, nodes -> members of
 * structs. */
#ifndef PV_VALUE_H
#define PV_VALUE_H

#include "config/pv_plugin.h"
#include "pv_yaml.h"

/* The row of that name; NULL: none. */
const pv_option *pv_row_find(const pv_option *rows, const pv_node *named);
/* The plug-ins that a row picks from; NULL ends them. */
const pv_plugin *const *pv_plugins_of(const pv_option *row);

/* "integer", "number", "text", "boolean", "choice", "list of integers"; static storage. */
const char *pv_option_type_name(const pv_option *row);
/* "1..256", "> 0", "sgd, adam, adamw", ... */
void pv_option_limits(const pv_option *row, char *text, size_t size);

/* Whether a node holds a valid value of a row; `name` is the key's in the message.  Errors: PV_ERR_CONFIG. */
pv_status pv_option_check(const pv_option *row, const char *name, const pv_node *node);

/* Sets a row's member from a checked node, freeing what it held; a pick's own options get their defaults.
 * Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (a default). */
pv_status pv_option_set(const pv_option *row, const pv_node *node, void *options);

/* Entry i of a row that is a list, as text; false: it has none. */
bool pv_option_entry(const pv_option *row, const void *options, unsigned i, char *text, size_t size);

/* The place of a row's member. */
static inline void *pv_member(const pv_option *row, const void *options)
{
    return (char *)options + row->offset;
}

/* The pick that a row of that type stands for. */
static inline const pv_pick *pv_picked(const pv_option *row, const void *options)
{
    return pv_member(row, options);
}

/* Appends to a text of `size` bytes, leaving off what does not fit. */
void pv_append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The nearest of names within two changes of a letter; NULL: none.  `least` begins at PV_FAR and falls. */
enum { PV_FAR = 3 };
void pv_nearest(const char *name, const char *known, int *least, const char **nearest);

#endif
