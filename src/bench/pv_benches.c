/* The table of benches. */
#include "bench/pv_benches.h"

#define ENTRY(name) &pv_bench_##name.plugin,
const pv_registry pv_benches = {"bench", (const pv_plugin *const[]){PV_BENCHES(ENTRY) NULL}};
