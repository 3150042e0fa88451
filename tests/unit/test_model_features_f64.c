/* The features of a model are what its last linear map was given: they and its tensors give the logits
 * again. */
#include "base/pv_rng.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model_kinds.h"
#include "pv_test_arch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BATCH = 5, CLASSES = 3, LAYERS = 3, WEIGHTS = 3 * 4 + 5 * 3 + 4 * 2 };

static const int dims[] = {2, 4, 3, 2};

/* Largest difference between the logits and weight features + bias; the last map's tensors are registered
 * last. */
static double difference(const pv_model *model, const pv_real *logits)
{
    const pv_model_tensor *tensors, *weight = NULL, *bias = NULL;
    const int count = pv_model_tensors(model, &tensors);
    for (int t = 0; t < count; t++) {
        if (!tensors[t].gradients) continue;
        if (tensors[t].rank == 2) weight = &tensors[t];
        if (tensors[t].rank == 1) bias = &tensors[t];
    }
    int width;
    const pv_real *features = pv_model_features(model, &width);
    assert_int_equal(weight->shape[0], CLASSES);
    assert_int_equal(weight->shape[1], width);
    double worst = 0;
    for (int i = 0; i < BATCH; i++)
        for (int c = 0; c < CLASSES; c++) {
            double value = (double)bias->values[c];
            for (int k = 0; k < width; k++)
                value += (double)weight->values[c * width + k] * (double)features[i * width + k];
            worst = fmax(worst, fabs(value - (double)logits[i * CLASSES + c]));
        }
    return worst;
}

static void features_give_the_logits(pv_model_opts opts)
{
    pv_model *model;
    pv_real rows[BATCH * WEIGHTS], logits[BATCH * CLASSES];
    const pv_pass pass = {.training = false, .global_batch = BATCH};
    pv_rng rng = pv_rng_open(2, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < BATCH * WEIGHTS; i++)
        rows[i] = (pv_real)pv_rng_normal(&rng);
    assert_int_equal(pv_model_new(&opts, pv_test_arch(dims, LAYERS), CLASSES, BATCH, &model), PV_OK);
    pv_model_init(model, 4);
    pv_model_forward(model, &pass, rows, BATCH, logits);
    assert_true(difference(model, logits) < 1e-12);
    pv_model_free(model);
}

static void dws(void **state)
{
    (void)state;
    for (int out_fc = 1; out_fc <= 2; out_fc++)
        features_give_the_logits(
            (pv_model_opts){.kind = {&pv_model_dws.plugin, &(pv_dws_opts){.fc_layers = 1, .out_fc = out_fc}},
                            .hidden = 4,
                            .layers = 1,
                            .batch_norm = true});
}

static void mlp(void **state)
{
    (void)state;
    features_give_the_logits((pv_model_opts){.kind.plugin = &pv_model_mlp.plugin, .hidden = 6, .layers = 2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dws), cmocka_unit_test(mlp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
