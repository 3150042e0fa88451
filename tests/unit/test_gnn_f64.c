/* The relational transformer in double precision: gradients by finite differences, invariance under
 * permutations of hidden units, and that the order and company of samples do not matter. */
#include "pv_model_subject.h"
#include "pv_test_arch.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, CLASSES = SUBJECT_CLASSES, LAYERS = 3, WEIGHTS = 3 * 4 + 5 * 3 + 4 * 2 };

static const double EXACT = 1e-11;
static const int dims[] = {2, 4, 3, 2};

static const pv_gnn_opts plain = {.d_node = 6,
                                  .d_edge = 5,
                                  .d_attn = 6, /* three heads of two channels: not all are powers of two */
                                  .d_node_hid = 7,
                                  .d_edge_hid = 5,
                                  .d_out_hid = 4,
                                  .sin_emb = true,
                                  .inp_factor = 0.5,
                                  .input_layers = 1,
                                  .modulate_v = true,
                                  .use_ln = true};

static void open(subject *s, pv_gnn_opts gnn, int layers)
{
    const pv_model_opts opts = {.kind = {&pv_model_gnn.plugin, &gnn}, .layers = layers, .heads = 3};
    subject_open(s, &opts, dims, LAYERS, BATCH, 0.1);
}

static void check_slopes(pv_gnn_opts gnn, int layers)
{
    subject s;
    open(&s, gnn, layers);
    subject_check_slopes(&s, 3);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    check_slopes(plain, 3);
    check_slopes(plain, 1);
}

static void gradients_are_slopes_with_every_option(void **state)
{
    (void)state;
    pv_gnn_opts gnn = plain;
    gnn.rev_edge_features = true;
    gnn.input_layers = 3;
    gnn.modulate_v = false;
    gnn.graph_features = PV_GRAPH_MEAN;
    check_slopes(gnn, 2);
    gnn.sin_emb = false;
    gnn.use_ln = false;
    gnn.graph_features = PV_GRAPH_CLS_TOKEN;
    check_slopes(gnn, 3);
}

static void gradients_are_slopes_under_dropout(void **state)
{
    (void)state;
    pv_gnn_opts gnn = plain;
    gnn.dropout_node = 0.3;
    gnn.dropout_edge = 0.2;
    check_slopes(gnn, 3);
}

/* Unit u of hidden layer `level` becomes unit (u + level) % width. */
static int moved(int level, int unit)
{
    return level == 0 || level == LAYERS ? unit : (unit + level) % dims[level];
}

static void permute(const pv_real *row, pv_real *out)
{
    for (int l = 0, at = 0; l < LAYERS; l++) {
        const int in = dims[l], width = dims[l + 1];
        for (int o = 0; o < width; o++) {
            for (int i = 0; i < in; i++)
                out[at + moved(l + 1, o) * in + moved(l, i)] = row[at + o * in + i];
            out[at + width * in + moved(l + 1, o)] = row[at + width * in + o];
        }
        at += width * (in + 1);
    }
}

static void logits_do_not_depend_on_the_order_of_hidden_units(void **state)
{
    (void)state;
    for (int features = PV_GRAPH_CAT_LAST_LAYER; features <= PV_GRAPH_CLS_TOKEN; features++) {
        pv_gnn_opts gnn = plain;
        subject s;
        pv_real turned[BATCH * WEIGHTS], logits[BATCH * CLASSES];
        gnn.graph_features = (pv_graph_features)features;
        gnn.rev_edge_features = features == PV_GRAPH_MEAN;
        open(&s, gnn, 3);
        for (int i = 0; i < BATCH; i++)
            permute(s.rows + (ptrdiff_t)i * WEIGHTS, turned + (ptrdiff_t)i * WEIGHTS);
        s.pass.training = false;
        pv_model_forward(s.model, &s.pass, s.rows, BATCH, s.logits);
        pv_model_forward(s.model, &s.pass, turned, BATCH, logits);
        for (int i = 0; i < BATCH * CLASSES; i++)
            assert_true(fabs((double)(logits[i] - s.logits[i])) < EXACT);
        turned[0] += 1; /* and they do depend on the weights */
        pv_model_forward(s.model, &s.pass, turned, BATCH, logits);
        assert_true(fabs((double)(logits[0] - s.logits[0])) > 1e-6);
        pv_model_free(s.model);
    }
}

/* A sample's place in the batch fixes its draws; its company and the part it is in do not matter. */
static void a_batch_may_be_split(void **state)
{
    (void)state;
    pv_gnn_opts gnn = plain;
    subject s;
    pv_real logits[BATCH * CLASSES];
    gnn.dropout_node = gnn.dropout_edge = 0.4;
    open(&s, gnn, 3);
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
    /* the head's product of one row rounds otherwise in some BLAS */
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

static void heads_must_divide_the_width(void **state)
{
    (void)state;
    pv_model *model = NULL;
    pv_gnn_opts own = plain;
    const pv_model_opts opts = {.kind = {&pv_model_gnn.plugin, &own}, .layers = 2, .heads = 4};
    assert_int_equal(pv_model_new(&opts, pv_test_arch(dims, LAYERS), CLASSES, BATCH, &model), PV_ERR_CONFIG);
    assert_null(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(gradients_are_slopes_with_every_option),
        cmocka_unit_test(gradients_are_slopes_under_dropout),
        cmocka_unit_test(logits_do_not_depend_on_the_order_of_hidden_units),
        cmocka_unit_test(a_batch_may_be_split),
        cmocka_unit_test(heads_must_divide_the_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
