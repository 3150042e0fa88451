/* A step: chunks of a batch through the model, sums over micro-batches and ranks, the update. */
#include "train/pv_stepper.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "train/pv_evaluate.h"
#include "train/pv_reducer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a step sums up at its end. */
enum { LOSS, CORRECT, STOP, SAVE, TOTALS };

/* A micro-batch of this rank, or all of its share. */
typedef struct micro {
    pv_model *model;
    int64_t first; /* rows of the share before it */
    int count;
    pv_batch_sums sums; /* what the last stage left to be summed */
    double totals[TOTALS];
} micro;

struct pv_stepper {
    pv_stepper_setup setup;
    pv_memory memory; /* of the arrays */
    micro *micros;
    int count;
    int64_t leaves; /* micro-batches of all ranks, and the first one of this rank's */
    int64_t leaf;
    pv_real **gradients; /* [count] */
    double **values;     /* [count], of a sum */
    pv_optim *optim;
    pv_reducer *reducer;
    pv_batch batch;              /* this rank's share of a chunk */
    int64_t share;               /* rows of the largest one */
    pv_real *outputs, *doutputs; /* [share][outputs] */
    double *losses;              /* [share] */
    int64_t before;              /* rows of the step before this chunk */
    bool last;                   /* this chunk is the step's last one */
    pv_step_times times;
};

/* Shares the micro-batches out. */
static pv_status share_out(pv_stepper *s)
{
    const pv_train_opts *opts = s->setup.opts;
    const int rank = s->setup.comm->rank, size = s->setup.comm->size;
    s->leaves = pv_task_leaves(opts, size);
    if (s->leaves < size)
        return pv_fail(
            PV_ERR_CONFIG,
            "train.micro_batch: a pass of %lld samples has %lld micro-batches of at most %lld, too few "
            "for %d ranks, as train.reduce: ordered gives each at least one: start at most %lld",
            (long long)pv_task_chunk(opts), (long long)s->leaves, (long long)opts->micro_batch, size,
            (long long)s->leaves);
    s->leaf = pv_share_start(s->leaves, rank, size);
    s->count = (int)(pv_share_start(s->leaves, rank + 1, size) - s->leaf);
    return PV_OK;
}

static pv_status make_micros(pv_stepper *s)
{
    const pv_stepper_setup *setup = &s->setup;
    const int64_t chunk = pv_task_chunk(setup->opts);
    const int64_t rows = (chunk + s->leaves - 1) / s->leaves * setup->task->kind->place_rows;
    pv_model_opts model = *setup->model;
    pv_status st = PV_OK;
    model.narrow = setup->opts->precision == PV_OPERANDS_BFLOAT16;
    PV_TAKE(&s->memory, s->count, &s->micros);
    PV_TAKE(&s->memory, s->count, &s->gradients);
    PV_TAKE(&s->memory, s->count, &s->values);
    PV_TRY(pv_memory_status(&s->memory));
    for (int i = 0; i < s->count; i++) {
        /* the first one evaluates, too */
        const int64_t most = i == 0 && rows < PV_EVAL_BATCH ? PV_EVAL_BATCH : rows;
        PV_TRY(pv_model_new(&model, setup->arch, setup->task->outputs, (int)most, &s->micros[i].model));
        if (i > 0) pv_model_share_params(s->micros[i].model, s->micros[0].model);
    }
done:
    return st;
}

static pv_status check_rows(const pv_stepper_setup *setup)
{
    const pv_model_kind *kind = (const pv_model_kind *)setup->model->kind.plugin;
    const pv_normalise how = setup->opts->form.normalise;
    if (kind->rows == PV_ROWS_WITH_SIGNS && (how == PV_NORMALISE_ENTRY || how == PV_NORMALISE_TENSOR))
        pv_log_warn("model.kind: %s knows the signs of units, which a mean that is taken away hides: "
                    "train.normalise: scale keeps them",
                    kind->plugin.name);
    if (kind->rows != PV_ROWS_AS_THEY_ARE || how == PV_NORMALISE_NONE) return PV_OK;
    return pv_fail(PV_ERR_CONFIG,
                   "model.kind: %s evaluates INRs and takes their weights as they are: say "
                   "train.normalise: none",
                   kind->plugin.name);
}

pv_status pv_stepper_new(const pv_stepper_setup *setup, pv_stepper **out)
{
    const pv_train_opts *opts = setup->opts;
    const pv_optim_opts optim = {opts->optimizer, opts->weight_decay, opts->momentum, opts->amsgrad};
    const int64_t outputs = setup->task->outputs;
    pv_stepper *s = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(s, 1);
    s->setup = *setup;
    PV_TRY(check_rows(setup));
    PV_TRY(share_out(s));
    PV_TRY(make_micros(s));
    const int64_t count = pv_model_count(s->micros[0].model);
    PV_TRY(pv_optim_new(&optim, count, &s->optim));
    PV_TRY(pv_reducer_open(setup->comm, &(pv_reducer_setup){opts->reduce, opts->wire, s->leaves, count},
                           &s->reducer));
    s->share = pv_task_share(setup->task->kind, opts, setup->comm->size);
    PV_TAKE(&s->memory, s->share * outputs, &s->outputs, &s->doutputs);
    PV_TAKE(&s->memory, s->share, &s->losses);
    PV_TRY(pv_memory_status(&s->memory));
    *out = s;
    s = NULL;
done:
    pv_stepper_free(s);
    return st;
}

