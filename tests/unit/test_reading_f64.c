/* Rows that are read as phasors: what they are, what they do not know, and every kind of model on them, in
 * double precision. */
#include "pv_model_subject.h"
#include "data/pv_row_form.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/gnn/pv_gnn_opts.h"
#include "nn/pv_model_kinds.h"
#include "nn/scalegmn/pv_scalegmn_opts.h"
#include "pv_test_arch.h"
#include "symmetry/pv_symmetry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, LAYERS = 3, PARAMS = 12 + 15 + 8, WIDTH = PARAMS + 7 };

static const double CLOSE = 1e-6, APART = 1e-5;
static const int dims[] = {2, 4, 3, 2};

static pv_gnn_opts gnn = {.d_node = 6,
                          .d_edge = 5,
                          .d_attn = 6,
                          .d_node_hid = 7,
                          .d_edge_hid = 5,
                          .d_out_hid = 4,
                          .sin_emb = true,
                          .inp_factor = 0.5,
                          .input_layers = 1,
                          .modulate_v = true,
                          .use_ln = true};
static pv_gnn_opts linear_gnn = {.d_node = 6,
                                 .d_edge = 5,
                                 .d_attn = 6,
                                 .d_node_hid = 7,
                                 .d_edge_hid = 5,
                                 .d_out_hid = 4,
                                 .input_layers = 2,
                                 .rev_edge_features = true,
                                 .graph_features = PV_GRAPH_MEAN};
static pv_scalegmn_opts along = {PV_DIRECTION_FORWARD}, both_ways = {PV_DIRECTION_BOTH};
static pv_dws_opts dws_max = {.reduction = PV_POOL_MAX, .fc_layers = 1, .out_fc = 1};
static pv_dws_opts dws_mean = {.reduction = PV_POOL_MEAN, .fc_layers = 2, .out_fc = 1};
static pv_dws_opts dws_sab = {.set_layer = PV_SET_SAB, .reduction = PV_POOL_SUM, .fc_layers = 1, .out_fc = 1};
static pv_dws_opts dws_down = {.reduction = PV_POOL_MEAN, .fc_layers = 1, .out_fc = 1, .downsample = 1};
static pv_dws_opts dws_diagonal = {.reduction = PV_POOL_MAX, .fc_layers = 1, .out_fc = 1, .diagonal = true};

/* Every kind that reads phasors; `orderly`, `signless`: the order, the signs of hidden units do not matter to
 * it. */
static const struct {
    pv_model_opts opts;
    bool orderly, signless;
} kinds[] = {
    {.opts = {.kind.plugin = &pv_model_mlp.plugin, .hidden = 6, .layers = 2, .batch_norm = true}},
    {.opts = {.kind.plugin = &pv_model_tokens.plugin, .hidden = 6, .layers = 2, .heads = 3}},
    {.opts =
         {.kind = {&pv_model_dws.plugin, &dws_max}, .hidden = 4, .layers = 2, .heads = 2, .batch_norm = true},
     .orderly = true},
    {.opts = {.kind = {&pv_model_dws.plugin, &dws_mean}, .hidden = 4, .layers = 2, .heads = 2},
     .orderly = true},
    {.opts = {.kind = {&pv_model_dws.plugin, &dws_sab}, .hidden = 4, .layers = 1, .heads = 2},
     .orderly = true},
    {.opts = {.kind = {&pv_model_dws.plugin, &dws_down}, .hidden = 4, .layers = 1, .heads = 2},
     .orderly = true},
    {.opts = {.kind = {&pv_model_dws.plugin, &dws_diagonal}, .hidden = 4, .layers = 1, .heads = 2},
     .orderly = true},
    {.opts = {.kind = {&pv_model_gnn.plugin, &gnn}, .layers = 2, .heads = 3}, .orderly = true},
    {.opts = {.kind = {&pv_model_gnn.plugin, &linear_gnn}, .layers = 2, .heads = 3}, .orderly = true},
    {.opts = {.kind = {&pv_model_scalegmn.plugin, &along}, .hidden = 5, .layers = 2},
     .orderly = true,
     .signless = true},
    {.opts = {.kind = {&pv_model_scalegmn.plugin, &both_ways}, .hidden = 5, .layers = 2},
     .orderly = true,
     .signless = true},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One bias is one in turns of half: with this w0 a phase is 1 but for float's pi, and rows of few digits
 * move by it without loss. */
static const pv_arch *grid_arch(void)
{
    static pv_arch arch;
    arch = *pv_test_arch(dims, LAYERS);
    arch.w0 = (float)M_PI;
    return &arch;
}

static void draw_row(uint64_t seed, float *row)
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < PARAMS; i++)
        row[i] = roundf(256 * (float)pv_rng_normal(&rng)) / 256;
}

