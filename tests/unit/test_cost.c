/* The models of the collectives against counts made by hand, and against each other where they must agree. */
#include "plan/pv_cost.h"
#include "plan/pv_plan.h"
#include "run/pv_record.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const double US = 1e-6;

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-9 * fabs(expected))) fail_msg("%.12g, not %.12g", value, expected);
}

static pv_machine flat(int ranks)
{
    return (pv_machine){1, ranks, {1e-6, 1e-9}, {5e-6, 2e-9}};
}

static void one_rank_costs_nothing(void **state)
{
    (void)state;
    const pv_machine m = flat(1);
    for (int k = 0; k < PV_ALLREDUCE_KINDS; k++)
        assert_near(pv_cost_allreduce_by(&m, 1e6, (pv_allreduce_kind)k), 0);
    assert_near(pv_cost_fetch(&m, 1e6), 0);
    assert_near(pv_cost_counter_fetches(1000, 1), 0);
}

static void eight_ranks_by_hand(void **state)
{
    (void)state;
    const pv_machine m = flat(8);
    const double n = 1e6, sent = n * 1e-9;
    assert_near(pv_cost_allreduce_by(&m, n, PV_ALLREDUCE_TREE), 3 * (US + sent));
    assert_near(pv_cost_allreduce_by(&m, n, PV_ALLREDUCE_HALVING), 6 * US + 2 * sent * 7 / 8);
    assert_near(pv_cost_allreduce_by(&m, n, PV_ALLREDUCE_RING), 14 * US + 2 * sent * 7 / 8);
    assert_near(pv_cost_allreduce_by(&m, n, PV_ALLREDUCE_LEVELS), 6 * (US + sent));
    assert_near(pv_cost_fetch(&m, n), US + sent);
}

/* Two bytes a number between nodes; within a node four there and two back. */
static void a_narrow_wire_by_hand(void **state)
{
    (void)state;
    const pv_machine one = flat(8), apart = {4, 1, {1e-6, 1e-9}, {5e-6, 2e-9}},
                     both = {4, 8, {1e-6, 1e-9}, {5e-6, 2e-9}};
    const double n = 1e6, between = 4 * 5 * US + 2 * n / 2 * 3 / 4 * 2e-9;
    assert_near(pv_cost_narrow_allreduce(&one, n), pv_cost_allreduce(&one, n, NULL));
    assert_near(pv_cost_narrow_allreduce(&apart, n), between);
    assert_near(pv_cost_narrow_allreduce(&both, n), between + 6 * US + 1.5 * n * 7 / 8 * 1e-9);
}

static void latency_rules_small_messages_and_bandwidth_large_ones(void **state)
{
    (void)state;
    pv_allreduce_kind kind;
    const pv_machine m = flat(64), cluster = {64, 64, {1e-6, 1e-10}, {3e-6, 1e-10}};
    pv_cost_allreduce(&m, 8, &kind);
    assert_int_equal(kind, PV_ALLREDUCE_TREE);
    pv_cost_allreduce(&m, 1e8, &kind);
    assert_int_equal(kind, PV_ALLREDUCE_HALVING);
    pv_cost_allreduce(&cluster, 1e5, &kind);
    assert_int_equal(kind, PV_ALLREDUCE_LEVELS);
}

/* On every machine: what is chosen is the least, more bytes and more nodes never cost less. */
static void costs_are_monotone(void **state)
{
    (void)state;
    for (int nodes = 1; nodes <= 64; nodes *= 2)
        for (int a_node = 1; a_node <= 64; a_node *= 4)
            for (double bytes = 8; bytes < 1e9; bytes *= 10) {
                const pv_machine m = {nodes, a_node, {5e-7, 1e-10}, {2e-6, 2e-10}};
                const pv_machine larger = {2 * nodes, a_node, m.inside, m.between};
                const double cost = pv_cost_allreduce(&m, bytes, NULL);
                for (int k = 0; k < PV_ALLREDUCE_KINDS; k++)
                    assert_true(cost <= pv_cost_allreduce_by(&m, bytes, (pv_allreduce_kind)k));
                assert_true(cost <= pv_cost_allreduce(&m, 2 * bytes, NULL));
                assert_true(cost <= pv_cost_allreduce(&larger, bytes, NULL));
                assert_true(pv_cost_fetch(&m, bytes) <= pv_cost_fetch(&m, 2 * bytes));
            }
}

