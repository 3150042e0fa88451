/* Progress of a long loop, with rate and time left: a bar on a terminal, as wide as that; elsewhere (in a
 * log, under mpirun or srun) a line every 10 seconds, and after ten minutes ever more seldom, down to every
 * 5 minutes. */
#ifndef PV_PROGRESS_H
#define PV_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_progress {
    const char *what; /* "fit" */
    const char *unit; /* "views" */
    int64_t total;
    double start, last; /* seconds, monotonic */
    int columns;        /* of the terminal; 0: there is none */
} pv_progress;

/* Local, all three: a process that does not speak (pv_log.h) draws nothing. */
void pv_progress_start(pv_progress *progress, const char *what, const char *unit, int64_t total);
/* Draws if it is time to.  Other lines may be printed in between. */
void pv_progress_update(pv_progress *progress, int64_t done);
void pv_progress_end(pv_progress *progress, int64_t done);

#endif
