/* Gradients are final when backward leaves their stage; models can share parameters. */
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
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BATCH = 3, CLASSES = 4, LAYERS = 3, WEIGHTS = 3 * 5 + 6 * 6 + 7 * 1 };

static const int dims[] = {2, 5, 6, 1};
static const int32_t labels[BATCH] = {3, 0, 2};

static pv_dws_opts narrow = {.fc_layers = 1, .out_fc = 1},
                   deep = {.fc_layers = 2, .out_fc = 2, .skip = true, .layer_skip = true};
static pv_gnn_opts graph = {.d_node = 6,
                            .d_edge = 4,
                            .d_attn = 8,
                            .d_node_hid = 5,
                            .d_edge_hid = 5,
                            .d_out_hid = 7,
                            .sin_emb = true,
                            .inp_factor = 1,
                            .input_layers = 1,
                            .modulate_v = true,
                            .use_ln = true};

static pv_scalegmn_opts along = {.direction = PV_DIRECTION_FORWARD},
                        both_ways = {.direction = PV_DIRECTION_BOTH};
static pv_probe_opts probes = {.points = 3, .units = true};

static const pv_model_opts kinds[] = {
    {.kind = {&pv_model_dws.plugin, &narrow}, .hidden = 8, .layers = 2, .batch_norm = true},
    {.kind = {&pv_model_dws.plugin, &deep}, .hidden = 5, .layers = 1},
    {.kind.plugin = &pv_model_mlp.plugin, .hidden = 7, .layers = 2, .batch_norm = true},
    {.kind = {&pv_model_gnn.plugin, &graph}, .layers = 1, .heads = 2},
    {.kind.plugin = &pv_model_tokens.plugin, .hidden = 8, .layers = 1, .heads = 2},
    {.kind = {&pv_model_scalegmn.plugin, &along}, .hidden = 5, .layers = 1},
    {.kind = {&pv_model_scalegmn.plugin, &both_ways}, .hidden = 5, .layers = 1},
    {.kind = {&pv_model_probe.plugin, &probes}, .hidden = 7, .layers = 2, .batch_norm = true},
};

typedef struct subject {
    pv_model *model;
    int64_t count;
    pv_real rows[BATCH * WEIGHTS], logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
    pv_real *seen; /* [count] the gradients as they were when backward had left their stage */
} subject;

static void open(subject *s, const pv_model_opts *opts)
{
    *s = (subject){0};
    assert_int_equal(pv_model_new(opts, pv_test_arch(dims, LAYERS), CLASSES, BATCH, &s->model), PV_OK);
    pv_model_init(s->model, 1);
    s->count = pv_model_count(s->model);
    s->seen = malloc(sizeof *s->seen * (size_t)s->count);
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < BATCH * WEIGHTS; i++)
        s->rows[i] = (pv_real)pv_rng_normal(&rng);
}

static void close(subject *s)
{
    pv_model_free(s->model);
    free(s->seen);
}

static void step(subject *s)
{
    const pv_pass pass = {.training = true, .global_batch = BATCH};
    int64_t end = s->count;
    memset(pv_model_gradients(s->model), 0, sizeof(pv_real) * (size_t)s->count);
    pv_model_forward(s->model, &pass, s->rows, BATCH, s->logits);
    pv_cross_entropy(BATCH, CLASSES, s->logits, labels, 1.0 / BATCH, s->dlogits);
    for (int stage = pv_model_stages(s->model) - 1; stage >= 0; stage--) {
        const int64_t first = pv_model_stage_begin(s->model, stage);
        pv_model_backward_stage(s->model, &pass, stage, s->dlogits, NULL);
        assert_in_range(first, 0, end - 1);
        memcpy(s->seen + first, pv_model_gradients(s->model) + first,
               sizeof *s->seen * (size_t)(end - first));
        end = first;
    }
    assert_int_equal(end, 0);
}

static void gradients_of_a_stage_stay(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        subject s;
        open(&s, &kinds[k]);
        step(&s);
        assert_true(pv_model_stages(s.model) > kinds[k].layers);
        assert_memory_equal(s.seen, pv_model_gradients(s.model), sizeof *s.seen * (size_t)s.count);
        close(&s);
    }
}

static void models_share_parameters_but_not_gradients(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        subject owner, other;
        open(&owner, &kinds[k]);
        open(&other, &kinds[k]);
        pv_model_share_params(other.model, owner.model);
        pv_model_init(owner.model, 2);
        step(&owner);
        step(&other);
        assert_ptr_equal(pv_model_params(other.model), pv_model_params(owner.model));
        assert_ptr_not_equal(pv_model_gradients(other.model), pv_model_gradients(owner.model));
        assert_memory_equal(pv_model_gradients(other.model), pv_model_gradients(owner.model),
                            sizeof(pv_real) * (size_t)owner.count);
        assert_memory_equal(other.logits, owner.logits, sizeof owner.logits);
        close(&other);
        close(&owner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_a_stage_stay),
        cmocka_unit_test(models_share_parameters_but_not_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
