/* Amounts of objects in configs: numbers, shares and words, which read back the same. */
#include "run/pv_run_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* What signal.train is by a --set, and as it is written. */
static double amount(const char *set, const char *line)
{
    pv_run_config *config = NULL;
    char *text = NULL;
    assert_int_equal(pv_run_config_load("config.yaml", "", &set, 1, &config), PV_OK);
    assert_int_equal(pv_run_config_emit(config, &text), PV_OK);
    if (!strstr(text, line)) fail_msg("--set %s does not give '%s'", set, line);
    const double value = config->signal.train;
    free(text);
    pv_run_config_free(config);
    return value;
}

static void numbers_shares_and_words_are_amounts(void **state)
{
    (void)state;
    assert_true(amount("signal.train=55000", "\n  train: 55000\n") == 55000);
    assert_true(amount("signal.train=0", "\n  train: 0\n") == 0);
    assert_true(amount("signal.train=1", "\n  train: 1\n") == 1);
    assert_true(amount("signal.train=20.0", "\n  train: 20\n") == 20);
    assert_true(amount("signal.train=0.125", "\n  train: 0.125\n") == 0.125);
    assert_true(amount("signal.train=all", "\n  train: all\n") == PV_ALL);
    assert_true(amount("signal.train=\"all\"", "\n  train: all\n") == PV_ALL);
    assert_true(amount("signal.train=usual", "\n  train: usual\n") == PV_USUAL);
}

static void other_words_are_refused(void **state)
{
    (void)state;
    static const char *const sets[] = {"signal.train=1.5", "signal.train=-1",  "signal.train=2e12",
                                       "signal.train=1.0", "signal.train=1e0", "signal.train=\"1\"",
                                       "signal.train=al",  "signal.train=[1]"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        pv_run_config *config = NULL;
        assert_int_equal(pv_run_config_load("config.yaml", "", &sets[i], 1, &config), PV_ERR_CONFIG);
        assert_non_null(strstr(pv_fail_message(), sets[i]));
        assert_non_null(strstr(pv_fail_message(), "must be an amount (a whole number up to 1e+12, a share "
                                                  "below 1, all, usual), found "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_shares_and_words_are_amounts),
        cmocka_unit_test(other_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
