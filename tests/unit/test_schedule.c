/* Learning rates follow their schedules. */
#include "train/pv_train_opts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void rates_warm_up_and_fall_by_half_a_cosine(void **state)
{
    (void)state;
    const pv_train_opts opts = {
        .lr = 2, .batch = 256, .base_batch = 256, .warmup_steps = 4, .schedule = PV_RATE_COSINE};
    const double expected[] = {0.5, 1, 1.5, 2, 2, 1 + M_SQRT1_2, 1, 1 - M_SQRT1_2};
    for (int step = 0; step < 8; step++)
        assert_true(fabs(pv_train_rate(&opts, step, 8) - expected[step]) < 1e-12);
    assert_true(pv_train_rate(&opts, 8, 8) == 0);
    pv_train_opts constant = opts;
    constant.schedule = PV_RATE_CONSTANT;
    assert_true(pv_train_rate(&constant, 3, 8) == 2 && pv_train_rate(&constant, 7, 8) == 2);
    assert_true(pv_train_rate(&constant, 1, 8) == 1);
}

static void rates_follow_the_batch(void **state)
{
    (void)state;
    pv_train_opts opts = {.lr = 3, .batch = 1024, .base_batch = 256};
    assert_true(pv_train_rate(&opts, 0, 1) == 3);
    opts.lr_scaling = PV_RATE_LINEAR;
    assert_true(pv_train_rate(&opts, 0, 1) == 12);
    opts.lr_scaling = PV_RATE_SQRT;
    assert_true(pv_train_rate(&opts, 0, 1) == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_warm_up_and_fall_by_half_a_cosine),
        cmocka_unit_test(rates_follow_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