/* The rule of the queue, written out: every node draws half of an even share of what is left. */
static void the_counter_is_touched_rarely(void **state)
{
    (void)state;
    assert_near(pv_cost_counter_fetches(8, 2),
                6); /* 4 are given out; portions of 1, 1, 1, 1; two find nothing */
    for (int nodes = 2; nodes <= 1024; nodes *= 2) {
        const double items = 1e6, fetches = pv_cost_counter_fetches(items, nodes);
        assert_true(fetches >= 2 * nodes);
        assert_true(fetches <= nodes * (2 * log(items) + 4));
    }
}

static void the_parts_of_a_time_add_up(void **state)
{
    (void)state;
    const struct {
        double wall, files, mpi, busiest;
    } cases[] = {{10, 1, 2, 9}, {10, 0, 0, 10}, {10, 1, 5, 5}, {10, 0, 8, 10}, {10, 2, 1, 8.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pv_time_split s =
            pv_time_split_make(cases[i].wall, cases[i].files, cases[i].mpi, cases[i].busiest);
        assert_near(s.compute + s.files + s.communication + s.idle, s.wall);
        assert_true(s.communication >= 0 && s.idle >= 0);
    }
    /* A rank that does 9 of 10 s while the mean does 8: 1 s of waiting for it, 1 s that nobody could hide. */
    const pv_time_split s = pv_time_split_make(10, 1, 2, 9);
    assert_near(s.communication, 1);
    assert_near(s.idle, 1);
}

static const pv_figures figures = {.fit_step_s = 1e-4,
                                   .view_s = 1e-3,
                                   .fit_start_s = 0.1,
                                   .fit_start_io_s = 0.03,
                                   .fit_start_mpi_s = 0.02,
                                   .train_step_s = 1e-3,
                                   .train_sample_s = 1e-4,
                                   .gradient_bytes = 1e5,
                                   .small_reductions = 5,
                                   .small_bytes = 400,
                                   .eval_sample_s = 5e-5,
                                   .epoch_s = 0.01,
                                   .train_start_s = 0.2,
                                   .train_start_io_s = 0.05,
                                   .train_start_mpi_s = 0.04,
                                   .row_load_s = 1e-6,
                                   .row_io_s = 2e-6,
                                   .measured_nodes = 1,
                                   .measured_ranks_per_node = 1,
                                   .links = {1, 1, {1e-6, 1e-10}, {2e-6, 1e-10}},
                                   .counter_s = 2e-6,
                                   .open_rank_s = 2e-5,
                                   .spread = 0.02};

static const pv_workload work = {.rows = 6400,
                                 .steps = 1000,
                                 .params = 1185,
                                 .objects = 6400,
                                 .views = 1,
                                 .train_samples = 5120,
                                 .val_samples = 640,
                                 .test_samples = 640,
                                 .train_rows = 6400,
                                 .epochs = 10,
                                 .batch = 256};

static void a_fit_by_hand(void **state)
{
    (void)state;
    const pv_prediction one = pv_plan_fit(&figures, &work, 1, 1), four = pv_plan_fit(&figures, &work, 2, 2);
    /* Alone, a rank's time in MPI at the start is nobody's waiting. */
    assert_near(one.compute_s, 6400 * (1000 * 1e-4 + 1e-3) + 0.1 - 0.03);
    assert_near(four.compute_s, 1600 * (1000 * 1e-4 + 1e-3) + 0.1 - 0.03 - 0.02);
    assert_near(one.io_s, 0.03);
    assert_near(one.idle_s, 0);
    assert_true(four.idle_s > 0.02);
    assert_true(one.wall_s >= one.compute_s + 0.03 && one.wall_s < 1.001 * one.compute_s + 0.2);
    assert_true(four.wall_s > four.compute_s && four.wall_s < one.wall_s / 3.5);
    assert_true(one.low_s < one.wall_s && one.wall_s < one.high_s);
    assert_near(four.node_hours, 2 * four.wall_s / 3600);
    assert_near(one.compute_s + one.io_s + one.communication_s + one.idle_s, one.wall_s);
    assert_near(four.compute_s + four.io_s + four.communication_s + four.idle_s, four.wall_s);
}

static void a_training_by_hand(void **state)
{
    (void)state;
    const pv_prediction one = pv_plan_train(&figures, &work, 1, 1);
    const double steps = 10 * (20 * 1e-3 + 5120 * 1e-4), scored = (10 * 640 + 640) * 5e-5;
    assert_near(one.compute_s, steps + scored + 6400 * 1e-6 + 0.2 - 0.05);
    assert_near(one.io_s, 0.05 + 10 * 0.01 + 6400 * 2e-6);
    assert_near(one.communication_s + one.idle_s, 0);
    const pv_prediction two = pv_plan_train(&figures, &work, 1, 2);
    /* One rank writes at an epoch's end, and the other waits. */
    assert_near(two.io_s, 0.05 + 10 * 0.01 / 2 + 3200 * 2e-6 + figures.open_rank_s);
    assert_near(two.idle_s, 0.04 + 10 * 0.01 / 2);
    const pv_prediction many = pv_plan_train(&figures, &work, 16, 16);
    /* A batch of 256 over 256 ranks leaves a sample each; what is done a step remains. */
    assert_true(many.compute_s > 10 * 20 * 1e-3);
    assert_true(many.communication_s > 0);
    assert_near(many.compute_s + many.io_s + many.communication_s + many.idle_s, many.wall_s);
    assert_true(many.high_s / many.wall_s > one.high_s / one.wall_s); /* further from what was measured */
}

/* The sum of a gradient on 16 nodes goes on behind a backward pass that is long enough, but for its last
 * piece: half of that is counted, and the error bar covers the other half and none. */
static void a_gradient_hides_behind_backward(void **state)
{
    (void)state;
    pv_figures slow = figures, fast = figures;
    slow.train_sample_s = 1;
    fast.train_sample_s = 0;
    slow.small_reductions = fast.small_reductions = 0;
    slow.spread = fast.spread = 0;
    const pv_machine m = {16, 1, figures.links.inside, figures.links.between};
    const double all = pv_cost_allreduce(&m, 1e5, NULL), last = pv_cost_allreduce(&m, 1 << 16, NULL);
    const pv_prediction shown = pv_plan_train(&fast, &work, 16, 1),
                        hidden = pv_plan_train(&slow, &work, 16, 1);
    assert_near(shown.gradient_s, 200 * all);
    assert_near(hidden.gradient_s, 200 * (all + last) / 2);
    slow.gradient_bytes = 1 << 16;
    const pv_prediction sure = pv_plan_train(&slow, &work, 16, 1);
    const double bar = sure.high_s - sure.wall_s; /* in proportion to the wall time */
    assert_near(hidden.high_s - hidden.wall_s, bar * hidden.wall_s / sure.wall_s + 200 * (all - last) / 2);
}

/* What was measured on two ranks is what is predicted for them. */
static void a_measured_wait_comes_back(void **state)
{
    (void)state;
    pv_figures measured = figures;
    measured.measured_ranks_per_node = 2;
    measured.train_mpi_step_s = 3e-4;
    const pv_prediction two = pv_plan_train(&measured, &work, 1, 2);
    assert_near(two.communication_s + two.idle_s, 200 * 3e-4 + 0.04 + 10 * 0.01 / 2);
    const pv_prediction one = pv_plan_train(&measured, &work, 1, 1);
    assert_near(one.communication_s + one.idle_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rank_costs_nothing),
        cmocka_unit_test(eight_ranks_by_hand),
        cmocka_unit_test(a_narrow_wire_by_hand),
        cmocka_unit_test(latency_rules_small_messages_and_bandwidth_large_ones),
        cmocka_unit_test(costs_are_monotone),
        cmocka_unit_test(the_counter_is_touched_rarely),
        cmocka_unit_test(the_parts_of_a_time_add_up),
        cmocka_unit_test(a_fit_by_hand),
        cmocka_unit_test(a_training_by_hand),
        cmocka_unit_test(a_gradient_hides_behind_backward),
        cmocka_unit_test(a_measured_wait_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
