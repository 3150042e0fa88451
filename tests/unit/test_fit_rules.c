/* When a fit ends, and how its learning rate and batches run. */
#include "pv_siren_witness.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A signal of one channel on a regular grid over [-1, 1]^d, and the SIREN to fit to it. */
typedef struct problem {
    pv_arch arch;
    int n, params;
    float *coords, *values;
} problem;

typedef double (*field)(const float *x);

static double waves(const float *x)
{
    return 0.5 + 0.3 * sin(3 * (double)x[0] + 1) * cos(2 * (double)x[1]) + 0.1 * sin(5 * (double)x[1]);
}

/* The signed distance to a sphere of radius 0.5. */
static double sphere(const float *x)
{
    return sqrt((double)x[0] * (double)x[0] + (double)x[1] * (double)x[1] + (double)x[2] * (double)x[2]) -
           0.5;
}

static problem make(int inputs, int side, int layers, field of, double offset)
{
    int hidden[] = {32, 32, 32};
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = (unsigned)layers, .w0 = 15, .offset = offset};
    problem p = {.n = 1};
    assert_int_equal(pv_arch_make(&opts, inputs, 1, 1, &p.arch), PV_OK);
    p.params = pv_arch_params(&p.arch);
    for (int d = 0; d < inputs; d++)
        p.n *= side;
    p.coords = malloc((size_t)(p.n * inputs) * sizeof *p.coords);
    p.values = malloc((size_t)p.n * sizeof *p.values);
    for (int i = 0; i < p.n; i++) {
        for (int d = 0, place = i; d < inputs; d++, place /= side)
            p.coords[i * inputs + d] = (float)(-1 + 2.0 * (place % side) / (side - 1));
        p.values[i] = (float)of(p.coords + i * inputs);
    }
    return p;
}

static void drop(problem *p)
{
    free(p->coords);
    free(p->values);
}

static void start_row(const problem *p, const pv_fit_opts *opts, pv_fit_key key, float *row)
{
    pv_rng rng = pv_fit_stream(opts, PV_RNG_VIEW_INIT, key);
    pv_inr_init(&p->arch, PV_INR_DWSNETS, &rng, row);
}

/* Fits by the rules until they end it; row may be NULL. */
static pv_fit_result fit(const problem *p, const pv_fit_opts *opts, pv_fit_key key, float *row)
{
    pv_fitter *fitter;
    pv_fit_result result;
    float *own = malloc((size_t)p->params * sizeof *own);
    start_row(p, opts, key, own);
    assert_int_equal(pv_fitter_new(&p->arch, p->n, p->coords, opts, &fitter), PV_OK);
    pv_fitter_start(fitter, 0, own, NULL, p->values, key);
    while (!pv_fitter_done(fitter, 0))
        pv_fitter_advance(fitter, 1, 7);
    pv_fitter_advance(fitter, 1, 7); /* changes nothing */
    const pv_status st = pv_fitter_finish(fitter, 0, own, &result);
    assert_int_equal(st, result.end == PV_FIT_NOT_FINITE ? PV_ERR_NUMERIC : PV_OK);
    if (row) memcpy(row, own, (size_t)p->params * sizeof *row);
    pv_fitter_free(fitter);
    free(own);
    return result;
}

static void a_target_ends_a_fit_at_the_first_step_that_reaches_it(void **state)
{
    (void)state;
    enum { STEPS = 400 };
    problem p = make(2, 20, 2, waves, 0.5);
    const pv_fit_opts plain = {.steps = STEPS, .lr = 1e-3};
    pv_fit_opts rules = plain;
    rules.target_psnr = 31.7;
    const pv_fit_result whole = fit(&p, &plain, (pv_fit_key){0}, NULL);
    const pv_fit_result result = fit(&p, &rules, (pv_fit_key){0}, NULL);
    assert_true(whole.end == PV_FIT_STEPS && whole.steps == STEPS && pv_psnr(whole.mse) > 32);
    assert_true(result.end == PV_FIT_TARGET && result.steps > 10 && result.steps < STEPS);
    assert_true(pv_psnr(result.mse) >= 31.7);
    pv_fit_opts before = plain;
    before.steps = result.steps - 1;
    assert_true(pv_psnr(fit(&p, &before, (pv_fit_key){0}, NULL).mse) < 31.701);
    rules.target_psnr = 90;
    assert_int_equal(fit(&p, &rules, (pv_fit_key){0}, NULL).end, PV_FIT_STEPS);
    drop(&p);
}

