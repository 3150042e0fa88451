/* The logger: all human-readable output goes to stderr. */
#ifndef PV_LOG_H
#define PV_LOG_H

#include <stdbool.h>

/* Whether this process speaks (usually rank 0) and how much: 0 errors and warnings only, 1 normal, 2
 * detail. */
void pv_log_setup(bool speaks, int verbosity);

/* Changes how much, for a while; returns what it was.  Local. */
int pv_log_verbosity(int verbosity);

/* Whether this process speaks, and of so much.  Local. */
bool pv_log_speaks(int level);

/* Prints one line to stderr if this process speaks and the verbosity allows it.  Local. */
void pv_log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pv_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pv_log_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
