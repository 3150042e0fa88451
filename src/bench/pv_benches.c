/* The table of benches. */
#include "bench/pv_benches.h"

#include <stddef.h>

#define ENTRY(name) &pv_bench_##name,
const pv_command *const pv_benches[] = {PV_BENCHES(ENTRY) NULL};
