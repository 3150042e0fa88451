/* The MLP baseline in double precision: gradients by finite differences, names, initialisation. */
#include "pv_model_subject.h"
#include "nn/pv_model_kinds.h"

#include <math.h>

enum { BATCH = 5, LAYERS = 2, WEIGHTS = 3 * 4 + 5 * 2 };

static const int dims[] = {2, 4, 2};

static void open(subject *s, pv_model_opts opts)
{
    opts.kind.plugin = &pv_model_mlp.plugin;
    subject_open(s, &opts, dims, LAYERS, BATCH, 0);
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
        subject_check_slopes(&s, 1);
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
