/* The options of learned probes. */
#ifndef PV_PROBE_OPTS_H
#define PV_PROBE_OPTS_H

#include <stdbool.h>

typedef struct pv_probe_opts {
    int points; /* that INRs are evaluated at */
    bool units; /* what hidden units are there is read, too */
} pv_probe_opts;

#endif
