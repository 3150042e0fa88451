/* Ends the job where a collective call on a file does not return. */
#include "parallel/pv_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Rank 0 speaks for all unless it is gone. */
enum { PATIENCE_S = 300, LATER_S = 10 };

static int patience(void)
{
    const char *const wish = getenv("POLYVIEW_PATIENCE");
    const long seconds = wish ? strtol(wish, NULL, 10) : 0;
    return seconds > 0 && seconds < 1000000 ? (int)seconds : PATIENCE_S;
}

static void give_up(const pv_watch *watch)
{
    char host[256] = "?";
    gethostname(host, sizeof host - 1);
    fprintf(
        stderr,
        "polyview: error: rank %d on %s: %s '%s' has not ended within %d seconds: another rank could not, "
        "or the file system does not answer; nothing that was saved is lost: look at the file system, "
        "and start again (POLYVIEW_PATIENCE=seconds waits longer)\n",
        watch->rank, host, watch->what, watch->path, patience());
    _exit(pv_status_exit_code(PV_ERR_IO));
}

static void *wait_beside(void *context)
{
    pv_watch *const watch = context;
    struct timespec until;
    int waited = 0;
    clock_gettime(CLOCK_MONOTONIC, &until); /* the time of day may be set meanwhile */
    until.tv_sec += patience() + (watch->rank > 0 ? LATER_S : 0);
    pthread_mutex_lock(&watch->lock);
    while (!watch->done && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&watch->over, &watch->lock, &until);
    if (!watch->done) give_up(watch);
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

void pv_watch_begin(pv_watch *watch, const pv_comm *comm, const char *what, const char *path)
{
    *watch = (pv_watch){.rank = comm->rank, .what = what, .path = path};
    if (comm->size == 1) return;
    sigset_t all, before; /* signals are the main thread's */
    pthread_condattr_t steady;
    sigfillset(&all);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->over, &steady);
    pthread_condattr_destroy(&steady);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watch->runs = pthread_create(&watch->thread, NULL, wait_beside, watch) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void pv_watch_end(pv_watch *watch)
{
    if (!watch->runs) return;
    pthread_mutex_lock(&watch->lock);
    watch->done = true;
    pthread_cond_signal(&watch->over);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->over);
    pthread_mutex_destroy(&watch->lock);
}
