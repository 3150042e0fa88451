/* The DWS classifier in double precision: gradients by finite differences, invariance, and that a batch may
 * be split. */
#include "pv_slopes.h"
#include "pv_test_arch.h"
#include "nn/core/pv_loss.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 4, CLASSES = 3, PAIR = 2, SHORT = 3, WIDE = 4, LONG = 5 };

static const double GRADIENT_TOLERANCE = 1e-6, EXACT = 1e-10;
static const int short_dims[] = {2, 4, 3, 3}, long_dims[] = {2, 3, 4, 3, 4, 2}, pair_dims[] = {5, 4, 3},
                 wide_dims[] = {11, 4, 3, 5, 2};

/* A classifier, rows, labels and a pass. */
typedef struct model_case {
    pv_model *model;
    pv_pass pass;
    int weights;
    double *rows, *drows, logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
} model_case;

static const int32_t labels[BATCH] = {0, 2, 1, 2};

static void open_model(model_case *c, const pv_model_opts *opts, const int *dims, int layers)
{
    *c = (model_case){.pass = {.training = true, .global_batch = BATCH, .seed = 3, .step = 9}};
    assert_int_equal(pv_model_new(opts, pv_test_arch(dims, layers), CLASSES, BATCH, &c->model), PV_OK);
    pv_model_init(c->model, 1);
    double *values = pv_test_noise(pv_model_count(c->model), 6);
    for (int64_t i = 0; i < pv_model_count(c->model); i++)
        pv_model_params(c->model)[i] += 0.2 * values[i];
    free(values);
    for (int i = 0; i < layers; i++)
        c->weights += (dims[i] + 1) * dims[i + 1];
    c->rows = pv_test_noise((int64_t)BATCH * c->weights, 7);
    c->drows = pv_test_noise((int64_t)BATCH * c->weights, 8);
}

static void close_model(model_case *c)
{
    pv_model_free(c->model);
    free(c->rows);
    free(c->drows);
}

static double model_loss(void *context)
{
    model_case *c = context;
    pv_model_forward(c->model, &c->pass, c->rows, BATCH, c->logits);
    return pv_cross_entropy(BATCH, CLASSES, c->logits, labels, 1, c->dlogits);
}

static void check_model(const pv_model_opts *opts, const int *dims, int layers)
{
    model_case c;
    open_model(&c, opts, dims, layers);
    model_loss(&c);
    pv_model_backward(c.model, &c.pass, c.dlogits, c.drows);
    const pv_test_loss loss = {model_loss, &c};
    assert_true(pv_slopes_of(loss, c.rows, c.drows, (int64_t)BATCH * c.weights, 100) < GRADIENT_TOLERANCE);
    const pv_model_tensor *tensors = NULL;
    const int count = pv_model_tensors(c.model, &tensors);
    pv_slopes slopes = {0};
    for (int i = 0; i < count; i++)
        if (tensors[i].gradients)
            pv_slopes_add(&slopes, loss, tensors[i].values, tensors[i].gradients, tensors[i].count, 2);
    assert_true(pv_slopes_distance(slopes) < GRADIENT_TOLERANCE);
    close_model(&c);
}

static pv_model_opts plain(pv_dws_opts *own)
{
    *own = (pv_dws_opts){.reduction = PV_POOL_MEAN, .fc_layers = 1, .out_fc = 1};
    return (pv_model_opts){.kind = {&pv_model_dws.plugin, own}, .hidden = 4, .layers = 2};
}

static void model_gradients_are_slopes_for_every_reduction(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    for (int reduction = PV_POOL_MAX; reduction <= PV_POOL_SUM; reduction++) {
        own.reduction = (pv_pooling)reduction;
        opts.batch_norm = false;
        check_model(&opts, short_dims, SHORT);
        opts.batch_norm = true;
        check_model(&opts, long_dims, LONG);
    }
}

static void model_gradients_are_slopes_with_dropout_and_skips(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    opts.dropout = 0.3;
    check_model(&opts, short_dims, SHORT);
    opts.batch_norm = own.skip = own.layer_skip = true;
    own.fc_layers = own.out_fc = 2;
    check_model(&opts, short_dims, SHORT);
    own.diagonal = true;
    own.reduction = PV_POOL_MAX;
    check_model(&opts, long_dims, LONG);
    own.set_layer = PV_SET_SAB;
    opts.heads = 2;
    check_model(&opts, short_dims, SHORT);
}

