/* The list of sources. */
#include "signal/pv_source.h"

#define ENTRY(name) &pv_source_##name.plugin,
const pv_registry pv_sources = {"source of signals", (const pv_plugin *const[]){PV_SOURCES(ENTRY) NULL}};
