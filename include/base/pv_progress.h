/* Progress of a long loop: a bar on a terminal, a line every 10 seconds in a log; with rate and time left. */
#ifndef PV_PROGRESS_H
#define PV_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_progress {
    const char *what;   /* "fit" */
    const char *unit;   /* "views" */
    int64_t total;      /* 0: unknown */
    double start, last; /* seconds, monotonic */
    bool terminal;
} pv_progress;

/* Local, all three: a process that does not speak (pv_log.h) draws nothing. */
void pv_progress_start(pv_progress *progress, const char *what, const char *unit, int64_t total);
/* Draws if it is time to. */
void pv_progress_update(pv_progress *progress, int64_t done);
void pv_progress_end(pv_progress *progress, int64_t done);

#endif