/* The permutation of hidden layer `level` (1..L-1): a rotation, which is not its own inverse. */
static int permuted(const int *dims, int layers, int level, int unit)
{
    return level == 0 || level == layers ? unit : (unit + level) % dims[level];
}

/* Moves hidden units of every sample: rows in state_dict order. */
static void permute_rows(const int *dims, int layers, int weights, const double *rows, double *moved)
{
    for (int s = 0; s < BATCH; s++)
        for (int layer = 0, at = s * weights; layer < layers;
             at += (dims[layer] + 1) * dims[layer + 1], layer++)
            for (int o = 0; o < dims[layer + 1]; o++) {
                const int in = dims[layer], out = dims[layer + 1];
                const int to = permuted(dims, layers, layer + 1, o);
                for (int i = 0; i < in; i++)
                    moved[at + to * in + permuted(dims, layers, layer, i)] = rows[at + o * in + i];
                moved[at + in * out + to] = rows[at + in * out + o];
            }
}

static void check_invariance(const pv_model_opts *opts, const int *dims, int layers)
{
    model_case c;
    open_model(&c, opts, dims, layers);
    pv_model_forward(c.model, &c.pass, c.rows, BATCH, c.logits);
    permute_rows(dims, layers, c.weights, c.rows, c.drows);
    assert_true(pv_test_difference((int64_t)BATCH * c.weights, c.rows, c.drows) > 0.1);
    pv_model_forward(c.model, &c.pass, c.drows, BATCH, c.dlogits);
    assert_true(pv_test_difference((int64_t)BATCH * CLASSES, c.logits, c.dlogits) < EXACT);
    close_model(&c);
}

static void the_model_is_invariant(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    opts.batch_norm = own.skip = true;
    own.reduction = PV_POOL_MAX;
    check_invariance(&opts, long_dims, LONG);
    check_invariance(&opts, pair_dims, PAIR);
    own.set_layer = PV_SET_SAB;
    opts.heads = 4;
    check_invariance(&opts, long_dims, LONG);
    check_invariance(&opts, pair_dims, PAIR);
}

/* Wide inputs through the down-sampling layer; what is behind it never sees their number. */
static void inputs_are_sampled_down(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    own.downsample = 3;
    opts.batch_norm = own.skip = true;
    check_model(&opts, wide_dims, WIDE);
    check_invariance(&opts, wide_dims, WIDE);
    own.fc_layers = 2;
    own.reduction = PV_POOL_MAX;
    opts.batch_norm = false;
    check_model(&opts, (const int[]){9, 4, 3}, PAIR);
    own.downsample = 9;
    pv_model *model = NULL;
    assert_int_equal(pv_model_new(&opts, pv_test_arch((const int[]){9, 4, 3}, PAIR), CLASSES, BATCH, &model),
                     PV_ERR_CONFIG);
}

/* The classifiers 784-128-10 of images, and INRs of colour images and of shapes in space. */
static void the_usual_shapes_are_learned(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    own.reduction = PV_POOL_MAX;
    opts.batch_norm = true;
    check_model(&opts, (const int[]){2, 6, 6, 3}, SHORT);
    check_invariance(&opts, (const int[]){2, 6, 6, 3}, SHORT);
    check_model(&opts, (const int[]){3, 6, 5, 6, 6, 1}, LONG);
    check_invariance(&opts, (const int[]){3, 6, 5, 6, 6, 1}, LONG);
    own.downsample = 8;
    check_model(&opts, (const int[]){784, 128, 10}, PAIR);
    check_invariance(&opts, (const int[]){784, 128, 10}, PAIR);
}

static void dropout_is_off_in_evaluation(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    opts.dropout = 0.5;
    model_case c;
    open_model(&c, &opts, short_dims, SHORT);
    model_loss(&c);
    double first[BATCH * CLASSES];
    memcpy(first, c.logits, sizeof first);
    c.pass.step++;
    model_loss(&c);
    assert_true(pv_test_difference((int64_t)BATCH * CLASSES, first, c.logits) > 1e-6);
    c.pass.training = false;
    model_loss(&c);
    memcpy(first, c.logits, sizeof first);
    c.pass.step++;
    model_loss(&c);
    assert_true(pv_test_difference((int64_t)BATCH * CLASSES, first, c.logits) == 0);
    close_model(&c);
}

