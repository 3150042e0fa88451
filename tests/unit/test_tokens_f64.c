/* The transformer over rows in double precision: gradients by finite differences. */
#include "pv_slopes.h"
#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { BATCH = 2, CLASSES = 3, LAYERS = 3, WEIGHTS = 3 * 4 + 5 * 3 + 4 * 2 };

static const int dims[] = {2, 4, 3, 2};
static const int32_t labels[BATCH] = {0, 2};

typedef struct subject {
    pv_model *model;
    pv_pass pass;
    pv_real rows[BATCH * WEIGHTS], drows[BATCH * WEIGHTS], logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
} subject;

static void open(subject *s, double dropout, int heads, int width)
{
    const pv_model_opts opts = {.kind.plugin = &pv_model_tokens.plugin,
                                .hidden = width,
                                .layers = 2,
                                .heads = heads,
                                .dropout = dropout};
    *s = (subject){.pass = {.training = true, .global_batch = BATCH, .seed = 1, .step = 2}};
    assert_int_equal(pv_model_new(&opts, dims, LAYERS, CLASSES, BATCH, &s->model), PV_OK);
    pv_model_init(s->model, 4);
    pv_rng rng = pv_rng_open(2, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < BATCH * WEIGHTS; i++)
        s->rows[i] = (pv_real)pv_rng_normal(&rng);
    pv_real *const params = pv_model_params(s->model);
    for (int64_t i = 0; i < pv_model_count(s->model); i++)
        params[i] += (pv_real)(0.1 * pv_rng_normal(&rng));
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
    static const struct {
        double dropout;
        int heads, width;
    } cases[] = {{0, 1, 6}, {0, 3, 6}, {0.3, 2, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        subject s;
        open(&s, cases[i].dropout, cases[i].heads, cases[i].width);
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

static void heads_must_divide_the_width(void **state)
{
    (void)state;
    pv_model *model = NULL;
    const pv_model_opts opts = {.kind.plugin = &pv_model_tokens.plugin, .hidden = 6, .layers = 1, .heads = 4};
    assert_int_equal(pv_model_new(&opts, dims, LAYERS, CLASSES, BATCH, &model), PV_ERR_CONFIG);
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(heads_must_divide_the_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
