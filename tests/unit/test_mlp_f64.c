/* The MLP baseline in double precision: gradients by finite differences, names, initialisation. */
#include "pv_slopes.h"
#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 5, CLASSES = 3, LAYERS = 2, WEIGHTS = 3 * 4 + 5 * 2 };

static const int dims[] = {2, 4, 2};
static const int32_t labels[BATCH] = {0, 1, 2, 2, 1};

typedef struct subject {
    pv_model *model;
    pv_pass pass;
    pv_real rows[BATCH * WEIGHTS], drows[BATCH * WEIGHTS], logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
} subject;

static void open(subject *s, pv_model_opts opts)
{
    *s = (subject){.pass = {.training = true, .global_batch = BATCH, .seed = 1, .step = 2}};
    opts.kind.plugin = &pv_model_mlp.plugin;
    assert_int_equal(pv_model_new(&opts, dims, LAYERS, CLASSES, BATCH, &s->model), PV_OK);
    pv_model_init(s->model, 4);
    pv_rng rng = pv_rng_open(2, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < BATCH * WEIGHTS; i++)
        s->rows[i] = (pv_real)pv_rng_normal(&rng);
}

static double loss(void *context)
{
    subject *const s = context;
    pv_model_forward(s->model, &s->pass, s->rows, BATCH, s->logits);
    return pv_cross_entropy(BATCH, CLASSES, s->logits, labels, 1, s->dlogits);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        subject s;
        open(&s, (pv_model_opts){.hidden = 6,
                                 .layers = variant == 3 ? 0 : 2,
                                 .batch_norm = variant > 0,
                                 .dropout = variant > 1 ? 0.25 : 0});
        loss(&s);
        pv_model_backward(s.model, &s.pass, s.dlogits, s.drows);
        const pv_test_loss again = {loss, &s};
        const int64_t count = pv_model_count(s.model);
        assert_true(pv_slopes_of(again, s.rows, s.drows, BATCH * WEIGHTS, BATCH * WEIGHTS) < 1e-6);
        assert_true(pv_slopes_of(again, pv_model_params(s.model), pv_model_gradients(s.model), count, count) <
                    1e-6);
        pv_model_free(s.model);
    }
}

static void tensors_are_named_as_in_a_torch_sequential(void **state)
{
    (void)state;
    subject s;
    open(&s, (pv_model_opts){.hidden = 6, .layers = 1, .batch_norm = true});
    const char *names[] = {"seq.0.weight",       "seq.0.bias",        "seq.1.weight",
                           "seq.1.bias",         "seq.3.weight",      "seq.3.bias",
                           "seq.1.running_mean", "seq.1.running_var", "seq.1.num_batches_tracked"};
    const pv_model_tensor *tensors = NULL;
    const int count = pv_model_tensors(s.model, &tensors);
    assert_int_equal(count, 9);
    for (int i = 0; i < count; i++)
        assert_string_equal(tensors[i].name, names[i]);
    assert_int_equal(tensors[0].rank, 2);
    assert_int_equal(tensors[0].shape[0], 6);
    assert_int_equal(tensors[0].shape[1], WEIGHTS);
    pv_model_free(s.model);
}

static void initial_values_stay_within_their_bound_and_follow_the_seed(void **state)
{
    (void)state;
    subject s, again;
    open(&s, (pv_model_opts){.hidden = 6, .layers = 1});
    open(&again, (pv_model_opts){.hidden = 6, .layers = 1});
    const size_t bytes = sizeof(pv_real) * (size_t)pv_model_count(s.model);
    assert_memory_equal(pv_model_params(s.model), pv_model_params(again.model), bytes);
    pv_model_init(again.model, 5);
    assert_memory_not_equal(pv_model_params(s.model), pv_model_params(again.model), bytes);
    const pv_model_tensor *tensors = NULL;
    pv_model_tensors(s.model, &tensors);
    double largest = 0;
    for (int64_t i = 0; i < tensors[0].count; i++)
        largest = fmax(largest, fabs((double)tensors[0].values[i]));
    assert_true(largest <= 1 / sqrt(WEIGHTS) && largest > 0.9 / sqrt(WEIGHTS));
    pv_model_free(s.model);
    pv_model_free(again.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(tensors_are_named_as_in_a_torch_sequential),
        cmocka_unit_test(initial_values_stay_within_their_bound_and_follow_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
