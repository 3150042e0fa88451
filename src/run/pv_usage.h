/* What the operating system says of this process and this node, private to the record. */
#ifndef PV_USAGE_H
#define PV_USAGE_H

#include <stdint.h>

/* User and system time of this process. */
double pv_usage_cpu_seconds(void);

/* The node's energy counter, -1 where there is none.  The counters are those that Slurm's own energy plugins
 * read: Cray's of the node, else RAPL's of the processor packages, where users may. */
int64_t pv_usage_joules(void);

#endif
