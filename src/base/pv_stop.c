#include "base/pv_stop.h"

#include <signal.h>
#include <stddef.h>

/* A signal handler can reach nothing but a static flag. */
static volatile sig_atomic_t stop_flag;

static void on_signal(int number)
{
    (void)number;
    stop_flag = 1;
}

void pv_stop_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

bool pv_stop_requested(void)
{
    return stop_flag != 0;
}
