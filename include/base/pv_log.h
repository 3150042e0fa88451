/* The logger: all human-readable output goes to stderr.  It also keeps the message of the last failure
 * (pv_fail). */
#ifndef PV_LOG_H
#define PV_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this process speaks (usually rank 0) and how much: 0 errors and warnings only, 1 normal, 2 detail.
 */
void pv_log_setup(bool speaks, int verbosity);

/* Changes how much, for a while; returns what it was.  Local. */
int pv_log_verbosity(int verbosity);

/* Prints one line to stderr if this process speaks and the verbosity allows it.  Local. */
void pv_log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pv_log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void pv_log_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Progress of a long loop: a bar on a terminal, a line every 10 seconds in a log; with rate and time left. */
typedef struct pv_progress {
    const char *what;   /* "fit" */
    const char *unit;   /* "views" */
    int64_t total;      /* 0: unknown */
    double start, last; /* seconds, monotonic */
    bool terminal;
} pv_progress;

void pv_progress_start(pv_progress *progress, const char *what, const char *unit, int64_t total);
/* Draws if it is time to; `note` is appended ("21.3 dB"), NULL for none. */
void pv_progress_update(pv_progress *progress, int64_t done, const char *note);
void pv_progress_end(pv_progress *progress, int64_t done);

/* Monotonic seconds. */
double pv_seconds(void);

#endif
