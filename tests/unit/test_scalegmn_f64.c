/* The scale-equivariant graph network in double precision: gradients by finite differences, invariance under
 * permutations and signs of hidden units, and that the order and company of samples do not matter. */
#include "pv_model_subject.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, CLASSES = SUBJECT_CLASSES, LAYERS = 3, WEIGHTS = 3 * 4 + 5 * 3 + 4 * 2, WIDTH = 5 };

static const double EXACT = 1e-11, INVARIANT = 1e-10;
static const int dims[] = {2, 4, 3, 2};

static void open(subject *s, pv_direction direction, int layers, double dropout)
{
    pv_scalegmn_opts own = {.direction = direction};
    const pv_model_opts opts = {
        .kind = {&pv_model_scalegmn.plugin, &own}, .hidden = WIDTH, .layers = layers, .dropout = dropout};
    subject_open(s, &opts, dims, LAYERS, BATCH, 0.1);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int direction = PV_DIRECTION_FORWARD; direction <= PV_DIRECTION_BOTH; direction++)
        for (int layers = 1; layers <= 3; layers += 2) {
            subject s;
            open(&s, (pv_direction)direction, layers, 0);
            subject_check_slopes(&s, 9);
        }
}

static void gradients_are_slopes_under_dropout(void **state)
{
    (void)state;
    for (int direction = PV_DIRECTION_FORWARD; direction <= PV_DIRECTION_BOTH; direction++) {
        subject s;
        open(&s, (pv_direction)direction, 2, 0.3);
        subject_check_slopes(&s, 9);
    }
}

/* An INR without hidden units is a graph of inputs and outputs alone, and one with wide layers takes several
 * blocks of weights. */
static void any_shape_is_taken(void **state)
{
    (void)state;
    static const int shapes[][3] = {{3, 5, 0}, {1, 21, 1}, {31, 2, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        subject s;
        pv_scalegmn_opts own = {.direction = PV_DIRECTION_BOTH};
        const pv_model_opts opts = {
            .kind = {&pv_model_scalegmn.plugin, &own}, .hidden = 4, .layers = 2, .dropout = 0.2};
        subject_open(&s, &opts, shapes[i], shapes[i][2] ? 2 : 1, 2, 0.1);
        subject_check_slopes(&s, 9);
    }
}

/* Unit u of hidden layer `level` becomes unit (u + level) % width, with the sign (-1)^(u * level). */
static int moved(int level, int unit)
{
    return level == 0 || level == LAYERS ? unit : (unit + level) % dims[level];
}

static double sign(int level, int unit)
{
    return level > 0 && level < LAYERS && unit * level % 2 ? -1 : 1;
}

static void turn(const pv_real *row, bool signs, pv_real *out)
{
    for (int l = 0, at = 0; l < LAYERS; l++) {
        const int in = dims[l], width = dims[l + 1];
        for (int o = 0; o < width; o++) {
            const double own = signs ? sign(l + 1, o) : 1;
            for (int i = 0; i < in; i++)
                out[at + moved(l + 1, o) * in + moved(l, i)] =
                    row[at + o * in + i] * own * (signs ? sign(l, i) : 1);
            out[at + width * in + moved(l + 1, o)] = own * row[at + width * in + o];
        }
        at += width * (in + 1);
    }
}

/* A sine is odd: the INR of turned weights is the same function. */
static void logits_depend_neither_on_the_order_nor_on_the_signs_of_hidden_units(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        subject s;
        pv_real turned[BATCH * WEIGHTS], logits[BATCH * CLASSES], drows[BATCH * WEIGHTS];
        open(&s, i % 2 ? PV_DIRECTION_BOTH : PV_DIRECTION_FORWARD, 3, 0.4);
        s.pass.training = false;
        for (int b = 0; b < BATCH; b++)
            turn(s.rows + (ptrdiff_t)b * WEIGHTS, i / 2, turned + (ptrdiff_t)b * WEIGHTS);
        subject_loss(&s);
        pv_model_backward(s.model, &s.pass, s.dlogits, s.drows);
        pv_model_forward(s.model, &s.pass, turned, BATCH, logits);
        for (int k = 0; k < BATCH * CLASSES; k++)
            assert_true(fabs((double)(logits[k] - s.logits[k])) < INVARIANT);
        pv_model_backward(s.model, &s.pass, s.dlogits, drows);
        for (int b = 0; b < BATCH; b++) { /* gradients turn with the weights */
            turn(s.drows + (ptrdiff_t)b * WEIGHTS, i / 2, turned);
            for (int k = 0; k < WEIGHTS; k++)
                assert_true(fabs((double)(turned[k] - drows[b * WEIGHTS + k])) < INVARIANT);
        }
        pv_model_free(s.model);
    }
}

