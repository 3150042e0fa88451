/* Lanes run in turn and in step; learning rates follow their schedules. */
#include "train/pv_lanes.h"
#include "train/pv_schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 8, ROUNDS = 5 };

typedef struct walk {
    pv_lanes *lanes;
    int count, meetings;
    double values[MOST], sums[MOST];
    int order[MOST * (ROUNDS + 1)], steps;
} walk;

/* A sum over lanes, as batch norm takes it: every lane sees what all have brought. */
static void add_up(void *context)
{
    walk *w = context;
    double sum = 0;
    for (int i = 0; i < w->count; i++)
        sum += w->values[i];
    for (int i = 0; i < w->count; i++)
        w->values[i] = sum;
    w->meetings++;
}

static void body(void *context, int lane)
{
    walk *w = context;
    double kept[1024]; /* lives on the lane's own stack across meetings */
    for (int i = 0; i < 1024; i++)
        kept[i] = lane + i;
    w->order[w->steps++] = lane;
    for (int round = 0; round < ROUNDS; round++) {
        w->values[lane] = lane + round;
        pv_lanes_meet(w->lanes);
        w->sums[lane] += w->values[lane];
        w->order[w->steps++] = lane;
    }
    for (int i = 0; i < 1024; i++)
        assert_true(kept[i] == lane + i);
}

static void lanes_run_in_step(void **state)
{
    (void)state;
    for (int count = 1; count <= MOST; count *= 2) {
        walk w = {.count = count};
        assert_int_equal(pv_lanes_new(count, &w.lanes), PV_OK);
        for (int repeat = 0; repeat < 2; repeat++) {
            w.meetings = w.steps = 0;
            memset(w.sums, 0, sizeof w.sums);
            pv_lanes_run(w.lanes, body, add_up, &w);
            assert_int_equal(w.meetings, ROUNDS);
            assert_int_equal(w.steps, count * (ROUNDS + 1));
            for (int i = 0; i < w.steps; i++)
                assert_int_equal(w.order[i], i % count);
            for (int i = 0; i < count; i++) /* sum over rounds of sum over lanes of lane + round */
                assert_true(w.sums[i] ==
                            ROUNDS * count * (count - 1) / 2.0 + count * ROUNDS * (ROUNDS - 1) / 2.0);
        }
        pv_lanes_free(w.lanes);
    }
}

static void rates_warm_up_and_fall_by_half_a_cosine(void **state)
{
    (void)state;
    const pv_train_opts opts = {
        .lr = 2, .batch = 256, .base_batch = 256, .warmup_steps = 4, .schedule = PV_RATE_COSINE};
    const double expected[] = {0.5, 1, 1.5, 2, 2, 1 + M_SQRT1_2, 1, 1 - M_SQRT1_2};
    for (int step = 0; step < 8; step++)
        assert_true(fabs(pv_schedule_rate(&opts, step, 8) - expected[step]) < 1e-12);
    assert_true(pv_schedule_rate(&opts, 8, 8) == 0);
    pv_train_opts constant = opts;
    constant.schedule = PV_RATE_CONSTANT;
    assert_true(pv_schedule_rate(&constant, 3, 8) == 2 && pv_schedule_rate(&constant, 7, 8) == 2);
    assert_true(pv_schedule_rate(&constant, 1, 8) == 1);
}

static void rates_follow_the_batch(void **state)
{
    (void)state;
    pv_train_opts opts = {.lr = 3, .batch = 1024, .base_batch = 256};
    assert_true(pv_schedule_rate(&opts, 0, 1) == 3);
    opts.lr_scaling = PV_RATE_LINEAR;
    assert_true(pv_schedule_rate(&opts, 0, 1) == 12);
    opts.lr_scaling = PV_RATE_SQRT;
    assert_true(pv_schedule_rate(&opts, 0, 1) == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_run_in_step),
        cmocka_unit_test(rates_warm_up_and_fall_by_half_a_cosine),
        cmocka_unit_test(rates_follow_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
