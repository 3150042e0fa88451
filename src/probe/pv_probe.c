/* The table of probes. */
#include "probe/pv_probe.h"

#define ENTRY(name) &pv_probe_##name.plugin,
const pv_registry pv_probes = {"probe", (const pv_plugin *const[]){PV_PROBES(ENTRY) NULL}};
