/* `polyview bench train`: the rate of training, how its time is spent, and what the machine could do at
 * most, measured in the same run. */
#include "augment/pv_augment.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "base/pv_stop.h"
#include "bench/pv_benches.h"
#include "inr/pv_inr.h"
#include "pv_bench.h"
#include "run/pv_limits.h"
#include "signal/pv_signal.h"
#include "train/pv_stepper.h"

#include <math.h>
#include <stdio.h>

/* One repetition: the limits, then some steps. */
static const double limits_seconds = 0.01, steps_seconds = 0.05;

/* The words of the command line. */
typedef struct words {
    char *config;
    double seconds;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, seconds), .range = {.low = 0, .high = 1e6, .open_low = true}, .value = "T",
     .initial = "10", .meaning = "for how long"},
    {PV_KEY(words, config), .value = "FILE", .meaning = "the model and its training"},
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

/* What a repetition measures on a rank. */
enum { RATE, PEAK, SHARE, CORE, COMPUTE, REDUCE, WAIT, DATA, FIGURES };
static const pv_bench_figure about[FIGURES] = {
    [RATE] = {"samples_per_s_core", "samples/s", "%.1f"},
    [PEAK] = {"fma_gflops", "multiply-add peak, GFLOP/s", "%.1f"},
    [SHARE] = {"peak_share", "share of the peak", "%.3f"},
    [CORE] = {"core_share", "share of the time that the core was ours", "%.3f"},
    [COMPUTE] = {"compute_share", "of that time, in computing", "%.3f"},
    [REDUCE] = {"reduce_share", "in adding up and driving MPI", "%.3f"},
    [WAIT] = {"wait_share", "in waiting for other ranks", "%.3f"},
    [DATA] = {"data_share", "in taking and augmenting rows", "%.3f"}};

enum { ROWS = 512, CLASSES = 10 };

/* The made-up rows of a rank: freshly initialised INRs with made-up labels. */
typedef struct made_rows {
    int params;
    float *rows;   /* [ROWS][P] */
    float *frames; /* [ROWS][words], where partners are matched by them; else NULL */
    int words;
    int32_t *labels;  /* [ROWS] */
    pv_row_form form; /* stays at mean 0 and deviation 1: what numbers are does not matter */
} made_rows;

/* What the task of a training owns: as classify, but for where its rows come from; an epoch never ends. */
typedef struct made_task {
    pv_task_kind kind;
    const made_rows *made;
    pv_augmenter *augmenter;
    pv_batch batch; /* its arrays are made once */
} made_task;

/* A training on the ranks of comm. */
typedef struct training {
    const pv_comm *comm;
    pv_train_opts opts;
    pv_task task;
    pv_stepper *stepper;
    int64_t batch; /* the next one's number */
    int steps;     /* of a repetition */
} training;

typedef struct train_bench {
    pv_run_config *config;
    pv_arch arch;
    made_rows rows;
    pv_comm self;
    training alone, together; /* alone: on rank 0; together is the same where there is one rank */
    pv_bench_rates rates;
} train_bench;

static pv_status make_rows(const pv_arch *arch, pv_inr_variant variant, pv_reading features, made_rows *rows)
{
    pv_status st = PV_OK;
    rows->params = pv_arch_params(arch);
    PV_ALLOC(rows->rows, (int64_t)ROWS * rows->params);
    PV_ALLOC(rows->labels, ROWS);
    PV_TRY(pv_row_form_make(&(pv_row_form_opts){.features = features}, arch, &rows->form));
    for (int64_t r = 0; r < ROWS; r++) {
        pv_rng rng = pv_rng_open(1, PV_RNG_VIEW_INIT, (uint64_t)r, 0);
        pv_inr_init(arch, variant, &rng, rows->rows + r * rows->params);
        rows->labels[r] = (int32_t)pv_rng_below(&rng, CLASSES);
    }
done:
    return st;
}