static void a_fit_that_ends_early_is_the_start_of_the_whole_fit(void **state)
{
    (void)state;
    problem p = make(2, 20, 2, waves, 0.5);
    const pv_fit_opts rules = {.steps = 400, .lr = 1e-3, .target_psnr = 28};
    float *early = malloc((size_t)p.params * sizeof *early), *cut = malloc((size_t)p.params * sizeof *cut);
    const pv_fit_result result = fit(&p, &rules, (pv_fit_key){0}, early);
    const pv_fit_opts short_one = {.steps = result.steps, .lr = 1e-3};
    fit(&p, &short_one, (pv_fit_key){0}, cut);
    assert_memory_equal(early, cut, (size_t)p.params * sizeof *cut);
    free(early);
    free(cut);
    drop(&p);
}

static void a_plateau_ends_a_fit(void **state)
{
    (void)state;
    problem p = make(2, 20, 2, waves, 0.5);
    /* A rate far too high: the loss stays where it is. */
    const pv_fit_opts stuck = {.steps = 5000, .lr = 0.5, .plateau_steps = 40, .plateau_drop = 1e-3};
    pv_fit_result result = fit(&p, &stuck, (pv_fit_key){0}, NULL);
    assert_true(result.end == PV_FIT_PLATEAU && result.steps >= 40 && result.steps < 5000);
    /* Every improvement asked to be by nine tenths: the first loss stands. */
    const pv_fit_opts strict = {.steps = 5000, .lr = 1e-7, .plateau_steps = 40, .plateau_drop = 0.9};
    result = fit(&p, &strict, (pv_fit_key){0}, NULL);
    assert_true(result.end == PV_FIT_PLATEAU && result.steps == 40);
    const pv_fit_opts learning = {.steps = 150, .lr = 1e-3, .plateau_steps = 40, .plateau_drop = 1e-3};
    assert_int_equal(fit(&p, &learning, (pv_fit_key){0}, NULL).end, PV_FIT_STEPS);
    drop(&p);
}

static void the_rules_judge_what_they_are_given(void **state)
{
    (void)state;
    const pv_fit_opts opts = {.steps = 100, .target_psnr = 20, .plateau_steps = 3, .plateau_drop = 0.1};
    pv_fit_watch watch;
    pv_fit_watch_start(&watch, &opts);
    const double losses[] = {1, 0.5, 0.46, 0.44, 0.43};
    const pv_fit_end ends[] = {PV_FIT_RUNNING, PV_FIT_RUNNING, PV_FIT_RUNNING, PV_FIT_RUNNING,
                               PV_FIT_RUNNING};
    for (int i = 0; i < 5; i++)
        assert_int_equal(pv_fit_judge(&watch, &opts, i, 1, losses[i]), ends[i]);
    assert_true(watch.best == 0.44 && watch.best_step == 3);
    assert_int_equal(pv_fit_judge(&watch, &opts, 5, 1, 0.42), PV_FIT_RUNNING);
    assert_int_equal(pv_fit_judge(&watch, &opts, 6, 1, 0.41), PV_FIT_PLATEAU);
    assert_int_equal(pv_fit_judge(&watch, &opts, 7, 1, 0.009), PV_FIT_TARGET);
    assert_int_equal(pv_fit_judge(&watch, &opts, 8, 1, (double)NAN), PV_FIT_NOT_FINITE);
    assert_int_equal(pv_fit_judge(&watch, &opts, 9, 1, 1e39), PV_FIT_NOT_FINITE);
    const pv_fit_opts target_only = {.steps = 100, .target_psnr = 20};
    pv_fit_watch_start(&watch, &target_only); /* passes of four steps: the mean counts */
    for (int i = 0; i < 7; i++)
        assert_int_equal(pv_fit_judge(&watch, &target_only, i, 4, i % 2 ? 0.001 : 0.02), PV_FIT_RUNNING);
    assert_int_equal(pv_fit_judge(&watch, &target_only, 7, 4, 0.001), PV_FIT_RUNNING);
    for (int i = 8; i < 11; i++)
        assert_int_equal(pv_fit_judge(&watch, &target_only, i, 4, 0.009), PV_FIT_RUNNING);
    assert_int_equal(pv_fit_judge(&watch, &target_only, 11, 4, 0.009), PV_FIT_TARGET);
    const pv_fit_opts off = {.steps = 100};
    pv_fit_watch_start(&watch, &off);
    assert_int_equal(pv_fit_judge(&watch, &off, 0, 1, 0), PV_FIT_RUNNING);
}

