/* Cross entropy and accuracy. */
#include "nn/core/pv_loss.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { BATCH = 2, CLASSES = 3 };

static const pv_real logits[BATCH * CLASSES] = {1, 2, 0, -1, (pv_real)0.5, 3};

static double probability(int row, int k)
{
    double sum = 0;
    for (int j = 0; j < CLASSES; j++)
        sum += exp((double)logits[row * CLASSES + j]);
    return exp((double)logits[row * CLASSES + k]) / sum;
}

static void hard_labels_give_minus_log_probability_and_its_gradient(void **state)
{
    (void)state;
    const int32_t labels[BATCH] = {0, 2};
    pv_real gradient[BATCH * CLASSES];
    const double loss = pv_cross_entropy(BATCH, CLASSES, logits, labels, 0.5, gradient);
    assert_true(fabs(loss + log(probability(0, 0)) + log(probability(1, 2))) < 1e-6);
    for (int i = 0; i < BATCH * CLASSES; i++) {
        const int row = i / CLASSES, k = i % CLASSES;
        assert_true(fabs((double)gradient[i] - 0.5 * (probability(row, k) - (labels[row] == k))) < 1e-6);
    }
    assert_true(pv_cross_entropy(BATCH, CLASSES, logits, labels, 0.5, NULL) == loss);
}

static void soft_labels_weigh_the_classes(void **state)
{
    (void)state;
    const pv_real targets[BATCH * CLASSES] = {(pv_real)0.25, (pv_real)0.75, 0, 0, (pv_real)0.5, 0};
    pv_real gradient[BATCH * CLASSES];
    const double loss = pv_cross_entropy_soft(BATCH, CLASSES, logits, targets, 1, gradient);
    const double truth =
        -0.25 * log(probability(0, 0)) - 0.75 * log(probability(0, 1)) - 0.5 * log(probability(1, 1));
    assert_true(fabs(loss - truth) < 1e-6);
    for (int i = 0; i < BATCH * CLASSES; i++) {
        const double mass = i < CLASSES ? 1 : 0.5; /* the second row's targets do not sum to 1 */
        const double slope = mass * probability(i / CLASSES, i % CLASSES) - (double)targets[i];
        assert_true(fabs((double)gradient[i] - slope) < 1e-6);
    }
}

static void one_hot_targets_equal_labels(void **state)
{
    (void)state;
    const int32_t labels[BATCH] = {1, 0};
    const pv_real targets[BATCH * CLASSES] = {0, 1, 0, 1, 0, 0};
    const double hard = pv_cross_entropy(BATCH, CLASSES, logits, labels, 1, NULL);
    assert_true(pv_cross_entropy_soft(BATCH, CLASSES, logits, targets, 1, NULL) == hard);
}

static void huge_logits_do_not_overflow_and_nan_is_reported(void **state)
{
    (void)state;
    const int32_t label = 0;
    pv_real row[2] = {(pv_real)1e30, (pv_real)-1e30}, gradient[2];
    assert_true(pv_cross_entropy(1, 2, row, &label, 1, gradient) == 0);
    assert_true(gradient[0] == 0 && gradient[1] == 0);
    row[1] = (pv_real)NAN;
    assert_true(isnan(pv_cross_entropy(1, 2, row, &label, 1, gradient)));
}

static void the_first_of_equal_logits_counts(void **state)
{
    (void)state;
    const pv_real tied[4] = {1, 1, 0, 2};
    assert_int_equal(pv_count_correct(2, 2, tied, (const int32_t[]){0, 1}), 2);
    assert_int_equal(pv_count_correct(2, 2, tied, (const int32_t[]){1, 1}), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_labels_give_minus_log_probability_and_its_gradient),
        cmocka_unit_test(soft_labels_weigh_the_classes),
        cmocka_unit_test(one_hot_targets_equal_labels),
        cmocka_unit_test(huge_logits_do_not_overflow_and_nan_is_reported),
        cmocka_unit_test(the_first_of_equal_logits_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