/* As rows of a store get theirs when they are loaded. */
static pv_status make_frames(const pv_arch *arch, pv_inr_variant variant, const pv_match_opts *match,
                             made_rows *rows)
{
    const pv_fresh fresh = {1, variant};
    float *reference = NULL;
    pv_matcher *matcher = NULL;
    pv_symmetry symmetry = {0};
    pv_status st = PV_OK;
    if (!match) return PV_OK;
    rows->words = pv_frame_words(arch);
    PV_ALLOC(rows->frames, (int64_t)ROWS * rows->words);
    PV_ALLOC(reference, rows->params);
    PV_TRY(pv_matcher_new(arch, match, &matcher));
    PV_TRY(pv_symmetry_make(arch, &symmetry));
    pv_fresh_draw(&fresh, arch, reference);
    for (int64_t r = 0; r < ROWS; r++) {
        pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)r, 0);
        pv_match(matcher, reference, rows->rows + r * rows->params, &rng, &symmetry);
        pv_frame_pack(arch, &symmetry, rows->frames + r * rows->words);
    }
done:
    pv_symmetry_free(&symmetry);
    pv_matcher_free(matcher);
    free(reference);
    return st;
}

static pv_augment_sample sample_at(const made_rows *made, int64_t place)
{
    const int64_t r = place % ROWS;
    return (pv_augment_sample){made->rows + r * made->params, made->labels[r],
                               made->frames ? made->frames + r * made->words : NULL};
}

/* Places are numbered through the epochs; a partner stands half the rows away. */
static pv_status take(pv_task *task, int64_t epoch, int64_t batch, pv_batch *out)
{
    made_task *const own = task->own;
    pv_batch *const b = &own->batch;
    const pv_comm *comm = task->data.comm;
    pv_status st = PV_OK;
    b->global = pv_task_chunk(task->data.opts);
    const int64_t leaves = pv_task_leaves(task->data.opts, comm->size);
    b->first = pv_share_run_start(b->global, leaves, comm->rank, comm->size);
    b->count = (int)(pv_share_run_start(b->global, leaves, comm->rank + 1, comm->size) - b->first);
    for (int64_t i = 0; i < b->count; i++) {
        const pv_augment_key key = {task->data.opts->seed, epoch, batch * b->global + b->first + i};
        const pv_augment_sample sample = sample_at(own->made, key.place),
                                partner = sample_at(own->made, key.place + ROWS / 2);
        const bool mixed = pv_augmenter_partner(own->augmenter, key) != PV_PARTNER_NONE;
        float *const row = b->rows + i * own->made->form.width;
        const pv_status applied = pv_augmenter_apply(own->augmenter, key, sample, mixed ? &partner : NULL,
                                                     row, b->targets + i * task->outputs);
        pv_row_form_finish(&own->made->form, row, row);
        b->labels[i] = sample.label;
        if (st == PV_OK) st = applied;
    }
    *out = *b;
    return st;
}

static void close_task(pv_task *task)
{
    made_task *const own = task->own;
    if (!own) return;
    pv_augmenter_free(own->augmenter);
    PV_FREE(own->batch.rows, own->batch.targets, own->batch.labels, own);
}

static pv_status open_task(const train_bench *bench, training *t)
{
    made_task *own = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(own, 1);
    own->kind =
        (pv_task_kind){.place_rows = 1, .close = close_task, .take = take, .loss = pv_task_classify.loss};
    own->made = &bench->rows;
    t->task = (pv_task){.kind = &own->kind,
                        .data = {.comm = t->comm, .classes = CLASSES, .opts = &t->opts},
                        .places = INT64_MAX,
                        .outputs = CLASSES,
                        .own = own};
    const int64_t share = pv_task_share(&own->kind, &t->opts, t->comm->size);
    PV_ALLOC(own->batch.rows, share * bench->rows.form.width);
    PV_ALLOC(own->batch.targets, share * CLASSES);
    PV_ALLOC(own->batch.labels, share);
    st = pv_augmenter_new(&bench->config->augment, &bench->arch, CLASSES, &own->augmenter);
done:
    return st;
}