static void phasors_stand_where_biases_stood(void **state)
{
    (void)state;
    const pv_arch *const arch = pv_test_arch(dims, LAYERS);
    float row[WIDTH], out[WIDTH];
    pv_arch_tensor raw[2 * LAYERS], tensors[2 * LAYERS];
    draw_row(1, row);
    assert_int_equal(pv_reading_count(arch, PV_READING_RAW), PARAMS);
    assert_int_equal(pv_reading_count(arch, PV_READING_PHASOR), WIDTH);
    assert_int_equal(pv_reading_layout(arch, PV_READING_PHASOR, tensors), 2 * LAYERS);
    pv_arch_layout(arch, raw);
    pv_reading_make(arch, PV_READING_PHASOR, row, out);
    for (int t = 0; t < 2 * LAYERS; t++)
        for (int i = 0; i < raw[t].rows * raw[t].cols; i++) {
            const double value = (double)row[raw[t].offset + i];
            const float *const to = out + tensors[t].offset;
            if (t % 2 && t < 2 * LAYERS - 2) {
                assert_true(fabs((double)to[2 * i] - cos(30 * value)) < 1e-7);
                assert_true(fabs((double)to[2 * i + 1] - sin(30 * value)) < 1e-7);
            } else {
                assert_true(to[i] == (t < 2 * LAYERS - 2 ? (float)(30 * value) : (float)value));
            }
        }
    pv_reading_make(arch, PV_READING_PHASOR, row, row);
    assert_memory_equal(row, out, sizeof out);
    draw_row(1, row);
    pv_reading_make(arch, PV_READING_RAW, row, out);
    assert_memory_equal(row, out, sizeof *row * PARAMS);
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        subject s;
        pv_model_opts opts = kinds[k].opts;
        opts.features = PV_READING_PHASOR;
        subject_open(&s, &opts, dims, LAYERS, BATCH, 0.1);
        assert_int_equal(s.weights, WIDTH);
        subject_check_slopes(&s, 3);
    }
}

/* How an INR is moved, and what a form takes away of it. */
typedef enum move { TURNS, PHASES, SIGNS, SIGNS_AND_TURNS, SIGNS_AND_PHASES, ORDER } move;

static void draw_move(const pv_arch *arch, move what, pv_symmetry *symmetry)
{
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, 1, 0);
    const bool turns = what == TURNS || what == SIGNS_AND_TURNS;
    if (what == ORDER) pv_symmetry_draw_permutation(arch, &rng, symmetry);
    if (what >= SIGNS && what < ORDER) pv_symmetry_draw_signs(arch, 0.5, &rng, symmetry);
    if (what != SIGNS && what != ORDER) pv_symmetry_draw_phases(arch, -1, 1, &rng, symmetry);
    for (int u = 0; turns && u < pv_symmetry_units(arch); u++)
        symmetry->phase[u] *= 2;
}

