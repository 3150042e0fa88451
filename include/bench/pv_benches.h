/* The registry of benches: one line each. */
#ifndef PV_BENCHES_H
#define PV_BENCHES_H

#include "run/pv_command.h"

#define PV_BENCHES(X)                                                                                        \
    X(fit)                                                                                                   \
    X(store)                                                                                                 \
    X(train)                                                                                                 \
    X(align)                                                                                                 \
    X(comm)

#define PV_BENCH_EXTERN(name) extern const pv_command pv_bench_##name;
PV_BENCHES(PV_BENCH_EXTERN)

extern const pv_registry pv_benches;

#endif