void pv_stepper_free(pv_stepper *s)
{
    if (!s) return;
    for (int i = 0; s->micros && i < s->count; i++)
        pv_model_free(s->micros[i].model);
    pv_optim_free(s->optim);
    pv_reducer_close(s->reducer);
    pv_memory_free(&s->memory);
    free(s);
}

pv_model *pv_stepper_model(pv_stepper *s)
{
    return s->micros[0].model;
}

pv_optim *pv_stepper_optim(pv_stepper *s)
{
    return s->optim;
}

double pv_stepper_rate(const pv_stepper *s)
{
    return pv_train_rate(s->setup.opts, pv_optim_steps(s->optim), s->setup.steps);
}

void pv_stepper_loaded(pv_stepper *s)
{
    const pv_model_tensor *from, *to;
    const int count = pv_model_tensors(s->micros[0].model, &from);
    for (int i = 1; i < s->count; i++) {
        pv_model_tensors(s->micros[i].model, &to);
        for (int t = 0; t < count; t++)
            if (!from[t].gradients)
                memcpy(to[t].values, from[t].values, sizeof(pv_real) * (size_t)from[t].count);
    }
}

pv_step_times pv_stepper_times(const pv_stepper *s)
{
    const pv_reducer_times reducer = pv_reducer_spent(s->reducer);
    pv_step_times times = s->times;
    times.reduce += reducer.work;
    times.wait += reducer.wait;
    return times;
}

/* Replaces what the micro-batches' stages have left by the sum over all of them. */
static void meet(pv_stepper *s)
{
    const pv_batch_sums sums = s->micros[0].sums;
    if (sums.count == 0) return;
    for (int i = 0; i < s->count; i++)
        s->values[i] = s->micros[i].sums.values;
    pv_reducer_sum(s->reducer, s->values, sums.count);
    for (int i = 1; i < s->count; i++)
        memcpy(s->micros[i].sums.values, sums.values, sizeof *sums.values * (size_t)sums.count);
}

/* ---- one chunk of a step ---- */

/* This rank's share of a chunk, ready for the model, and the micro-batches' shares of it. */
static pv_status take_share(pv_stepper *s, int64_t epoch, int64_t chunk)
{
    const double start = pv_seconds();
    const pv_status st = pv_task_take(s->setup.task, epoch, chunk, &s->batch);
    const int64_t rows = s->setup.task->kind->place_rows, places = s->batch.global / rows;
    for (int i = 0; i < s->count; i++) {
        const int64_t first = pv_share_start(places, s->leaf + i, s->leaves) * rows;
        s->micros[i].first = first - s->batch.first;
        s->micros[i].count = (int)(pv_share_start(places, s->leaf + i + 1, s->leaves) * rows - first);
    }
    s->times.data += pv_seconds() - start;
    return st;
}

static pv_pass pass_of(const pv_stepper *s, const micro *m)
{
    return (pv_pass){.training = true,
                     .global_batch = s->batch.global,
                     .first_sample = s->before + s->batch.first + m->first,
                     .seed = s->setup.opts->seed,
                     .step = (uint64_t)pv_optim_steps(s->optim)};
}

/* All micro-batches stage by stage, so that they meet between any two. */
static void forward(pv_stepper *s)
{
    const int64_t width = pv_reading_count(s->setup.arch, s->setup.model->features);
    const int64_t outputs = s->setup.task->outputs;
    for (int stage = 0; stage < pv_model_stages(s->micros[0].model); stage++) {
        for (int i = 0; i < s->count; i++) {
            micro *const m = &s->micros[i];
            const pv_pass pass = pass_of(s, m);
            m->sums = pv_model_forward_stage(m->model, &pass, stage, s->batch.rows + m->first * width,
                                             m->count, s->outputs + m->first * outputs);
        }
        meet(s);
    }
}

static void backward(pv_stepper *s)
{
    const int64_t outputs = s->setup.task->outputs;
    for (int stage = pv_model_stages(s->micros[0].model) - 1; stage >= 0; stage--) {
        for (int i = 0; i < s->count; i++) {
            micro *const m = &s->micros[i];
            const pv_pass pass = pass_of(s, m);
            m->sums = pv_model_backward_stage(m->model, &pass, stage, s->doutputs + m->first * outputs, NULL);
        }
        if (s->last) pv_reducer_ready(s->reducer, pv_model_stage_begin(s->micros[0].model, stage));
        meet(s);
    }
}

/* Of the chunks so far, on this rank. */
typedef struct chunk_tally {
    int64_t correct;
    uint64_t mark;
} chunk_tally;