static void the_cosine_schedule_follows_plain_loops(void **state)
{
    (void)state;
    enum { STEPS = 60 };
    problem p = make(2, 15, 2, waves, 0.5);
    const pv_fit_opts opts = {.steps = STEPS, .lr = 1e-3, .schedule = PV_SCHEDULE_COSINE};
    float *start = malloc((size_t)p.params * sizeof *start), *row = malloc((size_t)p.params * sizeof *row);
    double *truth = malloc((size_t)p.params * sizeof *truth), losses[STEPS + 1], off = 0, size = 0;
    start_row(&p, &opts, (pv_fit_key){0}, start);
    const pv_fit_result result = fit(&p, &opts, (pv_fit_key){0}, row);
    pv_witness_fit(&p.arch, start, p.n, p.coords, p.values, STEPS, 1e-3, true, truth, losses);
    for (int i = 0; i < p.params; i++) {
        off += pow((double)row[i] - truth[i], 2);
        size += truth[i] * truth[i];
    }
    assert_true(sqrt(off / size) < 1e-3);
    assert_true(fabs(result.mse - losses[STEPS]) < 1e-3 * losses[STEPS]);
    pv_witness_fit(&p.arch, start, p.n, p.coords, p.values, STEPS, 1e-3, false, truth, losses);
    assert_true(fabs(result.mse - losses[STEPS]) > 1e-2 * losses[STEPS]); /* the constant rate differs */
    assert_true(pv_fit_rate(&opts, 0) == 1e-3 && fabs(pv_fit_rate(&opts, STEPS / 2) - 5e-4) < 1e-18);
    assert_true(fabs(pv_fit_rate(&opts, STEPS)) < 1e-18);
    free(start);
    free(row);
    free(truth);
    drop(&p);
}

static void a_batch_of_everything_is_the_full_batch(void **state)
{
    (void)state;
    problem p = make(2, 12, 2, waves, 0.5);
    const pv_fit_opts all = {.steps = 30, .lr = 1e-3}, as_many = {.steps = 30, .lr = 1e-3, .batch = p.n},
                      more = {.steps = 30, .lr = 1e-3, .batch = 100000};
    const double mse = fit(&p, &all, (pv_fit_key){0}, NULL).mse;
    assert_true(fit(&p, &as_many, (pv_fit_key){0}, NULL).mse == mse);
    assert_true(fit(&p, &more, (pv_fit_key){0}, NULL).mse == mse);
    drop(&p);
}

/* With a rate that changes nothing, the mean over a pass is the error over all samples if, and by chance only
 * if, the pass holds each sample once: a target just under it is reached at the end of the first pass, one
 * just above it never. */
static void a_pass_of_batches_sees_every_sample_once(void **state)
{
    (void)state;
    problem p = make(2, 12, 2, waves, 0.5);
    const pv_fit_opts still = {.steps = 1, .lr = 1e-30};
    for (uint64_t source = 0; source < 5; source++) {
        const pv_fit_key key = {.source = source};
        const double psnr = pv_psnr(fit(&p, &still, key, NULL).mse);
        pv_fit_opts rules = {.steps = 100, .lr = 1e-30, .batch = 36, .target_psnr = psnr - 2e-3};
        const pv_fit_result reached = fit(&p, &rules, key, NULL);
        assert_true(reached.end == PV_FIT_TARGET && reached.steps == 3);
        rules.target_psnr = psnr + 2e-3;
        assert_int_equal(fit(&p, &rules, key, NULL).end, PV_FIT_STEPS);
    }
    drop(&p);
}

static void batches_depend_on_the_key_alone(void **state)
{
    (void)state;
    problem p = make(2, 12, 2, waves, 0.5);
    const pv_fit_opts opts = {.steps = 20, .lr = 1e-3, .batch = 32, .seed = 3};
    pv_fit_opts other_seed = opts;
    other_seed.seed = 4;
    const pv_fit_key key = {.source = 5, .view = 1}, other_source = {.source = 6, .view = 1},
                     other_view = {.source = 5, .view = 2}, again = {.source = 5, .view = 1, .attempt = 1};
    const double mse = fit(&p, &opts, key, NULL).mse;
    assert_true(fit(&p, &opts, key, NULL).mse == mse);
    assert_true(fit(&p, &opts, other_source, NULL).mse != mse);
    assert_true(fit(&p, &opts, other_view, NULL).mse != mse);
    assert_true(fit(&p, &opts, again, NULL).mse != mse);
    assert_true(fit(&p, &other_seed, key, NULL).mse != mse);
    drop(&p);
}

