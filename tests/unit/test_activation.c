/* Activations: two that only this test has go the whole way that a new one goes, beside those there are. */
#define PV_ACTIVATIONS(X) X(sine) X(relu) X(gauss) X(bell) X(ramp)
#include "inr/pv_activation.c"

#include "base/pv_cpu.h"
#include "pv_siren_witness.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void apply_bell(int n, const float *z, float *value, float *slope)
{
    for (int i = 0; i < n; i++) {
        const float x = z[i];
        value[i] = expf(-x * x / 2);
        slope[i] = -x * value[i];
    }
}

static double bell_bound(int layer, double fan_in, double w0, pv_inr_variant variant)
{
    (void)layer, (void)variant;
    return 3 / (w0 * sqrt(fan_in));
}

const pv_activation pv_activation_bell = {.plugin = {.name = "bell", .help = "a bell"},
                                          .formula = "exp(-(w0 (W h + b))^2 / 2)",
                                          .uses_w0 = true,
                                          .apply = apply_bell,
                                          .bound = bell_bound};

/* x / (1 + |x|), odd. */
static void apply_ramp(int n, const float *z, float *value, float *slope)
{
    for (int i = 0; i < n; i++) {
        const float x = z[i], scale = 1 / (1 + fabsf(x));
        value[i] = x * scale;
        slope[i] = scale * scale;
    }
}

static double ramp_bound(int layer, double fan_in, double w0, pv_inr_variant variant)
{
    (void)layer, (void)w0, (void)variant;
    return sqrt(6 / fan_in);
}

const pv_activation pv_activation_ramp = {.plugin = {.name = "ramp", .help = "a ramp"},
                                          .formula = "ramp(W h + b)",
                                          .apply = apply_ramp,
                                          .bound = ramp_bound,
                                          .odd = true};

/* The same in double precision, W h + b given. */
static double truth(const pv_arch *arch, double z)
{
    const double scaled = (double)arch->w0 * z;
    switch (arch->activation) {
    case 0:
        return sin(scaled);
    case 1:
        return fmax(0, z);
    case 2:
        return exp(-scaled * scaled);
    case 3:
        return exp(-scaled * scaled / 2);
    default:
        return z / (1 + fabs(z));
    }
}

enum {
    ACTIVATIONS = 5,
    PRECISIONS = PV_PRECISION_INT16 + 1,
    SAMPLES = 150,
    INPUTS = 2,
    OUTPUTS = 3,
    FREQUENCIES = 4,
    LEARNS = 2 * ACTIVATIONS, /* without an encoding and with one */
    CASES = 2 * LEARNS,       /* the same of layers of a whole block of units */
    PARAMS = 32 * (2 * FREQUENCIES + 1) + 32 * 33 + OUTPUTS * 33 /* at most */
};

static void evaluate(const pv_arch *arch, const double *row, const float *x, double *y)
{
    double in[32] = {(double)x[0], (double)x[1]}, out[32];
    for (int f = 0; f < arch->fourier.count; f++) {
        const float *const b = arch->fourier.frequency + f * INPUTS;
        const double turns = (double)b[0] * (double)x[0] + (double)b[1] * (double)x[1];
        in[f] = cos(2 * 3.14159265358979323846 * turns);
        in[arch->fourier.count + f] = sin(2 * 3.14159265358979323846 * turns);
    }
    for (int l = 0; l < arch->layers; l++) {
        const int rows = arch->dims[l + 1], cols = arch->dims[l];
        for (int i = 0; i < rows; i++) {
            out[i] = row[rows * cols + i];
            for (int j = 0; j < cols; j++)
                out[i] += row[i * cols + j] * in[j];
            out[i] = l == arch->layers - 1 ? out[i] + (double)arch->offset : truth(arch, out[i]);
        }
        row += rows * (cols + 1);
        for (int i = 0; i < rows; i++)
            in[i] = out[i];
    }
    for (int c = 0; c < OUTPUTS; c++)
        y[c] = out[c];
}

typedef struct problem {
    pv_arch arch;
    int params;
    float coords[SAMPLES * INPUTS], values[SAMPLES * OUTPUTS], row[PARAMS];
} problem;

