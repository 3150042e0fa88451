/* What `reduce: ordered` rests on: the bits of a micro-batch depend on its rows and parameters alone, not on
 * which of the models that share the parameters computes it, for how many rows that was made, or what it
 * computed before. */
#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/probe/pv_probe_opts.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "pv_test_arch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { NETS = 60, CLASSES = 5, MOST = 13, ROOM = 40, MOST_LAYERS = 4, KINDS = 6 };

/* A random net over random INRs. */
typedef struct net {
    pv_model_opts opts;
    pv_dws_opts dws;
    pv_gnn_opts gnn;
    pv_scalegmn_opts scalegmn;
    pv_probe_opts probe;
    int dims[MOST_LAYERS + 1], layers, params;
} net;

static int draw(pv_rng *rng, int low, int high)
{
    return low + (int)pv_rng_below(rng, (uint64_t)(high - low + 1));
}

static net draw_net(pv_rng *rng)
{
    net n = {.layers = draw(rng, 2, MOST_LAYERS)};
    const bool wide = draw(rng, 0, 3) == 0;
    const int width = draw(rng, 3, 20);
    n.dims[0] = wide ? draw(rng, 30, 70) : draw(rng, 1, 3);
    for (int i = 1; i <= n.layers; i++) {
        n.dims[i] = i == n.layers ? draw(rng, 1, 3) : width;
        n.params += (n.dims[i - 1] + 1) * n.dims[i];
    }
    n.dws = (pv_dws_opts){.set_layer = (pv_set_layer)draw(rng, 0, 1),
                          .reduction = (pv_pooling)draw(rng, 0, 2),
                          .fc_layers = draw(rng, 1, 2),
                          .out_fc = draw(rng, 1, 2),
                          .skip = draw(rng, 0, 1),
                          .layer_skip = draw(rng, 0, 1),
                          .downsample = wide ? 4 : 0};
    n.probe = (pv_probe_opts){.points = draw(rng, 1, 9), .units = draw(rng, 0, 1)};
    n.gnn = (pv_gnn_opts){.d_node = 8,
                          .d_edge = 4,
                          .d_attn = 8,
                          .d_node_hid = 8,
                          .d_edge_hid = 8,
                          .d_out_hid = 8,
                          .inp_factor = 1,
                          .input_layers = 1,
                          .modulate_v = true,
                          .use_ln = true,
                          .rev_edge_features = draw(rng, 0, 1)};
    n.scalegmn.direction = (pv_direction)draw(rng, 0, 1);
    n.opts = (pv_model_opts){.kind.plugin = pv_model_kinds.plugins[draw(rng, 0, KINDS - 1)],
                             .hidden = 4 * draw(rng, 1, 9),
                             .layers = draw(rng, 1, 3),
                             .heads = 2,
                             .batch_norm = draw(rng, 0, 1),
                             .dropout = draw(rng, 0, 1) * 0.2};
    return n;
}

/* One training pass; the gradients are those of it alone. */
static void run(pv_model *model, int batch, const pv_real *rows, pv_real *logits)
{
    const pv_pass pass = {.training = true, .global_batch = batch, .first_sample = 7, .seed = 3, .step = 11};
    pv_real dlogits[ROOM * CLASSES];
    int32_t labels[ROOM];
    for (int i = 0; i < batch; i++)
        labels[i] = i % CLASSES;
    memset(pv_model_gradients(model), 0, sizeof(pv_real) * (size_t)pv_model_count(model));
    pv_model_forward(model, &pass, rows, batch, logits);
    pv_cross_entropy(batch, CLASSES, logits, labels, 1.0 / batch, dlogits);
    pv_model_backward(model, &pass, dlogits, NULL);
}

static void check(const net *n, int batch, pv_rng *rng)
{
    pv_model *tight = NULL, *roomy = NULL;
    pv_real *rows = calloc((size_t)(ROOM * n->params), sizeof *rows);
    pv_real one[ROOM * CLASSES], other[ROOM * CLASSES];
    assert_int_equal(pv_model_new(&n->opts, pv_test_arch(n->dims, n->layers), CLASSES, batch, &tight), PV_OK);
    assert_int_equal(pv_model_new(&n->opts, pv_test_arch(n->dims, n->layers), CLASSES, ROOM, &roomy), PV_OK);
    pv_model_init(tight, 5);
    pv_model_init(roomy, 6);
    pv_model_share_params(roomy, tight);
    for (int64_t i = 0; i < (int64_t)ROOM * n->params; i++)
        rows[i] = (pv_real)pv_rng_normal(rng);
    run(tight, batch, rows, one);
    run(roomy, ROOM, rows, other); /* leaves something behind in the workspace */
    assert_memory_not_equal(pv_model_gradients(tight), pv_model_gradients(roomy),
                            sizeof(pv_real) * (size_t)pv_model_count(tight));
    run(roomy, batch, rows, other);
    assert_memory_equal(one, other, sizeof *one * (size_t)(batch * CLASSES));
    assert_memory_equal(pv_model_gradients(tight), pv_model_gradients(roomy),
                        sizeof(pv_real) * (size_t)pv_model_count(tight));
    pv_model_free(roomy);
    pv_model_free(tight);
    free(rows);
}

static void a_micro_batch_has_the_same_bits_in_any_model(void **state)
{
    (void)state;
    int seen[KINDS] = {0};
    for (uint64_t i = 0; i < NETS; i++) {
        pv_rng rng = pv_rng_open(1, PV_RNG_TEST, i, 0);
        net n = draw_net(&rng);
        n.opts.kind.options = n.opts.kind.plugin == &pv_model_dws.plugin        ? (void *)&n.dws
                              : n.opts.kind.plugin == &pv_model_gnn.plugin      ? (void *)&n.gnn
                              : n.opts.kind.plugin == &pv_model_scalegmn.plugin ? (void *)&n.scalegmn
                              : n.opts.kind.plugin == &pv_model_probe.plugin    ? (void *)&n.probe
                                                                                : NULL;
        check(&n, draw(&rng, 1, MOST), &rng);
        for (int kind = 0; kind < KINDS; kind++)
            seen[kind] += pv_model_kinds.plugins[kind] == n.opts.kind.plugin;
    }
    for (int kind = 0; kind < KINDS; kind++)
        assert_true(seen[kind] > 0);
    assert_null(pv_model_kinds.plugins[KINDS]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_micro_batch_has_the_same_bits_in_any_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
