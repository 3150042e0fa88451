/* Learned probes in double precision: what they read of an INR, gradients by finite differences, and that all
 * weights of one function are the same to them. */
#include "pv_model_subject.h"
#include "nn/probe/pv_probe_opts.h"
#include "nn/pv_model_kinds.h"

#include <math.h>

enum { BATCH = 3, LAYERS = 3, POINTS = 4, WIDTH = 4 };

static const double W0 = 30; /* pv_test_arch */
static const int dims[] = {2, WIDTH, 3, 2};

/* Weights are as small as those of INRs, whose sines turn a few times. */
static void open(subject *s, pv_probe_opts own, pv_model_opts opts)
{
    opts.kind = (pv_pick){&pv_model_probe.plugin, &own};
    subject_open(s, &opts, dims, LAYERS, BATCH, 0.1);
    for (int i = 0; i < BATCH * s->weights; i++)
        s->rows[i] *= (pv_real)0.05;
}

static void gradients_are_slopes(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        subject s;
        open(&s, (pv_probe_opts){POINTS, variant % 2 == 1},
             (pv_model_opts){.hidden = 6, .layers = variant == 3 ? 0 : 2, .batch_norm = variant > 1});
        subject_check_slopes(&s, 1);
    }
}

/* The outputs of a row's INR at a point, by the formula. */
static void evaluate(const pv_real *row, const pv_real *point, double *out)
{
    double h[WIDTH] = {(double)point[0], (double)point[1]}, next[WIDTH];
    for (int l = 1; l <= LAYERS; l++) {
        const int ins = dims[l - 1], outs = dims[l];
        for (int u = 0; u < outs; u++) {
            double z = (double)row[ins * outs + u];
            for (int c = 0; c < ins; c++)
                z += (double)row[u * ins + c] * h[c];
            next[u] = l < LAYERS ? sin(W0 * z) : z;
        }
        memcpy(h, next, sizeof h);
        row += (ins + 1) * outs;
    }
    memcpy(out, h, sizeof *out * 2);
}

static void a_linear_reader_sees_the_outputs_at_the_points(void **state)
{
    (void)state;
    subject s;
    const pv_model_tensor *tensors = NULL;
    open(&s, (pv_probe_opts){POINTS, false}, (pv_model_opts){.hidden = 6, .layers = 0});
    subject_loss(&s);
    pv_model_tensors(s.model, &tensors);
    assert_string_equal(tensors[0].name, "points");
    assert_string_equal(tensors[1].name, "seq.0.weight");
    for (int i = 0; i < BATCH; i++)
        for (int k = 0; k < SUBJECT_CLASSES; k++) {
            double expected = (double)tensors[2].values[k];
            for (int p = 0; p < POINTS; p++) {
                double out[2];
                evaluate(s.rows + i * s.weights, tensors[0].values + 2 * p, out);
                for (int c = 0; c < 2; c++)
                    expected += (double)tensors[1].values[(k * POINTS + p) * 2 + c] * out[c];
            }
            assert_true(fabs(expected - (double)s.logits[i * SUBJECT_CLASSES + k]) < 1e-12);
        }
    pv_model_free(s.model);
}

/* Swaps two units of the first layer, changes the sign of a third, and moves the bias of a fourth by half a
 * turn: what goes out of the last two changes its sign. */
static void move_units(pv_real *row)
{
    pv_real *const bias = row + 2 * WIDTH, *const next = bias + WIDTH;
    for (int c = 0; c < 2; c++) {
        const pv_real kept = row[c];
        row[c] = row[2 + c];
        row[2 + c] = kept;
        row[2 * 2 + c] *= -1;
    }
    const pv_real kept = bias[0];
    bias[0] = bias[1];
    bias[1] = kept;
    bias[2] *= -1;
    bias[3] += (pv_real)(M_PI / W0);
    for (int u = 0; u < dims[2]; u++) {
        pv_real *const in = next + u * WIDTH, first = in[0];
        in[0] = in[1];
        in[1] = first;
        in[2] *= -1;
        in[3] *= -1;
    }
}

static void weights_of_one_function_are_the_same_to_it(void **state)
{
    (void)state;
    subject s;
    pv_real before[SUBJECT_BATCH * SUBJECT_CLASSES];
    open(&s, (pv_probe_opts){POINTS, false}, (pv_model_opts){.hidden = 6, .layers = 1, .batch_norm = true});
    subject_loss(&s);
    memcpy(before, s.logits, sizeof before);
    for (int i = 0; i < BATCH; i++)
        move_units(s.rows + i * s.weights);
    subject_loss(&s);
    for (int i = 0; i < BATCH * SUBJECT_CLASSES; i++)
        assert_true(fabs((double)(before[i] - s.logits[i])) < 1e-10);
    pv_model_free(s.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_slopes),
        cmocka_unit_test(a_linear_reader_sees_the_outputs_at_the_points),
        cmocka_unit_test(weights_of_one_function_are_the_same_to_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