/* What two passes leave at a stage, summed and given back to both. */
static void meet(pv_batch_sums one, pv_batch_sums other)
{
    assert_int_equal(one.count, other.count);
    for (int i = 0; i < one.count; i++)
        one.values[i] = other.values[i] = one.values[i] + other.values[i];
}

static void run_in_step(model_case parts[2], const int count[2])
{
    pv_batch_sums sums[2];
    const int stages = pv_model_stages(parts[0].model);
    for (int stage = 0; stage < stages; stage++) {
        for (int i = 0; i < 2; i++) {
            const model_case *c = &parts[i];
            sums[i] =
                pv_model_forward_stage(c->model, &c->pass, stage, c->rows + c->pass.first_sample * c->weights,
                                       count[i], parts[i].logits);
        }
        meet(sums[0], sums[1]);
    }
    for (int i = 0; i < 2; i++)
        pv_cross_entropy(count[i], CLASSES, parts[i].logits, labels + parts[i].pass.first_sample, 1,
                         parts[i].dlogits);
    for (int stage = stages - 1; stage >= 0; stage--) {
        for (int i = 0; i < 2; i++)
            sums[i] = pv_model_backward_stage(parts[i].model, &parts[i].pass, stage, parts[i].dlogits,
                                              parts[i].drows);
        meet(sums[0], sums[1]);
    }
}

static void check_split(const pv_model_opts *opts, int first_part)
{
    model_case whole, parts[2];
    open_model(&whole, opts, short_dims, SHORT);
    model_loss(&whole);
    pv_model_backward(whole.model, &whole.pass, whole.dlogits, whole.drows);
    const int count[2] = {first_part, BATCH - first_part};
    for (int i = 0; i < 2; i++) {
        open_model(&parts[i], opts, short_dims, SHORT);
        parts[i].pass.first_sample = i ? first_part : 0;
    }
    run_in_step(parts, count);
    const int64_t params = pv_model_count(whole.model);
    double *sum = calloc((size_t)params, sizeof *sum);
    for (int i = 0; i < 2; i++) {
        const int64_t first = parts[i].pass.first_sample;
        assert_true(pv_test_difference((int64_t)count[i] * CLASSES, parts[i].logits,
                                       whole.logits + first * CLASSES) < EXACT);
        assert_true(pv_test_difference((int64_t)count[i] * whole.weights, parts[i].drows,
                                       whole.drows + first * whole.weights) < EXACT);
        for (int64_t k = 0; k < params; k++)
            sum[k] += pv_model_gradients(parts[i].model)[k];
    }
    assert_true(pv_test_difference(params, sum, pv_model_gradients(whole.model)) < 1e-9);
    free(sum);
    for (int i = 0; i < 2; i++)
        close_model(&parts[i]);
    close_model(&whole);
}

static void a_batch_may_be_split(void **state)
{
    (void)state;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    opts.batch_norm = true;
    opts.dropout = 0.2;
    own.skip = true;
    check_split(&opts, 1);
    check_split(&opts, 3);
    check_split(&opts, BATCH); /* the second pass has no rows, and leaves as much */
}

static void a_bad_model_is_refused_by_name(void **state)
{
    (void)state;
    pv_model *model = NULL;
    pv_dws_opts own;
    pv_model_opts opts = plain(&own);
    assert_int_equal(pv_model_new(&opts, pv_test_arch(short_dims, 1), CLASSES, BATCH, &model), PV_ERR_CONFIG);
    own.downsample = short_dims[0]; /* not below the inputs */
    assert_int_equal(pv_model_new(&opts, pv_test_arch(short_dims, SHORT), CLASSES, BATCH, &model),
                     PV_ERR_CONFIG);
    opts = plain(&own);
    own.set_layer = PV_SET_SAB;
    opts.heads = 3; /* of 4 features */
    assert_int_equal(pv_model_new(&opts, pv_test_arch(short_dims, SHORT), CLASSES, BATCH, &model),
                     PV_ERR_CONFIG);
    assert_null(model);
    pv_model_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_gradients_are_slopes_for_every_reduction),
        cmocka_unit_test(model_gradients_are_slopes_with_dropout_and_skips),
        cmocka_unit_test(the_model_is_invariant),
        cmocka_unit_test(inputs_are_sampled_down),
        cmocka_unit_test(the_usual_shapes_are_learned),
        cmocka_unit_test(dropout_is_off_in_evaluation),
        cmocka_unit_test(a_batch_may_be_split),
        cmocka_unit_test(a_bad_model_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
