/* The SIREN against the published implementation: evaluation, and 20 Adam steps, of every stored case. */
#include "pv_oracle.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { STEPS = 20 };

/* One stored case in the types of the siren room. */
typedef struct stored {
    const char *name;
    pv_arch arch;
    int n, params;
    float *row, *coords, *values;
    double lr;
} stored;

static float *to_float(double *values, int64_t n)
{
    float *result = malloc((size_t)n * sizeof *result);
    for (int64_t i = 0; i < n; i++)
        result[i] = (float)values[i];
    free(values);
    return result;
}

/* The tensors under a group of a case, put together to a row. */
static double *read_row(const pv_oracle *oracle, const stored *s, const char *group)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    double *row = malloc((size_t)s->params * sizeof *row);
    for (int i = pv_arch_layout(&s->arch, tensors) - 1; i >= 0; i--) {
        char path[128];
        int64_t count;
        snprintf(path, sizeof path, "%s/%s", group, tensors[i].name);
        double *values = pv_oracle_read(oracle, s->name, path, &count);
        assert_int_equal(count, tensors[i].rows * tensors[i].cols);
        for (int64_t k = 0; k < count; k++)
            row[tensors[i].offset + k] = values[k];
        free(values);
    }
    return row;
}

static stored read_case(const pv_oracle *oracle, int index)
{
    stored s = {.name = pv_oracle_case(oracle, index)};
    int dims[PV_INR_MAX_LAYERS + 1];
    int64_t count;
    const int levels = pv_oracle_ints(oracle, s.name, "dims", dims, PV_INR_MAX_LAYERS + 1);
    const pv_inr_opts opts = {.hidden = dims + 1,
                              .hidden_count = (unsigned)levels - 2,
                              .w0 = pv_oracle_real(oracle, s.name, "w0"),
                              .offset = 0.5};
    assert_int_equal(pv_arch_make(&opts, dims[0], dims[levels - 1], 1, &s.arch), PV_OK);
    s.params = pv_arch_params(&s.arch);
    s.row = to_float(read_row(oracle, &s, "param"), s.params);
    double *coords = pv_oracle_read(oracle, s.name, "input/coords", &count);
    s.n = (int)(count / dims[0]);
    s.coords = to_float(coords, count);
    double *values = pv_oracle_read(oracle, s.name, "input/y", &count);
    assert_int_equal(count, s.n * dims[levels - 1]);
    s.values = to_float(values, count);
    s.lr = pv_oracle_real(oracle, s.name, "adam_lr");
    return s;
}

static void free_case(stored *s)
{
    free(s->row);
    free(s->coords);
    free(s->values);
}

static double *to_double(const float *values, int64_t n)
{
    double *result = malloc((size_t)n * sizeof *result);
    for (int64_t i = 0; i < n; i++)
        result[i] = (double)values[i];
    return result;
}

/* The distance of our evaluation from a stored one, after adding `error` to one of our values. */
static double output_distance(const pv_oracle *oracle, const stored *s, float error)
{
    int64_t count;
    double *truth = pv_oracle_read(oracle, s->name, "output/y_hat", &count);
    float *values = malloc((size_t)count * sizeof *values);
    assert_int_equal(count, s->n * s->arch.dims[s->arch.layers]);
    assert_int_equal(pv_inr_eval(&s->arch, s->row, s->n, s->coords, values), PV_OK);
    values[count / 2] += error;
    double *ours = to_double(values, count);
    const double distance = pv_oracle_distance(count, ours, truth);
    free(ours);
    free(values);
    free(truth);
    return distance;
}

static void evaluation_is_that_of_the_reference(void **state)
{
    pv_oracle *oracle = *state;
    assert_true(pv_oracle_cases(oracle) > 0);
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        stored s = read_case(oracle, i);
        const double distance = output_distance(oracle, &s, 0);
        if (!(distance < 1e-4)) fail_msg("%s: the output is %g away", s.name, distance);
        free_case(&s);
    }
}

static void a_planted_error_is_seen(void **state)
{
    pv_oracle *oracle = *state;
    stored s = read_case(oracle, 0);
    assert_true(output_distance(oracle, &s, 1e-3f) > 1e-4);
    s.row[s.params / 3] += 1e-2f;
    assert_true(output_distance(oracle, &s, 0) > 1e-4);
    free_case(&s);
}

/* Follows the 20 stored steps one by one: the loss before each, the loss and the weights after. */
static void adam_follows_the_reference(void **state)
{
    pv_oracle *oracle = *state;
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        stored s = read_case(oracle, i);
        const pv_fit_opts opts = {.steps = STEPS, .lr = s.lr};
        pv_fitter *fitter;
        int64_t count;
        float *row = malloc((size_t)s.params * sizeof *row);
        double *truth = pv_oracle_read(oracle, s.name, "output/adam/losses", &count), losses[STEPS + 1];
        double *after = pv_oracle_read(oracle, s.name, "output/adam/loss_after", &(int64_t){0});
        assert_int_equal(count, STEPS);
        assert_int_equal(pv_fitter_new(&s.arch, s.n, s.coords, &opts, &fitter), PV_OK);
        pv_fitter_start(fitter, 0, s.row, NULL, s.values, (pv_fit_key){0});
        for (int t = 0; t <= STEPS; t++) {
            pv_fit_result result;
            if (t > 0) pv_fitter_advance(fitter, 1, 1);
            assert_int_equal(pv_fitter_finish(fitter, 0, row, &result), PV_OK);
            losses[t] = result.mse;
        }
        for (int t = 0; t <= STEPS; t++) {
            const double expected = t < STEPS ? truth[t] : *after;
            if (!(fabs(losses[t] - expected) < 1e-3 * expected))
                fail_msg("%s: the loss after %d steps is %.9g, not %.9g", s.name, t, losses[t], expected);
        }
        double *ours = to_double(row, s.params), *final = read_row(oracle, &s, "output/adam/param_final");
        const double distance = pv_oracle_distance(s.params, ours, final);
        const double relative = pv_oracle_relative_l2(s.params, ours, final, 1e-12);
        if (!(distance < 1e-3 && relative < 1e-3))
            fail_msg("%s: the final weights are %g (relative L2 %g) away", s.name, distance, relative);
        print_message("# %s: weights %.1e, relative L2 %.1e, final loss %.1e\n", s.name, distance, relative,
                      fabs(losses[STEPS] / *after - 1));
        pv_fitter_free(fitter);
        free(ours), free(final), free(row), free(truth), free(after);
        free_case(&s);
    }
}

static int open_oracle(void **state)
{
    *state = pv_oracle_open("siren.h5");
    return 0;
}

static int close_oracle(void **state)
{
    pv_oracle_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evaluation_is_that_of_the_reference),
        cmocka_unit_test(a_planted_error_is_seen),
        cmocka_unit_test(adam_follows_the_reference),
    };
    return cmocka_run_group_tests(tests, open_oracle, close_oracle);
}