static void make(int number, problem *p)
{
    int hidden[] = {number < LEARNS ? 21 : 32, number < LEARNS ? 9 : 32};
    const pv_inr_opts opts = {.hidden = hidden,
                              .hidden_count = 2,
                              .activation = {.plugin = pv_activations.plugins[number % ACTIVATIONS]},
                              .w0 = 5,
                              .offset = 0.5,
                              .encoding =
                                  number / ACTIVATIONS % 2 == 0 ? PV_ENCODING_NONE : PV_ENCODING_FOURIER,
                              .frequencies = FREQUENCIES,
                              .sigma = 0.5};
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, (uint64_t)number, 0);
    assert_int_equal(pv_arch_make(&opts, INPUTS, OUTPUTS, 1, &p->arch), PV_OK);
    p->params = pv_arch_params(&p->arch);
    assert_true(p->params <= PARAMS && pv_arch_inputs(&p->arch) == INPUTS);
    assert_int_equal(p->arch.dims[0], number / ACTIVATIONS % 2 == 0 ? INPUTS : 2 * FREQUENCIES);
    pv_inr_init(&p->arch, PV_INR_DWSNETS, &rng, p->row);
    for (int i = 0; i < SAMPLES * INPUTS; i++)
        p->coords[i] = (float)pv_rng_range(&rng, -1, 1);
    for (int i = 0; i < SAMPLES * OUTPUTS; i++)
        p->values[i] = 0.5f + 0.4f * sinf(3 * p->coords[i / OUTPUTS * INPUTS] + (float)(i % OUTPUTS));
}

static bool choose(int isa)
{
    setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
    return pv_cpu_isa() == (pv_isa)isa;
}

static double loss_of(const problem *p, const double *row)
{
    double sum = 0, y[OUTPUTS];
    for (int s = 0; s < SAMPLES; s++) {
        evaluate(&p->arch, row, p->coords + s * INPUTS, y);
        for (int c = 0; c < OUTPUTS; c++)
            sum += pow(y[c] - (double)p->values[s * OUTPUTS + c], 2) / (SAMPLES * OUTPUTS);
    }
    return sum;
}

static void evaluation_is_that_of_the_formula(void **state)
{
    (void)state;
    for (int a = 0; a < CASES; a++)
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            problem p;
            float values[SAMPLES * OUTPUTS];
            double row[PARAMS], y[OUTPUTS];
            if (!choose(isa)) continue;
            make(a, &p);
            for (int i = 0; i < p.params; i++)
                row[i] = (double)p.row[i];
            assert_int_equal(pv_inr_eval(&p.arch, p.row, SAMPLES, p.coords, values), PV_OK);
            for (int s = 0; s < SAMPLES; s++) {
                evaluate(&p.arch, row, p.coords + s * INPUTS, y);
                for (int c = 0; c < OUTPUTS; c++)
                    assert_true(fabs((double)values[s * OUTPUTS + c] - y[c]) < 1e-5);
            }
        }
}

static void the_gradient_is_that_of_finite_differences(void **state)
{
    (void)state;
    for (int a = 0; a < CASES; a++)
        for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
            const double step = 1e-7; /* few corners of ReLUs lie in so short a one */
            problem p;
            float gradient[PARAMS], features[SAMPLES * 2 * FREQUENCIES];
            double row[PARAMS], difference = 0, size = 0;
            if (!choose(isa)) continue;
            make(a, &p);
            for (int i = 0; i < p.params; i++)
                row[i] = (double)p.row[i];
            pv_arch_encode(&p.arch, SAMPLES, p.coords, features);
            pv_kernel_gradient(NULL, PV_PRECISION_FLOAT32, &p.arch, p.row, SAMPLES, features, p.values,
                               gradient);
            for (int i = 0; i < p.params; i++) {
                const double here = row[i];
                row[i] = here + step;
                const double above = loss_of(&p, row);
                row[i] = here - step;
                const double slope = (above - loss_of(&p, row)) / (2 * step);
                row[i] = here;
                difference += pow(slope - (double)gradient[i], 2);
                size += slope * slope;
            }
            if (!(sqrt(difference / size) < 1e-4))
                fail_msg("%s: %g away", pv_activation_at(a % ACTIVATIONS)->plugin.name,
                         sqrt(difference / size));
        }
}