static pv_status open_training(const pv_comm *comm, const train_bench *bench, training *t)
{
    t->comm = comm;
    const pv_stepper_setup setup = {.comm = comm,
                                    .opts = &t->opts,
                                    .task = &t->task,
                                    .model = &bench->config->model,
                                    .arch = &bench->arch,
                                    .steps = INT64_MAX};
    pv_status st;
    PV_TRY(open_task(bench, t));
    PV_TRY(pv_stepper_new(&setup, &t->stepper));
    pv_model_init(pv_stepper_model(t->stepper), t->opts.seed);
done:
    return st;
}

static void close_training(training *t)
{
    pv_stepper_free(t->stepper);
    pv_task_close(&t->task);
}

static pv_status take_steps(training *t, int count)
{
    pv_step step = {0};
    pv_status st = PV_OK;
    for (int i = 0; st == PV_OK && i < count; i++) {
        step.save = false;
        st = pv_stepper_step(t->stepper, 0, t->batch++, &step);
        if (st == PV_OK && step.stop) st = pv_stop_fail(); /* on all of its ranks */
    }
    return st;
}

/* The steps of a repetition, as rank 0's clock says. */
static pv_status plan_steps(training *t)
{
    pv_status st = take_steps(t, 2);
    const double start = pv_seconds();
    if (st == PV_OK) st = take_steps(t, 1);
    t->steps = (int)fmin(1000, fmax(1, steps_seconds / (pv_seconds() - start)));
    MPI_Bcast(&t->steps, 1, MPI_INT, 0, t->comm->world);
    return st;
}

/* Limits, then steps.  Collective over the training's ranks. */
static pv_status repeat(void *context, bool together, double *figures)
{
    train_bench *const bench = context;
    training *const t = together ? &bench->together : &bench->alone;
    pv_limits limits;
    pv_limits_measure(limits_seconds, PV_PRECISION_FLOAT32, NULL, &limits);
    MPI_Barrier(t->comm->world);
    const pv_step_times before = pv_stepper_times(t->stepper);
    const double start = pv_seconds(), busy = pv_thread_seconds();
    const pv_status st = take_steps(t, t->steps);
    const double elapsed = pv_seconds() - start;
    const pv_step_times after = pv_stepper_times(t->stepper);
    figures[RATE] = (double)t->opts.batch * t->steps / t->comm->size / elapsed;
    figures[PEAK] = limits.fma_gflops;
    figures[CORE] = fmin(1, (pv_thread_seconds() - busy) / elapsed);
    figures[SHARE] =
        figures[RATE] * pv_model_sample_flops(pv_stepper_model(t->stepper)) / (limits.fma_gflops * 1e9);
    figures[REDUCE] = (after.reduce - before.reduce) / elapsed;
    figures[WAIT] = (after.wait - before.wait) / elapsed;
    figures[DATA] = (after.data - before.data) / elapsed;
    figures[COMPUTE] = 1 - figures[REDUCE] - figures[WAIT] - figures[DATA];
    return st;
}

static void report(const pv_comm *comm, const train_bench *bench, const pv_bench_watched *watched,
                   double seconds, json_t *result)
{
    pv_model *const model = pv_stepper_model(bench->together.stepper);
    const pv_train_opts *opts = &bench->together.opts;
    pv_json_text(result, "bench", "train");
    pv_json_text(result, "model", bench->config->model.kind.plugin->name);
    json_object_set_new(result, "dims", pv_arch_dims_json(&bench->arch));
    pv_json_int(result, "parameters", pv_model_count(model));
    pv_json_real(result, "sample_flops", pv_model_sample_flops(model));
    pv_json_int(result, "batch", opts->batch);
    pv_json_text(result, "reduce", opts->reduce == PV_REDUCE_ORDERED ? "ordered" : "fast");
    pv_json_int(result, "augmentations", bench->config->augment.count);
    pv_bench_put(watched, bench->rates.together, "", result);
    pv_bench_put(watched, bench->rates.alone, "_alone", result);
    pv_json_real(result, "samples_per_s", bench->rates.together[RATE] * comm->size);
    pv_json_real(result, "speedup", bench->rates.scaling * comm->size);
    pv_json_real(result, "scaling", bench->rates.scaling);
    pv_json_real(result, "seconds", seconds);
    pv_result_machine(comm, result);
}

