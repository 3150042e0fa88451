/* Progress on a terminal is one line, no wider than that, which other lines push down; in a log it is a line
 * now and then. */
#include "base/pv_log.h"
#include "base/pv_progress.h"

#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 4096, TOTAL = 400 };

/* A loop that has run for so many seconds, and drew the last time so long ago, is shown once more. */
static void show(double ran, double ago, int64_t done, const char *note)
{
    pv_progress progress;
    pv_progress_start(&progress, "fit", "views", TOTAL);
    progress.start -= ran;
    progress.last -= ago;
    pv_progress_update(&progress, done);
    if (note) pv_log_warn("%s", note);
    pv_progress_end(&progress, done);
}

/* What the loop writes to stderr where that is a terminal of so many columns; 0: a pipe. */
static void written(int columns, double ran, double ago, const char *note, char text[BYTES])
{
    struct winsize size = {.ws_col = (unsigned short)columns};
    int ends[2], before = dup(STDERR_FILENO);
    if (columns > 0)
        assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, &size), 0);
    else
        assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    show(ran, ago, TOTAL / 4, note);
    fputs("|", stderr); /* so that there is something to read */
    dup2(before, STDERR_FILENO);
    close(before);
    size_t length = 0;
    do {
        const ssize_t more = read(ends[0], text + length, BYTES - 1 - length);
        assert_true(more > 0);
        length += (size_t)more;
    } while (text[length - 1] != '|');
    text[length - 1] = '\0';
    close(ends[0]);
    close(ends[1]);
}

static void a_bar_is_wiped_and_drawn_anew_in_its_line(void **state)
{
    const char *const bar =
        "polyview: fit ######..................  25.0% (100/400 views) 1.0 views/s, 5 min left";
    char text[BYTES], expected[BYTES];
    (void)state;
    written(120, 100, 1, NULL, text);
    snprintf(expected, sizeof expected, "%s\r\033[K%s\r\n", bar, bar);
    assert_string_equal(text, expected);
}

static void a_line_that_is_printed_meanwhile_takes_the_place_of_the_bar(void **state)
{
    char text[BYTES];
    (void)state;
    written(120, 100, 1, "a note", text);
    assert_non_null(strstr(text, "5 min left\r\033[Kpolyview: warning: a note\r\npolyview: fit ######"));
}

static void a_bar_is_no_wider_than_the_terminal(void **state)
{
    (void)state;
    for (int columns = 1; columns < 300; columns++) {
        char text[BYTES];
        written(columns, 100, 1, NULL, text);
        const int most = columns - 1;
        assert_in_range(strcspn(text, "\r"), most < 60 ? most : 60, most);
        if (columns < 64) assert_null(strchr(text, '#'));
        if (columns > 68) assert_non_null(strchr(text, '#'));
    }
}

static void a_terminal_that_cannot_wipe_a_line_is_a_log(void **state)
{
    char text[BYTES];
    (void)state;
    setenv("TERM", "dumb", 1);
    written(120, 100, 11, NULL, text);
    setenv("TERM", "xterm", 1);
    assert_string_equal(text, "polyview: fit  25.0% (100/400 views) 1.0 views/s, 5 min left\r\n");
}

static void a_log_has_a_line_now_and_then(void **state)
{
    static const struct {
        double ran, ago;
        bool shown;
    } cases[] = {{100, 9.9, false}, {100, 10.1, true}, {3600, 59, false},
                 {3600, 61, true},  {1e6, 299, false}, {1e6, 301, true}};
    char text[BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        written(0, cases[i].ran, cases[i].ago, NULL, text);
        assert_int_equal(strncmp(text, "polyview: fit  25.0% (100/400 views) ", 37) == 0, cases[i].shown);
        assert_true(strchr(text, '\r') == NULL && strchr(text, '\033') == NULL);
    }
}

static void who_is_silent_draws_nothing(void **state)
{
    char text[BYTES];
    (void)state;
    pv_log_setup(true, 0);
    written(120, 100, 11, NULL, text);
    pv_log_setup(true, 1);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bar_is_wiped_and_drawn_anew_in_its_line),
        cmocka_unit_test(a_line_that_is_printed_meanwhile_takes_the_place_of_the_bar),
        cmocka_unit_test(a_bar_is_no_wider_than_the_terminal),
        cmocka_unit_test(a_terminal_that_cannot_wipe_a_line_is_a_log),
        cmocka_unit_test(a_log_has_a_line_now_and_then),
        cmocka_unit_test(who_is_silent_draws_nothing),
    };
    setenv("TERM", "xterm", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