/* Equal numbers of samples seen would be a thousand steps more for the batches; equal steps come close. */
static void batches_come_near_the_full_batch(void **state)
{
    (void)state;
    problem p = make(2, 28, 2, waves, 0.5);
    const pv_fit_opts full = {.steps = 600, .lr = 1e-3, .schedule = PV_SCHEDULE_COSINE};
    pv_fit_opts batches = full;
    batches.batch = 196;
    const double of_all = pv_psnr(fit(&p, &full, (pv_fit_key){0}, NULL).mse);
    const double of_batches = pv_psnr(fit(&p, &batches, (pv_fit_key){0}, NULL).mse);
    print_message("# full batch %.2f dB, mini-batches %.2f dB\n", of_all, of_batches);
    assert_true(of_batches > of_all - 1.5);
    drop(&p);
}

static void a_distance_field_is_fitted_by_batches(void **state)
{
    (void)state;
    problem p = make(3, 24, 3, sphere, 0);
    const pv_fit_opts opts = {
        .steps = 600, .lr = 1e-3, .schedule = PV_SCHEDULE_COSINE, .batch = 1024, .seed = 1};
    const pv_fit_result result = fit(&p, &opts, (pv_fit_key){0}, NULL);
    print_message("# a sphere in %d samples by batches of 1024: RMS error %.4f\n", p.n, sqrt(result.mse));
    assert_true(result.end == PV_FIT_STEPS && sqrt(result.mse) < 0.01);
    drop(&p);
}

/* Rates about which the loss overflows: some views end there, others do not, each as its key says. */
static void losses_that_are_not_finite_end_their_fit(void **state)
{
    (void)state;
    enum { VIEWS = 24 };
    problem p = make(2, 8, 2, waves, 0.5);
    int mixed = 0, last = 0;
    for (double lr = 1e8; lr < 1e10; lr *= 1.1) {
        const pv_fit_opts opts = {.steps = 5, .lr = lr};
        int ended = 0;
        for (int view = 0; view < VIEWS; view++) {
            const pv_fit_result result = fit(&p, &opts, (pv_fit_key){.view = view}, NULL);
            ended += result.end == PV_FIT_NOT_FINITE;
            assert_true(result.end == PV_FIT_NOT_FINITE ? result.steps >= 1 : result.steps == 5);
        }
        if (lr == 1e8) assert_int_equal(ended, 0);
        mixed += ended > 0 && ended < VIEWS;
        last = ended;
    }
    assert_true(mixed > 0 && last == VIEWS);
    drop(&p);
}

static void an_attempt_has_a_stream_of_its_own(void **state)
{
    (void)state;
    const pv_fit_opts opts = {.seed = 11};
    for (int attempt = 0; attempt < 3; attempt++) {
        pv_rng ours = pv_fit_stream(&opts, PV_RNG_VIEW_INIT, (pv_fit_key){5, 7, attempt});
        pv_rng documented = pv_rng_open(11, PV_RNG_VIEW_INIT, 5, 7 + ((uint64_t)attempt << 32));
        for (int i = 0; i < 8; i++)
            assert_true(pv_rng_bits(&ours) == pv_rng_bits(&documented));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_ends_a_fit_at_the_first_step_that_reaches_it),
        cmocka_unit_test(a_fit_that_ends_early_is_the_start_of_the_whole_fit),
        cmocka_unit_test(a_plateau_ends_a_fit),
        cmocka_unit_test(the_rules_judge_what_they_are_given),
        cmocka_unit_test(the_cosine_schedule_follows_plain_loops),
        cmocka_unit_test(a_batch_of_everything_is_the_full_batch),
        cmocka_unit_test(a_pass_of_batches_sees_every_sample_once),
        cmocka_unit_test(batches_depend_on_the_key_alone),
        cmocka_unit_test(batches_come_near_the_full_batch),
        cmocka_unit_test(a_distance_field_is_fitted_by_batches),
        cmocka_unit_test(losses_that_are_not_finite_end_their_fit),
        cmocka_unit_test(an_attempt_has_a_stream_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