static void a_fit_learns_in_every_precision_that_is_offered(void **state)
{
    (void)state;
    for (int c = 0; c < LEARNS * PRECISIONS; c++) {
        const int a = c / PRECISIONS;
        const pv_fit_opts opts = {.steps = 400, .lr = 5e-3, .precision = (pv_precision)(c % PRECISIONS)};
        problem p;
        pv_fitter *fitter;
        pv_fit_result result;
        double row[PARAMS];
        make(a, &p);
        if (opts.precision == PV_PRECISION_INT16 && !pv_activation_at(a % ACTIVATIONS)->bounded) {
            assert_int_equal(pv_fitter_new(&p.arch, SAMPLES, p.coords, &opts, &fitter), PV_ERR_CONFIG);
            assert_non_null(strstr(pv_fail_message(), "fit.precision: int16"));
            continue;
        }
        assert_int_equal(pv_fitter_new(&p.arch, SAMPLES, p.coords, &opts, &fitter), PV_OK);
        pv_fitter_start(fitter, 0, p.row, NULL, p.values, (pv_fit_key){0});
        pv_fitter_advance(fitter, 1, opts.steps);
        assert_int_equal(pv_fitter_finish(fitter, 0, p.row, &result), PV_OK);
        for (int i = 0; i < p.params; i++)
            row[i] = (double)p.row[i];
        assert_true(fabs(result.mse - loss_of(&p, row)) < 1e-5);
        if (!(result.mse < 1e-3))
            fail_msg("%s, %s: an error of %g", pv_activation_at(a % ACTIVATIONS)->plugin.name,
                     pv_precision_name(opts.precision), result.mse);
        pv_fitter_free(fitter);
    }
}

static void the_words_in_a_file_name_the_activation(void **state)
{
    (void)state;
    for (int a = 0; a < CASES; a++) {
        problem p;
        pv_arch read;
        make(a, &p);
        json_t *root = pv_arch_to_json(&p.arch);
        char *text = json_dumps(root, JSON_REAL_PRECISION(9));
        assert_int_equal(pv_arch_from_json(text, "x.h5", &read), PV_OK);
        assert_true(pv_arch_equal(&p.arch, &read) &&
                    pv_arch_activation(&read) == pv_activation_at(a % ACTIVATIONS));
        read.activation = (a + 1) % ACTIVATIONS;
        assert_false(pv_arch_equal(&p.arch, &read));
        read.activation = p.arch.activation;
        read.fourier.frequency[1] += 1;
        assert_true(pv_arch_equal(&p.arch, &read) == (a / ACTIVATIONS % 2 == 0));
        free(text);
        json_decref(root);
    }
}

static void a_file_without_the_word_is_of_sines_and_an_unknown_one_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"{", "'x.h5': the attribute 'arch' is not an INR architecture"},
        {"{\"dims\": [2, 4, 1], \"w0\": 30}", "is not an INR architecture"},
        {"{\"dims\": 3, \"w0\": 30, \"offset\": 0}", "is not an INR architecture"},
        {"{\"dims\": [2, 4, 1], \"w0\": 30, \"offset\": 0, \"activation\": 3}", "is not an INR architecture"},
        {"{\"dims\": [2], \"w0\": 30, \"offset\": 0}", "has 1 layer widths, expected 2 to 9"},
        {"{\"dims\": [2, 0, 1], \"w0\": 30, \"offset\": 0}", "a layer of width 0"},
        {"{\"dims\": [2, 4, 1], \"w0\": 30, \"offset\": 0, \"activation\": \"snake\"}",
         "'x.h5' holds INRs with the activation 'snake', which this program lacks"},
        {"{\"dims\": [4, 1], \"w0\": 30, \"offset\": 0, \"encoding\": {\"kind\": \"hash\"}}",
         "'x.h5' holds INRs with an encoding that this program lacks: 'hash'"},
        {"{\"dims\": [4, 1], \"w0\": 30, \"offset\": 0, \"encoding\": {\"kind\": \"fourier\", "
         "\"frequencies\": [[1, 2]]}}",
         "frequencies do not suit their first layer"},
        {"{\"dims\": [4, 1], \"w0\": 30, \"offset\": 0, \"encoding\": {\"kind\": \"fourier\", "
         "\"frequencies\": [[1, 2], [1]]}}",
         "frequencies do not suit their first layer"},
    };
    pv_arch arch;
    assert_int_equal(pv_arch_from_json("{\"dims\": [2, 4, 1], \"w0\": 30, \"offset\": 0.5}", "x.h5", &arch),
                     PV_OK);
    assert_true(arch.activation == 0 && arch.layers == 2 && arch.dims[1] == 4 && arch.offset == 0.5F);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(pv_arch_from_json(bad[i].text, "x.h5", &arch), PV_ERR_DATA);
        if (!strstr(pv_fail_message(), bad[i].words))
            fail_msg("'%s' lacks '%s'", pv_fail_message(), bad[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_is_that_of_the_formula),
        cmocka_unit_test(the_gradient_is_that_of_finite_differences),
        cmocka_unit_test(a_fit_learns_in_every_precision_that_is_offered),
        cmocka_unit_test(the_words_in_a_file_name_the_activation),
        cmocka_unit_test(a_file_without_the_word_is_of_sines_and_an_unknown_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