/* The largest difference that a move makes to a model's logits on rows in a form. */
static double moved(const pv_model_opts *kind, pv_reading features, pv_canonical canonical, move what)
{
    const pv_arch *const arch = grid_arch();
    const pv_row_form_opts opts = {.features = features, .canonical = canonical};
    pv_model_opts reads = *kind;
    pv_row_form form;
    pv_symmetry by, to;
    subject s;
    pv_real first[BATCH * SUBJECT_CLASSES];
    double most = 0;
    reads.features = features;
    subject_open(&s, &reads, dims, LAYERS, BATCH, 0.1);
    s.pass.training = false;
    assert_int_equal(pv_row_form_make(&opts, arch, &form), PV_OK);
    assert_int_equal(pv_symmetry_make(arch, &by), PV_OK);
    assert_int_equal(pv_symmetry_make(arch, &to), PV_OK);
    draw_move(arch, what, &by);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < BATCH; i++) {
            float row[WIDTH], other[WIDTH];
            draw_row(5 + (uint64_t)i, row);
            if (round) pv_symmetry_apply(arch, &by, row, other);
            if (round) memcpy(row, other, sizeof *row * PARAMS);
            pv_symmetry_canonical(arch, row, pv_row_form_canonical(&opts), &to);
            pv_symmetry_apply(arch, &to, row, other);
            pv_row_form_finish(&form, other, other);
            for (int k = 0; k < form.width; k++)
                s.rows[i * form.width + k] = (pv_real)other[k];
        }
        pv_model_forward(s.model, &s.pass, s.rows, BATCH, round ? s.logits : first);
    }
    for (int i = 0; i < BATCH * SUBJECT_CLASSES; i++)
        most = fmax(most, fabs((double)(s.logits[i] - first[i])));
    pv_symmetry_free(&by);
    pv_symmetry_free(&to);
    pv_row_form_free(&form);
    pv_model_free(s.model);
    return most;
}

/* A form, a move, and whether it is gone. */
static const struct {
    pv_reading features;
    pv_canonical canonical;
    move what;
    bool gone;
} cases[] = {{PV_READING_PHASOR, PV_CANONICAL_NONE, TURNS, true},
             {PV_READING_RAW, PV_CANONICAL_NONE, TURNS, false},
             {PV_READING_PHASOR, PV_CANONICAL_NONE, PHASES, false},
             {PV_READING_PHASOR, PV_CANONICAL_NONE, SIGNS, false},
             {PV_READING_PHASOR, PV_CANONICAL_SIGN, SIGNS_AND_TURNS, true},
             {PV_READING_RAW, PV_CANONICAL_SIGN, SIGNS_AND_TURNS, false},
             {PV_READING_PHASOR, PV_CANONICAL_SIGN, PHASES, false},
             {PV_READING_PHASOR, PV_CANONICAL_PHASE, PHASES, true},
             {PV_READING_PHASOR, PV_CANONICAL_BOTH, SIGNS_AND_PHASES, true}};

static void what_is_not_known_makes_no_difference(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const bool gone = cases[i].gone || (kinds[k].signless && cases[i].what == SIGNS);
            const double by = moved(&kinds[k].opts, cases[i].features, cases[i].canonical, cases[i].what);
            if (gone ? by >= CLOSE : by < APART) print_message("kind %d, case %zu: %g\n", k, i, by);
            assert_true(gone ? by < CLOSE : by > APART);
        }
        const double by = moved(&kinds[k].opts, PV_READING_PHASOR, PV_CANONICAL_NONE, ORDER);
        assert_true(kinds[k].orderly ? by < 1e-10 : by > APART);
    }
}

static void some_models_take_raw_rows_only(void **state)
{
    (void)state;
    static pv_dws_opts skips = {.reduction = PV_POOL_MAX, .fc_layers = 1, .out_fc = 1, .skip = true};
    const pv_model_opts refused[] = {
        {.kind = {&pv_model_dws.plugin, &skips}, .hidden = 4, .layers = 1, .features = PV_READING_PHASOR},
        {.kind.plugin = &pv_model_probe.plugin, .hidden = 4, .layers = 1, .features = PV_READING_PHASOR}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        pv_model *model = NULL;
        assert_int_equal(pv_model_new(&refused[i], pv_test_arch(dims, LAYERS), 3, BATCH, &model),
                         PV_ERR_CONFIG);
        assert_non_null(strstr(pv_fail_message(), "model.features"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phasors_stand_where_biases_stood),
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(what_is_not_known_makes_no_difference),
        cmocka_unit_test(some_models_take_raw_rows_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
