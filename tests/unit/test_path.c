/* What paths that users write resolve to. */
#include "base/pv_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[64], start[4096];

/* An empty directory to work in, with a file `data/real.h5`. */
static int set_up(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/pv-path-XXXXXX");
    if (!getcwd(start, sizeof start) || !mkdtemp(home) || chdir(home) != 0 || mkdir("data", 0777) != 0)
        return -1;
    FILE *const file = fopen("data/real.h5", "w");
    return file ? fclose(file) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return chdir(start) != 0 || system(command) != 0;
}

/* That `path` resolves to `expected`, below the working directory. */
static void resolves(const char *path, const char *expected)
{
    char *real = NULL, whole[4200];
    snprintf(whole, sizeof whole, "%s/%s", home, expected);
    assert_int_equal(pv_path_resolve(path, &real), PV_OK);
    assert_string_equal(real, whole);
    free(real);
}

static void refuses(const char *path, const char *words)
{
    char *real = NULL;
    assert_int_equal(pv_path_resolve(path, &real), PV_ERR_IO);
    assert_null(real);
    assert_non_null(strstr(pv_fail_message(), words));
}

static void a_plain_name_becomes_absolute(void **state)
{
    (void)state;
    resolves("data/real.h5", "data/real.h5");
    resolves("./data/../data//real.h5", "data/real.h5");
    resolves("new.h5", "new.h5");
    resolves("data/new name \xc3\xa9.h5", "data/new name \xc3\xa9.h5");
}

static void links_lead_to_what_they_name(void **state)
{
    (void)state;
    assert_int_equal(symlink("real.h5", "data/relative.h5"), 0);
    assert_int_equal(symlink("data/relative.h5", "twice.h5"), 0);
    assert_int_equal(symlink("data", "folder"), 0);
    resolves("data/relative.h5", "data/real.h5");
    resolves("twice.h5", "data/real.h5");
    resolves("folder/real.h5", "data/real.h5");
    resolves("folder/new.h5", "data/new.h5");
    resolves("folder/../data/real.h5", "data/real.h5");
}

static void a_dangling_link_names_the_file_that_will_be_made(void **state)
{
    (void)state;
    assert_int_equal(symlink("data/later.h5", "dangling.h5"), 0);
    assert_int_equal(symlink("dangling.h5", "dangling-twice.h5"), 0);
    assert_int_equal(symlink("../elsewhere.h5", "data/up.h5"), 0);
    resolves("dangling.h5", "data/later.h5");
    resolves("dangling-twice.h5", "data/later.h5");
    resolves("data/up.h5", "elsewhere.h5");
}

static void what_leads_nowhere_is_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(symlink("circle-b", "circle-a"), 0);
    assert_int_equal(symlink("circle-a", "circle-b"), 0);
    assert_int_equal(symlink("missing/later.h5", "dangling-far.h5"), 0);
    refuses("no/such/file.h5", "/no/such' does not exist");
    refuses("circle-a", "circle-a");
    refuses("dangling-far.h5", "/missing' does not exist");
    refuses("data/real.h5/below", "data/real.h5/below");
    refuses("", "an empty path");
}

static void a_hard_link_is_a_name_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(link("data/real.h5", "hard.h5"), 0);
    resolves("hard.h5", "hard.h5");
}

static void home_and_variables_are_expanded(void **state)
{
    (void)state;
    const struct {
        const char *path, *expected; /* NULL: refused */
    } cases[] = {
        {"~/s.h5", "/home/me/s.h5"},
        {"~", "/home/me"},
        {"/a~b", "/a~b"},
        {"~you/s.h5", NULL},
        {"$PV_RUN/s.h5", "/run 1/s.h5"},
        {"${PV_RUN}x", "/run 1x"},
        {"$PV_NOT_SET/s.h5", NULL},
        {"/cost$$5", "/cost$5"},
        {"a$", NULL},
        {"${PV_RUN", NULL},
        {"/plain", "/plain"},
    };
    setenv("HOME", "/home/me", 1);
    setenv("PV_RUN", "/run 1", 1);
    unsetenv("PV_NOT_SET");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = NULL;
        const pv_status st = pv_path_absolute(cases[i].path, &out);
        assert_int_equal(st, cases[i].expected ? PV_OK : PV_ERR_CONFIG);
        if (cases[i].expected)
            assert_string_equal(out, cases[i].expected);
        else
            assert_null(out);
        free(out);
    }
}

static void what_exists_is_taken_as_it_is_written(void **state)
{
    (void)state;
    fclose(fopen("$odd.h5", "w"));
    fclose(fopen("~", "w"));
    resolves("$odd.h5", "$odd.h5");
    resolves("~", "~");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_name_becomes_absolute),
        cmocka_unit_test(links_lead_to_what_they_name),
        cmocka_unit_test(a_dangling_link_names_the_file_that_will_be_made),
        cmocka_unit_test(what_leads_nowhere_is_refused_by_name),
        cmocka_unit_test(a_hard_link_is_a_name_of_its_own),
        cmocka_unit_test(home_and_variables_are_expanded),
        cmocka_unit_test(what_exists_is_taken_as_it_is_written),
    };
    return cmocka_run_group_tests_name("path", tests, set_up, tear_down);
}
