/* Every signal by which a run is asked to end is heard, and one that is ignored stays ignored. */
#include "base/pv_stop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* In a process of its own: whether the signal, handled so beforehand, asks for a stop. */
static int stopped_by(int number, void (*beforehand)(int))
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        signal(number, beforehand);
        pv_stop_install();
        if (pv_stop_requested()) _exit(2);
        raise(number);
        _exit(pv_stop_requested() ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void every_signal_that_ends_a_program_asks_for_a_stop(void **state)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(stopped_by(numbers[i], SIG_DFL), 1);
}

static void a_signal_that_is_ignored_stays_ignored(void **state)
{
    (void)state;
    assert_int_equal(stopped_by(SIGHUP, SIG_IGN), 0);
}

enum { HEARD = 1, DEFERRED = 2 };

/* In a process of its own: how it ends when the alarm after a signal comes, 0 where it lives on. */
static int ended_by_alarm(int kept_by)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        pv_stop_install();
        pv_stop_defer((kept_by & DEFERRED) != 0);
        raise(SIGTERM);
        if ((kept_by & HEARD) && !pv_stop_requested()) _exit(2);
        raise(SIGALRM);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_signal_that_nobody_heeds_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(ended_by_alarm(0), pv_status_exit_code(PV_STOPPED));
    assert_int_equal(ended_by_alarm(HEARD), 0);
    assert_int_equal(ended_by_alarm(DEFERRED), 0);
}

static void a_limit_that_nobody_heeds_ends_the_process_in_time(void **state)
{
    int status = 0;
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        pv_stop_install();
        raise(SIGALRM);
        if (alarm(1) > PV_STOP_PATIENCE_S) _exit(2); /* how long it would have waited */
        for (;;)
            pause();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), pv_status_exit_code(PV_STOPPED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_signal_that_ends_a_program_asks_for_a_stop),
        cmocka_unit_test(a_signal_that_is_ignored_stays_ignored),
        cmocka_unit_test(a_signal_that_nobody_heeds_ends_the_process),
        cmocka_unit_test(a_limit_that_nobody_heeds_ends_the_process_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
