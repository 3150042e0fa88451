/* `polyview bench train`: the rate of training, how its time is spent, and what the machine could do at
 * most, measured in the same run. */
#include "base/pv_clock.h"
#include "bench/pv_benches.h"
#include "pv_bench.h"
#include "pv_bench_task.h"
#include "run/pv_limits.h"
#include "train/pv_stepper.h"

#include <math.h>
#include <stdio.h>

/* One repetition: the limits, then some steps. */
static const double limits_seconds = 0.01, steps_seconds = 0.05;

/* The words of the command line. */
typedef struct words {
    const char *config;
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
    double seconds;
    pv_run_config *config;
    pv_arch arch;
    pv_bench_rows rows;
    pv_comm self;
    training alone, together; /* alone: on rank 0; together is the same where there is one rank */
    pv_bench_rates rates;
} train_bench;

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
    PV_TRY(pv_bench_task_open(comm, &t->opts, &bench->arch, &bench->config->augment, &bench->rows, &t->task));
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
    pv_step step;
    pv_status st = PV_OK;
    for (int i = 0; st == PV_OK && i < count; i++) {
        step.save = false;
        st = pv_stepper_step(t->stepper, 0, t->batch++, &step);
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
    pv_limits_measure(limits_seconds, &limits);
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
                   json_t *result)
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
    pv_json_real(result, "seconds", bench->seconds);
    pv_result_machine(comm, result);
}

/* The opts of one rank's share of the batch. */
static pv_train_opts opts_of_one(const pv_train_opts *all, int ranks)
{
    pv_train_opts one = *all;
    one.batch = (all->batch / all->accumulate + ranks - 1) / ranks * all->accumulate;
    return one;
}

static pv_status prepare(const pv_comm *comm, const words *w, train_bench *bench)
{
    enum { CLASSES = 10, INPUTS = 2, OUTPUTS = 1 };
    pv_status st;
    PV_TRY(pv_config_of_file(comm, w->config, &w->set, &bench->config));
    st = pv_arch_make(&bench->config->inr, INPUTS, OUTPUTS, &bench->arch);
    if (st == PV_OK) st = pv_bench_rows_make(&bench->arch, bench->config->inr.variant, CLASSES, &bench->rows);
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

static pv_status run_bench(const pv_comm *comm, const pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    train_bench bench = {.seconds = w->seconds, .self = {.world = MPI_COMM_NULL}};
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
    report(comm, &bench, &watched, result);
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
    pv_bench_rows_free(&bench.rows);
    pv_run_config_free(bench.config);
    return st;
}

const pv_command pv_bench_train = {
    .plugin = {.name = "train",
               .help = "the rate of training, and how its time is spent",
               .options = options,
               .options_size = sizeof(words)},
    .about =
        "Times training of the config's model on made-up INRs of the config's widths, with its\n"
        "augmentations, optimiser, batch and reduction: on rank 0 alone with its share of the batch, and on\n"
        "all ranks together, in turn, beside the multiply-add peak.  Tells how the time is spent.\n",
    .run = run_bench,
};
