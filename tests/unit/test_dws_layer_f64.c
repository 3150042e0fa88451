/* The DWS layer in double precision: gradients by finite differences, and equivariance. */
#include "pv_slopes.h"
#include "nn/dws/pv_dws_layer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 4, PAIR = 2, SHORT = 3, LONG = 5 };

static const double GRADIENT_TOLERANCE = 1e-6, EXACT = 1e-10;
static const int short_dims[] = {2, 4, 3, 3}, long_dims[] = {2, 3, 4, 3, 4, 2}, pair_dims[] = {5, 4, 3};

static double dot(int64_t n, const double *a, const double *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One layer, its input, and the functional <r, y> of its output. */
typedef struct layer_case {
    pv_dws_space space;
    pv_memory memory;
    pv_nn_params params;
    pv_dws_layer layer;
    int64_t inputs, outputs;
    double *x, *y, *r, *dx;
} layer_case;

static void open_layer(layer_case *c, const pv_dws_layer_opts *opts, const int *dims, int layers)
{
    *c = (layer_case){0};
    pv_nn_params_open(&c->params, &c->memory);
    assert_int_equal(pv_dws_space_set(&c->space, dims, layers, 1), PV_OK);
    assert_int_equal(pv_dws_layer_new(&c->layer, &c->space, &c->space, opts, BATCH, "", &c->params), PV_OK);
    assert_int_equal(pv_nn_params_close(&c->params), PV_OK);
    double *values = pv_test_noise(c->params.length, 1);
    memcpy(c->params.values, values, sizeof *values * (size_t)c->params.length);
    free(values);
    c->inputs = c->space.total[PV_MARGIN_FULL] * BATCH * opts->in;
    c->outputs = c->space.total[PV_MARGIN_FULL] * BATCH * opts->out;
    c->x = pv_test_noise(c->inputs, 2);
    c->r = pv_test_noise(c->outputs, 3);
    c->y = pv_test_noise(c->outputs, 4); /* rubbish: forward and backward must overwrite */
    c->dx = pv_test_noise(c->inputs, 5);
}

static void close_layer(layer_case *c)
{
    free(c->x);
    free(c->y);
    free(c->r);
    free(c->dx);
    pv_memory_free(&c->memory);
}

static void layer_forward(layer_case *c, const double *x)
{
    pv_dws_layer_pack(&c->layer);
    pv_dws_margins_pool(&c->layer.source, BATCH, x);
    pv_dws_layer_forward(&c->layer, BATCH, x, c->y, NULL);
}

static double layer_loss(void *context)
{
    layer_case *c = context;
    layer_forward(c, c->x);
    return dot(c->outputs, c->r, c->y);
}

static void check_layer(pv_dws_layer_opts opts, const int *dims, int layers)
{
    layer_case c;
    open_layer(&c, &opts, dims, layers);
    layer_loss(&c);
    const pv_dws_exit plain_exit = {.relu = false};
    pv_dws_layer_backward_begin(&c.layer);
    pv_dws_margins_pool(&c.layer.target, BATCH, c.r);
    pv_dws_layer_backward(&c.layer, BATCH, c.x, c.r, c.dx, &plain_exit);
    pv_dws_layer_backward_end(&c.layer);
    const pv_test_loss loss = {layer_loss, &c};
    assert_true(pv_slopes_of(loss, c.x, c.dx, c.inputs, 300) < GRADIENT_TOLERANCE);
    for (int i = 0; i < c.params.count; i++) {
        const pv_model_tensor *tensor = &c.params.tensors[i];
        pv_slopes slopes = {0};
        pv_slopes_add(&slopes, loss, tensor->values, tensor->gradients, tensor->count, 4);
        assert_true(sqrt(slopes.error) < GRADIENT_TOLERANCE * (sqrt(slopes.norm) + 1e-2));
    }
    close_layer(&c);
}

static void layer_gradients_are_slopes(void **state)
{
    (void)state;
    for (int reduction = PV_POOL_MAX; reduction <= PV_POOL_SUM; reduction++) {
        const pv_dws_layer_opts opts = {
            .in = 3, .out = 2, .fc_layers = 1, .reduction = (pv_pooling)reduction};
        check_layer(opts, short_dims, SHORT);
        check_layer(opts, long_dims, LONG);
    }
}

static void layer_gradients_are_slopes_with_deep_maps_and_skip(void **state)
{
    (void)state;
    pv_dws_layer_opts opts = {.in = 1, .out = 3, .fc_layers = 2, .reduction = PV_POOL_MEAN, .skip = true};
    check_layer(opts, short_dims, SHORT);
    opts.fc_layers = 3;
    check_layer(opts, long_dims, LONG);
    opts.diagonal = true;
    check_layer(opts, long_dims, LONG);
}

static void layer_gradients_are_slopes_with_attention(void **state)
{
    (void)state;
    pv_dws_layer_opts opts = {
        .in = 3, .out = 4, .fc_layers = 1, .set_layer = PV_SET_SAB, .heads = 2, .reduction = PV_POOL_MAX};
    check_layer(opts, short_dims, SHORT);
    opts.skip = true;
    opts.reduction = PV_POOL_MEAN;
    check_layer(opts, long_dims, LONG);
}

static void layer_gradients_are_slopes_for_two_matrices(void **state)
{
    (void)state;
    pv_dws_layer_opts opts = {.in = 2, .out = 4, .fc_layers = 1, .heads = 1, .reduction = PV_POOL_MAX};
    check_layer(opts, pair_dims, PAIR);
    opts.set_layer = PV_SET_SAB;
    check_layer(opts, pair_dims, PAIR);
}

/* The permutation of hidden layer `level` (1..L-1): a rotation, which is not its own inverse. */
static int permuted(const int *dims, int layers, int level, int unit)
{
    return level == 0 || level == layers ? unit : (unit + level) % dims[level];
}

/* Entry by entry: y[..p(r)..p(c)..] = x[..r..c..]. */
static void permute_set(const pv_dws_space *space, int f, const double *x, double *y)
{
    const int layers = space->layers;
    for (int t = 0; t < space->tensors; t++) {
        const int layer = t % layers;
        const bool weight = t < layers, first = t == 0;
        const int row_level = first || !weight ? layer + 1 : layer, col_level = first ? 0 : layer + 1;
        for (int s = 0; s < BATCH; s++)
            for (int r = 0; r < space->rows[t]; r++)
                for (int c = 0; c < space->cols[t]; c++) {
                    const bool sequence = !weight && layer < layers - 1;
                    const int to_r =
                        t == space->tensors - 1 ? r : permuted(space->dims, layers, row_level, r);
                    const int to_c = sequence ? c : permuted(space->dims, layers, col_level, c);
                    const int64_t base = pv_dws_at(space, t, PV_MARGIN_FULL, BATCH, s, f);
                    memcpy(y + base + ((int64_t)to_r * space->cols[t] + to_c) * f,
                           x + base + ((int64_t)r * space->cols[t] + c) * f, sizeof *x * (size_t)f);
                }
    }
}

static void check_equivariance(pv_dws_layer_opts opts, const int *dims, int layers)
{
    layer_case c;
    open_layer(&c, &opts, dims, layers);
    layer_forward(&c, c.x);
    double *expected = malloc(sizeof *expected * (size_t)c.outputs);
    permute_set(&c.space, opts.out, c.y, expected);
    permute_set(&c.space, opts.in, c.x, c.dx);
    assert_true(pv_test_difference(c.inputs, c.x, c.dx) > 0.1);
    layer_forward(&c, c.dx);
    assert_true(pv_test_difference(c.outputs, c.y, expected) < EXACT);
    free(expected);
    close_layer(&c);
}

static void the_layer_is_equivariant(void **state)
{
    (void)state;
    for (int reduction = PV_POOL_MAX; reduction <= PV_POOL_SUM; reduction++)
        for (int set_layer = PV_SET_DS; set_layer <= PV_SET_SAB; set_layer++) {
            const pv_dws_layer_opts opts = {.in = 3,
                                            .out = 2,
                                            .fc_layers = 2,
                                            .set_layer = (pv_set_layer)set_layer,
                                            .heads = 2,
                                            .reduction = (pv_pooling)reduction,
                                            .skip = true};
            check_equivariance(opts, long_dims, LONG);
            check_equivariance(opts, pair_dims, PAIR);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_gradients_are_slopes),
        cmocka_unit_test(layer_gradients_are_slopes_with_deep_maps_and_skip),
        cmocka_unit_test(layer_gradients_are_slopes_with_attention),
        cmocka_unit_test(layer_gradients_are_slopes_for_two_matrices),
        cmocka_unit_test(the_layer_is_equivariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
