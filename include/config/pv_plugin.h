/* Plug-ins as values: sources of signals, activations, architectures, tasks, augmentations, probes and
 * commands are each a const struct whose first member is a pv_plugin, in a file of its own, and one line in
 * the registry of its room.  For sources of signals, in a header and in one .c file:
 *
 *     typedef struct pv_source {
 *         pv_plugin plugin;
 *         pv_status (*open)(const void *own, ...);
 *     } pv_source;
 *     #define PV_SOURCES(X) X(idx) X(sine)
 *     #define PV_SOURCE_EXTERN(name) extern const pv_source pv_source_##name;
 *     PV_SOURCES(PV_SOURCE_EXTERN)
 *     extern const pv_registry pv_sources;
 *
 *     #define ENTRY(name) &pv_source_##name.plugin,
 *     const pv_registry pv_sources = {"source", (const pv_plugin *const[]){PV_SOURCES(ENTRY) NULL}};
 *
 * The section's row {PV_KEY(pv_signal_opts, source), .registry = &pv_sources, .initial = "idx"} then picks
 * one, and the reader gets it as (const pv_source *)opts->source.plugin, its own options as
 * opts->source.options. */
#ifndef PV_PLUGIN_H
#define PV_PLUGIN_H

#include "config/pv_option.h"

typedef struct pv_plugin {
    const char *name;  /* in configs and files */
    const char *alias; /* an older name, which is read as this one; NULL: none */
    const char *help;  /* one line */
    const pv_option
        *options; /* its own rows; their keys stand beside the common ones of the section; NULL: none */
    size_t options_size; /* of the struct that they fill */
} pv_plugin;

/* The rows of a plug-in, and the struct that they fill. */
#define PV_OWN(rows, owner) .options = (rows), .options_size = sizeof(owner)

typedef struct pv_registry {
    const char *what;                /* "source of signals" */
    const pv_plugin *const *plugins; /* NULL ends them */
} pv_registry;

/* By name or alias; NULL: none of that name. */
const pv_plugin *pv_plugin_find(const pv_registry *registry, const char *name);
/* The same where there has to be one.  Errors: PV_ERR_USAGE (says which was meant, or all that there are). */
pv_status pv_plugin_choose(const pv_registry *registry, const char *name, const pv_plugin **plugin);

#endif
