/* Models whose products have operands of bfloat16 beside the same models in float32: their losses and
 * gradients differ by the rounding of operands, and evaluation does not. */
#include "kernel_test.h"
#include "nn/core/pv_loss.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "pv_test_arch.h"

enum { CLASSES = 10, BATCH = 19, WEIGHTS = 1185, WIDTH = 32 };

static const int dims[] = {2, WIDTH, WIDTH, 1};

typedef struct trained {
    double loss;
    float *gradients, *drows, logits[BATCH * CLASSES];
    int64_t count;
} trained;

static void trained_free(trained *t)
{
    free(t->gradients);
    free(t->drows);
}

static trained train(const pv_model_opts *opts, bool narrow, bool training)
{
    trained t = {.loss = 0};
    pv_model_opts own = *opts;
    pv_model *model;
    own.narrow = narrow;
    assert_int_equal(pv_model_new(&own, pv_test_arch(dims, 3), CLASSES, BATCH, &model), PV_OK);
    pv_model_init(model, 4);
    float *rows = some((int64_t)BATCH * WEIGHTS, 3), dlogits[BATCH * CLASSES];
    int32_t labels[BATCH];
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % CLASSES;
    const pv_pass pass = {.training = true, .global_batch = BATCH, .seed = 1, .step = 2}, still = {0};
    pv_model_forward(model, &pass, rows, BATCH, t.logits);
    t.loss = pv_cross_entropy(BATCH, CLASSES, t.logits, labels, 1, dlogits);
    t.count = pv_model_count(model);
    t.gradients = calloc((size_t)t.count, sizeof *t.gradients);
    t.drows = calloc((size_t)BATCH * WEIGHTS, sizeof *t.drows);
    pv_model_backward(model, &pass, dlogits, t.drows);
    memcpy(t.gradients, pv_model_gradients(model), sizeof *t.gradients * (size_t)t.count);
    if (!training) pv_model_forward(model, &still, rows, BATCH, t.logits);
    free(rows);
    pv_model_free(model);
    return t;
}

static double distance(int64_t n, const float *a, const float *b)
{
    double apart = 0, length = 0;
    for (int64_t i = 0; i < n; i++) {
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        length += (double)b[i] * (double)b[i];
    }
    return sqrt(apart / length);
}

static void beside_float32(const char *what, const pv_model_opts *opts, double tolerance)
{
    trained narrow = train(opts, true, true), wide = train(opts, false, true);
    const double loss = fabs(narrow.loss - wide.loss) / wide.loss,
                 gradients = distance(wide.count, narrow.gradients, wide.gradients),
                 drows = distance((int64_t)BATCH * WEIGHTS, narrow.drows, wide.drows);
    print_message("%s: loss %.2e, gradients %.4f, of rows %.4f apart\n", what, loss, gradients, drows);
    assert_true(gradients > 1e-5); /* it is another arithmetic */
    assert_true(loss < tolerance && gradients < tolerance && drows < tolerance);
    trained_free(&narrow);
    trained_free(&wide);
}

static void unlike_in_training_only(const char *what, const pv_model_opts *opts, double tolerance)
{
    (void)tolerance;
    trained narrow = train(opts, true, false), wide = train(opts, false, false);
    print_message("%s\n", what);
    if (!opts->batch_norm) /* whose running statistics are of training */
        assert_memory_equal(narrow.logits, wide.logits, sizeof wide.logits);
    else
        assert_true(distance(BATCH * CLASSES, narrow.logits, wide.logits) < 0.05);
    trained_free(&narrow);
    trained_free(&wide);
}

/* Calls the test for every kind of model.  Gradients through maxima are apart by more than the rounding, for
 * where two numbers are close another one wins. */
static void everyone(void (*test)(const char *what, const pv_model_opts *opts, double tolerance))
{
    pv_dws_opts dws = {.fc_layers = 1, .out_fc = 1, .reduction = PV_POOL_MAX};
    pv_gnn_opts gnn = {.d_node = 32,
                       .d_edge = 16,
                       .d_attn = 32,
                       .d_node_hid = 32,
                       .d_edge_hid = 32,
                       .d_out_hid = 32,
                       .sin_emb = true,
                       .inp_factor = 1,
                       .input_layers = 1,
                       .modulate_v = true,
                       .use_ln = true};
    pv_scalegmn_opts scalegmn = {.direction = PV_DIRECTION_BOTH};
    pv_model_opts opts = {
        .kind = {&pv_model_dws.plugin, &dws}, .hidden = 32, .layers = 3, .heads = 8, .batch_norm = true};
    test("dws of words", &opts, 0.2);
    opts.dropout = 0.2;
    test("dws of words with dropout", &opts, 0.2);
    opts.dropout = 0;
    opts.hidden = 48;
    test("dws of floats", &opts, 0.15);
    opts.hidden = 32;
    dws.reduction = PV_POOL_MEAN;
    test("dws with means", &opts, 0.05);
    dws.set_layer = PV_SET_SAB;
    test("dws with attention", &opts, 0.1);
    opts = (pv_model_opts){.kind.plugin = &pv_model_mlp.plugin, .hidden = 64, .layers = 3};
    test("mlp", &opts, 0.1);
    opts = (pv_model_opts){.kind = {&pv_model_gnn.plugin, &gnn}, .layers = 2, .heads = 2};
    test("gnn", &opts, 0.15);
    opts = (pv_model_opts){.kind.plugin = &pv_model_tokens.plugin, .hidden = 32, .layers = 2, .heads = 4};
    test("tokens", &opts, 0.05);
    opts = (pv_model_opts){.kind = {&pv_model_scalegmn.plugin, &scalegmn}, .hidden = 32, .layers = 2};
    test("scalegmn", &opts, 0.1);
}

static void gradients_follow_those_of_float32(void **state)
{
    (void)state;
    everyone(beside_float32);
}

static void evaluation_is_in_float32(void **state)
{
    (void)state;
    everyone(unlike_in_training_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_follow_those_of_float32),
        cmocka_unit_test(evaluation_is_in_float32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