/* The opts of one rank's share of the batch. */
static pv_train_opts opts_of_one(const pv_train_opts *all, int ranks)
{
    pv_train_opts one = *all;
    one.batch = (all->batch / all->accumulate + ranks - 1) / ranks * all->accumulate;
    return one;
}

/* INRs of the config's signal; of grey pictures if that cannot be read. */
static pv_status make_arch(const pv_comm *comm, const pv_run_config *config, pv_arch *arch)
{
    pv_source_form form = {.inputs = 2, .channels = 1};
    pv_signal_opts opts = config->signal;
    pv_signal *signal = NULL;
    opts.most = 1;
    const pv_status st = pv_signal_open(comm, &opts, &signal);
    if (st == PV_ERR_IO) pv_log_warn("INRs of grey pictures are made up: %s", pv_fail_message());
    if (st != PV_OK && st != PV_ERR_IO) return st;
    if (signal) form = *pv_signal_form(signal);
    pv_signal_close(signal);
    return pv_agree(comm, pv_arch_make(&config->inr, form.inputs, form.channels, config->fit.seed, arch));
}

static pv_status prepare(const pv_comm *comm, const words *w, train_bench *bench)
{
    pv_status st;
    PV_TRY(pv_config_of_file(comm, w->config, &w->set, &bench->config));
    PV_TRY(make_arch(comm, bench->config, &bench->arch));
    const pv_inr_variant variant = bench->config->inr.variant;
    st = make_rows(&bench->arch, variant, bench->config->model.features, &bench->rows);
    if (st == PV_OK)
        st = make_frames(&bench->arch, variant, pv_augment_frames(&bench->config->augment), &bench->rows);
    bench->alone.opts = opts_of_one(&bench->config->train, comm->size);
    bench->together.opts = bench->config->train;
    if (st == PV_OK && comm->rank == 0) pv_comm_open(MPI_COMM_SELF, 0, &bench->self);
    if (st == PV_OK && comm->rank == 0) st = open_training(&bench->self, bench, &bench->alone);
    if (st == PV_OK && comm->rank == 0) st = plan_steps(&bench->alone);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_agree(comm, open_training(comm, bench, &bench->together)));
    st = pv_agree(comm, plan_steps(&bench->together));
done:
    return st;
}

static pv_status run_bench(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    train_bench bench = {.self = {.world = MPI_COMM_NULL}};
    const pv_bench_watched watched = {.about = about,
                                      .figures = FIGURES,
                                      .rate = RATE,
                                      .repetition = limits_seconds + steps_seconds,
                                      .in_step = true,
                                      .context = &bench,
                                      .repeat = repeat};
    pv_status st;
    (void)run; /* a bench leaves no record */
    PV_TRY(prepare(comm, w, &bench));
    PV_TRY(pv_bench_rounds(comm, &watched, w->seconds, &bench.rates));
    report(comm, &bench, &watched, w->seconds, result);
    if (comm->rank == 0 && !w->json) {
        pv_bench_print(&watched, &bench.rates);
        fprintf(stderr, "\n  %-44s %10.1f\n", "all ranks, samples/s",
                bench.rates.together[RATE] * comm->size);
        fprintf(stderr, "  %-44s %10.2f\n", "times the rate of one rank", bench.rates.scaling * comm->size);
    }
done:
    close_training(&bench.alone);
    close_training(&bench.together);
    if (bench.self.world != MPI_COMM_NULL) pv_comm_close(&bench.self);
    PV_FREE(bench.rows.rows, bench.rows.frames, bench.rows.labels);
    pv_row_form_free(&bench.rows.form);
    pv_run_config_free(bench.config);
    return st;
}

const pv_command pv_bench_train = {
    .plugin = {.name = "train",
               .help = "the rate of training, and how its time is spent",
               PV_OWN(options, words)},
    .about =
        "Times training of the config's model on made-up INRs of the config's signal and widths, with its\n"
        "augmentations, optimiser, batch and reduction: on rank 0 alone with its share of the batch, and on\n"
        "all ranks together, in turn, beside the multiply-add peak.  Tells how the time is spent.\n",
    .run = run_bench,
};
