/* Ends the job where a collective call on a file does not return.
 *
 * Within one, no rank can tell the others that it has failed: HDF5 and MPI-IO then wait for it for ever.  A
 * thread of its own, which does without MPI, waits beside the call; after $POLYVIEW_PATIENCE seconds (300)
 * it says what was waited for and ends its process, and the launcher ends the others. */
#ifndef PV_WATCH_H
#define PV_WATCH_H

#include "parallel/pv_comm.h"

#include <pthread.h>

typedef struct pv_watch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool runs, done;
    int rank;
    const char *what, *path;
} pv_watch;

/* `what` is done with `path`: "opening"; both are borrowed until the end.  A rank alone is not watched.
 * Neither call is collective, and neither fails: without a thread the call goes unwatched. */
void pv_watch_begin(pv_watch *watch, const pv_comm *comm, const char *what, const char *path);
void pv_watch_end(pv_watch *watch);

#endif