/* The sign of a bias without those of its unit's weights makes another function. */
static void logits_depend_on_the_weights(void **state)
{
    (void)state;
    subject s;
    pv_real logits[BATCH * CLASSES];
    open(&s, PV_DIRECTION_FORWARD, 2, 0);
    subject_loss(&s);
    s.rows[dims[0] * dims[1]] *= -1;
    pv_model_forward(s.model, &s.pass, s.rows, BATCH, logits);
    assert_true(fabs((double)(logits[0] - s.logits[0])) > 1e3 * INVARIANT);
    assert_true(fabs((double)(logits[CLASSES] - s.logits[CLASSES])) < EXACT);
    pv_model_free(s.model);
}

/* A sample's place in the batch fixes its draws; its company and the part it is in do not matter. */
static void a_batch_may_be_split(void **state)
{
    (void)state;
    subject s;
    pv_real logits[BATCH * CLASSES];
    open(&s, PV_DIRECTION_BOTH, 2, 0.4);
    subject_loss(&s);
    pv_model_backward(s.model, &s.pass, s.dlogits, NULL);
    const int64_t count = pv_model_count(s.model);
    pv_real *const whole = malloc(sizeof *whole * (size_t)count);
    memcpy(whole, pv_model_gradients(s.model), sizeof *whole * (size_t)count);
    memset(pv_model_gradients(s.model), 0, sizeof *whole * (size_t)count);
    for (int i = 0; i < BATCH; i++) {
        s.pass.first_sample = i;
        pv_model_forward(s.model, &s.pass, s.rows + (ptrdiff_t)i * WEIGHTS, 1,
                         logits + (ptrdiff_t)i * CLASSES);
        pv_model_backward(s.model, &s.pass, s.dlogits + (ptrdiff_t)i * CLASSES, NULL);
    }
    for (int i = 0; i < BATCH * CLASSES; i++)
        assert_true(fabs((double)(logits[i] - s.logits[i])) < EXACT);
    for (int64_t i = 0; i < count; i++)
        assert_true(fabs((double)(whole[i] - pv_model_gradients(s.model)[i])) < EXACT);
    s.pass.first_sample = 1;
    pv_model_forward(s.model, &s.pass, s.rows, 1, logits);
    assert_true(fabs((double)(logits[0] - s.logits[0])) > 1e-6);
    free(whole);
    pv_model_free(s.model);
}

static void too_many_layers_are_refused(void **state)
{
    (void)state;
    pv_model *model = NULL;
    pv_scalegmn_opts own = {.direction = PV_DIRECTION_FORWARD};
    const int wide[] = {784, 128, 10};
    pv_model_opts opts = {.kind = {&pv_model_scalegmn.plugin, &own}, .hidden = 2, .layers = 3};
    assert_int_equal(pv_model_new(&opts, pv_test_arch(wide, 2), CLASSES, 1, &model), PV_ERR_CONFIG);
    assert_null(model);
    opts.layers = 65;
    assert_int_equal(pv_model_new(&opts, pv_test_arch(dims, LAYERS), CLASSES, 1, &model), PV_ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(gradients_are_slopes_under_dropout),
        cmocka_unit_test(any_shape_is_taken),
        cmocka_unit_test(logits_depend_neither_on_the_order_nor_on_the_signs_of_hidden_units),
        cmocka_unit_test(logits_depend_on_the_weights),
        cmocka_unit_test(a_batch_may_be_split),
        cmocka_unit_test(too_many_layers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
