/* Dividing files into train, val and test: by a draw of each, which nothing else changes. */
#include "signal/pv_divide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { FILES = 1000, MORE = 1400 };

static uint64_t ids[MORE];

static int64_t count(int64_t n, const uint8_t *split, int wanted)
{
    int64_t found = 0;
    for (int64_t i = 0; i < n; i++)
        found += split[i] == wanted;
    return found;
}

static void shares_are_about_so_many(void **state)
{
    (void)state;
    uint8_t split[FILES];
    assert_int_equal(pv_divide(1, FILES, ids, 0.2, 0.1, split), PV_OK);
    assert_in_range(count(FILES, split, PV_SPLIT_TEST), 150, 250);
    assert_in_range(count(FILES, split, PV_SPLIT_VAL), 60, 140);
}

static void files_that_come_move_no_other(void **state)
{
    (void)state;
    uint8_t before[FILES], after[MORE];
    assert_int_equal(pv_divide(1, FILES, ids, 0.2, 0.1, before), PV_OK);
    assert_int_equal(pv_divide(1, MORE, ids, 0.2, 0.1, after), PV_OK);
    assert_memory_equal(before, after, FILES);
    assert_int_equal(pv_divide(2, FILES, ids, 0.2, 0.1, after), PV_OK);
    assert_memory_not_equal(before, after, FILES);
}

/* A store keeps numbers: they must mean what the shares meant. */
static void numbers_take_what_shares_took(void **state)
{
    (void)state;
    uint8_t by_share[FILES], by_number[FILES];
    assert_int_equal(pv_divide(1, FILES, ids, 0.2, 0.1, by_share), PV_OK);
    const double test = (double)count(FILES, by_share, PV_SPLIT_TEST);
    const double val = (double)count(FILES, by_share, PV_SPLIT_VAL);
    assert_int_equal(pv_divide(1, FILES, ids, test, val, by_number), PV_OK);
    assert_memory_equal(by_share, by_number, FILES);
    assert_int_equal(pv_divide(1, FILES, ids, 0.2, val, by_number), PV_OK);
    assert_memory_equal(by_share, by_number, FILES);
}

static void exactly_as_many_as_asked_for(void **state)
{
    (void)state;
    uint8_t split[FILES];
    assert_int_equal(pv_divide(1, FILES, ids, 900, 100, split), PV_OK);
    assert_int_equal(count(FILES, split, PV_SPLIT_TEST), 900);
    assert_int_equal(count(FILES, split, PV_SPLIT_VAL), 100);
    assert_int_equal(pv_divide(1, FILES, ids, 0, 0, split), PV_OK);
    assert_int_equal(count(FILES, split, PV_SPLIT_TRAIN), FILES);
    assert_int_equal(pv_divide(1, FILES, ids, 900, 101, split), PV_ERR_CONFIG);
    assert_non_null(strstr(pv_fail_message(), "signal.val asks for more"));
    assert_int_equal(pv_divide(1, FILES, ids, PV_ALL, 0, split), PV_ERR_CONFIG);
    assert_non_null(strstr(pv_fail_message(), "signal.test is all"));
    assert_int_equal(pv_divide(1, FILES, ids, 0.9, 0.9, split), PV_ERR_CONFIG);
    assert_non_null(strstr(pv_fail_message(), "signal.val is 0.9 and signal.test 0.9"));
}

int main(void)
{
    for (uint64_t i = 0; i < MORE; i++)
        ids[i] = (i + 1) * 0x9e3779b97f4a7c15;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_about_so_many),
        cmocka_unit_test(files_that_come_move_no_other),
        cmocka_unit_test(numbers_take_what_shares_took),
        cmocka_unit_test(exactly_as_many_as_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
