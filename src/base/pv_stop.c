/* Early stop: signals and timers set a flag. */
#include "base/pv_stop.h"

#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

/* A signal handler can reach nothing but a static flag. */
static volatile sig_atomic_t stop_flag;

static void on_signal(int number)
{
    stop_flag = number;
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
    return stop_flag != 0;
}

pv_status pv_stop_fail(void)
{
    return pv_fail(PV_STOPPED, stop_flag == SIGALRM ? "the time limit (--max-hours) is reached"
                                                    : "a signal asked the run to stop");
}
