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

/* Shows a text in the last line of a terminal, which the next text or line takes the place of; NULL: it
 * stays. */
void pv_log_bar(const char *text);

/* Prints one line to stderr if this process speaks, and of so much.  Local. */
void pv_log(int level, const char *prefix, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define pv_log_warn(...)   pv_log(0, "warning: ", __VA_ARGS__)
#define pv_log_info(...)   pv_log(1, "", __VA_ARGS__)
#define pv_log_detail(...) pv_log(2, "", __VA_ARGS__)

#endif