/* Forward, loss and backward of a chunk; adds to gradients, losses and the tally. */
static pv_status run_chunk(pv_stepper *s, int64_t epoch, int64_t chunk, double scale, chunk_tally *tally)
{
    pv_task *const task = s->setup.task;
    const pv_status taken = take_share(s, epoch, chunk);
    forward(s);
    tally->correct += task->kind->loss(task, &s->batch, s->outputs, scale, s->losses, s->doutputs);
    tally->mark += s->batch.mark;
    for (int i = 0; i < s->count; i++)
        for (int64_t k = 0; k < s->micros[i].count; k++)
            s->micros[i].totals[LOSS] += s->losses[s->micros[i].first + k];
    backward(s);
    s->before += s->batch.global;
    return taken;
}

/* ---- the step ---- */

static void begin_step(pv_stepper *s)
{
    const int64_t count = pv_model_count(s->micros[0].model);
    pv_real **const gradients = s->gradients;
    for (int i = 0; i < s->count; i++) {
        gradients[i] = pv_model_gradients(s->micros[i].model);
        memset(gradients[i], 0, sizeof(pv_real) * (size_t)count);
        memset(s->micros[i].totals, 0, sizeof s->micros[i].totals);
    }
    s->before = 0;
    pv_reducer_begin(s->reducer, gradients, count);
}

/* What the step gave, over all ranks: the first micro-batch's totals. */
static const double *sum_totals(pv_stepper *s)
{
    for (int i = 0; i < s->count; i++)
        s->values[i] = s->micros[i].totals;
    pv_reducer_finish(s->reducer);
    pv_reducer_sum(s->reducer, s->values, TOTALS);
    return s->values[0];
}

static pv_status fail_numeric(const pv_stepper *s, pv_status taken, int64_t epoch, int64_t batch)
{
    const pv_status st = pv_agree(s->setup.comm, taken);
    return st != PV_OK
               ? st
               : pv_fail(PV_ERR_NUMERIC,
                         "the loss is not finite in epoch %lld, batch %lld: lower train.lr and continue with "
                         "--lower-rate, or begin anew with --fresh",
                         (long long)epoch + 1, (long long)batch + 1);
}

/* Shortens the gradient to opts->clip; all ranks hold the same one. */
static void clip(const pv_stepper *s)
{
    enum { LANES = 16 };
    pv_real *const gradients = pv_model_gradients(s->micros[0].model);
    const int64_t count = pv_model_count(s->micros[0].model);
    double squares[LANES] = {0}, sum = 0;
    for (int64_t first = 0; first < count; first += LANES)
        for (int k = 0; k < LANES && first + k < count; k++)
            squares[k] += (double)gradients[first + k] * (double)gradients[first + k];
    for (int k = 0; k < LANES; k++)
        sum += squares[k];
    const double norm = sqrt(sum), most = s->setup.opts->clip;
    for (int64_t i = 0; norm > most && i < count; i++)
        gradients[i] = (pv_real)((double)gradients[i] * (most / norm));
}

pv_status pv_stepper_step(pv_stepper *s, int64_t epoch, int64_t batch, pv_step *step)
{
    const pv_task *task = s->setup.task;
    const int64_t chunks = s->setup.opts->accumulate;
    const double start = pv_seconds();
    chunk_tally tally = {0};
    /* A rank that fails here goes on to the next sum, which tells the others by a loss that is not finite. */
    pv_status taken = PV_OK;
    int64_t rows = 0;
    for (int64_t i = 0; i < chunks; i++)
        rows += pv_task_places(task, batch * chunks + i) * task->kind->place_rows;
    begin_step(s);
    for (int64_t i = batch * chunks; s->before < rows; i++) {
        s->last = s->before + pv_task_places(task, i) * task->kind->place_rows == rows;
        const pv_status st = run_chunk(s, epoch, i, 1.0 / (double)rows, &tally);
        if (taken == PV_OK) taken = st;
    }
    double *const own = s->micros[0].totals;
    if (taken != PV_OK) own[LOSS] = (double)NAN;
    own[CORRECT] = (double)tally.correct;
    own[STOP] = pv_stop_requested();
    own[SAVE] = step->save;
    const double *sums = sum_totals(s);
    if (!isfinite(sums[LOSS])) return fail_numeric(s, taken, epoch, batch);
    if (s->setup.opts->clip > 0) clip(s);
    pv_optim_step(s->optim, pv_stepper_rate(s), pv_model_gradients(s->micros[0].model),
                  pv_model_params(s->micros[0].model));
    *step = (pv_step){.loss_sum = sums[LOSS],
                      .rows = rows,
                      .correct = (int64_t)sums[CORRECT],
                      .mark = tally.mark,
                      .stop = sums[STOP] > 0,
                      .save = sums[SAVE] > 0};
    s->times.whole += pv_seconds() - start;
    return PV_OK;
}

pv_step_memory pv_stepper_memory(const pv_stepper *s)
{
    const int64_t real = sizeof(pv_real), count = pv_model_count(s->micros[0].model);
    pv_step_memory memory = {.optimiser =
                                 pv_optim_slots(s->optim) * count * real + pv_reducer_memory(s->reducer),
                             .batch = s->memory.bytes};
    for (int i = 0; i < s->count; i++)
        memory.models += pv_model_memory(s->micros[i].model);
    return memory;
}
