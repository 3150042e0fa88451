/* Early stop: signals and timers set a flag, and see that it is heeded. */
#include "base/pv_stop.h"
#include "base/pv_log.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

/* A signal handler can reach nothing but static flags. */
static volatile sig_atomic_t stop_flag, heard, deferred;

static void end_here(void)
{
    static const char words[] = "polyview: stopped: a signal or the time limit asked the run to stop, and "
                                "nothing was to be saved\n";
    if (pv_log_speaks(0) && write(STDERR_FILENO, words, sizeof words - 1) < 0) { /* nobody listens */
    }
    _exit(pv_status_exit_code(PV_STOPPED));
}

/* The first asks; alarms that follow see whether it was heard. */
static void on_signal(int number)
{
    if (stop_flag && number == SIGALRM && !heard && !deferred) end_here();
    if (!stop_flag || number == SIGALRM) alarm(PV_STOP_PATIENCE_S);
    if (!stop_flag) stop_flag = number;
}

void pv_stop_install(void)
{
    static const int asks[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        if (sigaction(asks[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* by nohup, say */
            sigaction(asks[i], &action, NULL);
}

void pv_stop_after(double hours)
{
    enum { HOUR_S = 3600, SECOND_US = 1000000 };
    const double seconds = hours * HOUR_S, whole = floor(seconds);
    const struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)whole, .tv_usec = (suseconds_t)((seconds - whole) * SECOND_US)}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

bool pv_stop_requested(void)
{
    if (stop_flag) heard = 1;
    return stop_flag != 0;
}

void pv_stop_defer(bool defers)
{
    deferred = defers;
}

pv_status pv_stop_check(void)
{
    return pv_stop_requested() ? pv_stop_fail() : PV_OK;
}

pv_status pv_stop_fail(void)
{
    return pv_fail(PV_STOPPED, stop_flag == SIGALRM ? "the time limit (--max-hours) is reached"
                                                    : "a signal asked the run to stop");
}
