#include "train/pv_stepper.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "train/pv_evaluate.h"
#include "pv_lanes.h"
#include "pv_reducer.h"
#include "pv_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A micro-batch of this rank, or all of its part. */
typedef struct micro {
    pv_stepper *stepper;
    pv_model *model;
    int64_t first; /* rows of the part before it */
    int count;
    double *values; /* what it has brought to a sum, while it waits in it */
    int value_count;
    int64_t ready; /* gradients from here on are final */
} micro;

struct pv_stepper {
    pv_stepper_parts parts;
    micro *micros;
    int count; /* of them: a power of two */
    pv_lanes *lanes;
    pv_optim *optim;
    pv_reducer *reducer;
    int64_t combined;                   /* gradients from here on are summed over this rank's micro-batches */
    pv_real *rows, *outputs, *doutputs; /* of this rank's part */
    double *losses;                     /* of its rows */
    double *micro_losses;               /* [count] */
    int64_t part_rows;                  /* of the largest part */
    pv_part part;
    int64_t before; /* rows of the step before this piece */
    bool last;      /* this piece is the step's last one */
    pv_step_times times;
};

/* Micro-batches of a rank, and the rows of the largest part and micro-batch. */
typedef struct part_shape {
    int count;
    int64_t part, micro;
} part_shape;

static pv_status plan_shape(const pv_stepper_parts *parts, part_shape *shape)
{
    const pv_train_opts *opts = parts->opts;
    const int64_t piece = pv_task_piece(opts), size = parts->comm->size, rows = parts->task->place_rows;
    int64_t leaves = size;
    if (opts->reduce == PV_REDUCE_ORDERED) {
        for (leaves = 1; leaves * opts->micro_batch < piece;)
            leaves *= 2;
        if (leaves < size)
            return pv_fail(
                PV_ERR_CONFIG,
                "train.micro_batch: a pass of %lld samples has %lld micro-batches of at most %lld, too few "
                "for %lld ranks",
                (long long)piece, (long long)leaves, (long long)opts->micro_batch, (long long)size);
    }
    shape->count = (int)(leaves / size);
    shape->part = (piece + size - 1) / size * rows;
    shape->micro = (piece + leaves - 1) / leaves * rows;
    return PV_OK;
}

static pv_status make_micros(pv_stepper *s, const part_shape *shape)
{
    const pv_stepper_parts *parts = &s->parts;
    pv_status st = PV_OK;
    PV_ALLOC(s->micros, shape->count);
    s->count = shape->count;
    for (int i = 0; i < s->count; i++) {
        /* the first one evaluates, too */
        const int64_t rows = i == 0 && shape->micro < PV_EVAL_BATCH ? PV_EVAL_BATCH : shape->micro;
        s->micros[i].stepper = s;
        PV_TRY(pv_model_new(parts->model, parts->arch->dims, parts->arch->layers, parts->task->outputs,
                            (int)rows, &s->micros[i].model));
        if (i > 0) pv_model_share_params(s->micros[i].model, s->micros[0].model);
    }
    PV_TRY(pv_lanes_new(s->count, &s->lanes));
done:
    return st;
}

pv_status pv_stepper_new(const pv_stepper_parts *parts, pv_stepper **out)
{
    const pv_train_opts *opts = parts->opts;
    const pv_optim_opts optim = {opts->optimizer, opts->weight_decay, opts->momentum, opts->amsgrad};
    const int64_t outputs = parts->task->outputs;
    pv_stepper *s = NULL;
    part_shape shape = {0};
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(s, 1);
    s->parts = *parts;
    PV_TRY(plan_shape(parts, &shape));
    PV_TRY(make_micros(s, &shape));
    const int64_t count = pv_model_count(s->micros[0].model);
    PV_TRY(pv_optim_new(&optim, count, &s->optim));
    PV_TRY(pv_reducer_open(parts->comm, opts->reduce, count, &s->reducer));
    s->part_rows = shape.part;
    PV_ALLOC(s->rows, shape.part * pv_arch_params(parts->arch));
    PV_ALLOC(s->outputs, shape.part * outputs);
    PV_ALLOC(s->doutputs, shape.part * outputs);
    PV_ALLOC(s->losses, shape.part);
    PV_ALLOC(s->micro_losses, s->count);
    *out = s;
    s = NULL;
done:
    pv_stepper_free(s);
    return st;
}

void pv_stepper_free(pv_stepper *s)
{
    if (!s) return;
    for (int i = 0; i < s->count; i++)
        pv_model_free(s->micros[i].model);
    free(s->micros);
    pv_lanes_free(s->lanes);
    pv_optim_free(s->optim);
    pv_reducer_close(s->reducer);
    free(s->rows);
    free(s->outputs);
    free(s->doutputs);
    free(s->losses);
    free(s->micro_losses);
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
    return pv_schedule_rate(s->parts.opts, pv_optim_steps(s->optim), s->parts.steps);
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

/* ---- sums over micro-batches and ranks ---- */

/* The sum over micro-batches of what each has brought, given back to each: pairs of neighbours first. */
static void meet(void *context)
{
    pv_stepper *const s = context;
    micro *const all = s->micros;
    const int count = all[0].value_count;
    for (int distance = 1; distance < s->count; distance *= 2)
        for (int i = 0; i + distance < s->count; i += 2 * distance)
            for (int k = 0; k < count; k++)
                all[i].values[k] += all[i + distance].values[k];
    pv_reducer_sum(s->reducer, all[0].values, count);
    for (int i = 1; i < s->count; i++)
        memcpy(all[i].values, all[0].values, sizeof(double) * (size_t)count);
}

static void sum_over_batch(void *context, double *values, int count)
{
    micro *const m = context;
    m->values = values;
    m->value_count = count;
    pv_lanes_meet(m->stepper->lanes);
}

/* The same tree for gradients first..end-1; the sum is the first micro-batch's. */
static void combine(pv_stepper *s, int64_t first, int64_t end)
{
    const double start = pv_seconds();
    for (int distance = 1; distance < s->count; distance *= 2)
        for (int i = 0; i + distance < s->count; i += 2 * distance) {
            pv_real *const restrict left = pv_model_gradients(s->micros[i].model);
            const pv_real *const restrict right = pv_model_gradients(s->micros[i + distance].model);
            for (int64_t k = first; k < end; k++)
                left[k] += right[k];
        }
    s->times.reduce += pv_seconds() - start;
}

/* What all micro-batches have finished goes on to the other ranks. */
static void gradients_ready(void *context, int64_t offset)
{
    micro *const m = context;
    pv_stepper *const s = m->stepper;
    int64_t ready = 0;
    m->ready = offset;
    if (!s->last) return;
    for (int i = 0; i < s->count; i++)
        ready = s->micros[i].ready > ready ? s->micros[i].ready : ready;
    if (ready >= s->combined) return;
    combine(s, ready, s->combined);
    s->combined = ready;
    pv_reducer_ready(s->reducer, ready);
}

/* ---- one piece of a step ---- */

/* This rank's part of a piece, ready for the model. */
static pv_status take_part(pv_stepper *s, const pv_norm *norm, int64_t epoch, int64_t piece)
{
    pv_part *const part = &s->part;
    const double start = pv_seconds();
    const pv_status st = s->parts.task->ops->take(s->parts.task, epoch, piece, part);
    for (int64_t i = 0; i < part->count; i++)
        pv_norm_apply(norm, part->rows + i * norm->params, s->rows + i * norm->params);
    const int64_t rows = s->parts.task->place_rows, places = part->global / rows;
    const int64_t leaves = (int64_t)s->count * s->parts.comm->size;
    for (int i = 0; i < s->count; i++) {
        const int64_t leaf = (int64_t)s->count * s->parts.comm->rank + i;
        const int64_t first = pv_share_start(places, leaf, leaves) * rows;
        s->micros[i].first = first - part->first;
        s->micros[i].count = (int)(pv_share_start(places, leaf + 1, leaves) * rows - first);
        s->micros[i].ready = pv_model_count(s->micros[i].model);
    }
    s->times.data += pv_seconds() - start;
    return st;
}

static pv_pass pass_of(micro *m)
{
    const pv_stepper *s = m->stepper;
    return (pv_pass){.training = true,
                     .global_batch = s->part.global,
                     .first_sample = s->before + s->part.first + m->first,
                     .seed = s->parts.opts->seed,
                     .step = (uint64_t)pv_optim_steps(s->optim),
                     .sum = sum_over_batch,
                     .ready = gradients_ready,
                     .sum_context = m};
}

static void forward(void *context, int lane)
{
    pv_stepper *const s = context;
    micro *const m = &s->micros[lane];
    const pv_pass pass = pass_of(m);
    pv_model_forward(m->model, &pass, s->rows + m->first * pv_arch_params(s->parts.arch), m->count,
                     s->outputs + m->first * s->parts.task->outputs);
}

static void backward(void *context, int lane)
{
    pv_stepper *const s = context;
    micro *const m = &s->micros[lane];
    const pv_pass pass = pass_of(m);
    pv_model_backward(m->model, &pass, s->doutputs + m->first * s->parts.task->outputs, NULL);
}

/* Of a piece, this rank's share; micro_losses holds each micro-batch's sum. */
typedef struct piece_tally {
    int64_t correct;
    uint64_t mark;
} piece_tally;

/* Forward, loss and backward of a piece; adds to gradients, losses and the tally. */
static pv_status run_piece(pv_stepper *s, const pv_norm *norm, int64_t epoch, int64_t piece, double scale,
                           piece_tally *tally)
{
    pv_task *const task = s->parts.task;
    const pv_status taken = take_part(s, norm, epoch, piece);
    pv_lanes_run(s->lanes, forward, meet, s);
    tally->correct += task->ops->loss(task, &s->part, s->outputs, scale, s->losses, s->doutputs);
    tally->mark += s->part.mark;
    for (int i = 0; i < s->count; i++)
        for (int64_t k = 0; k < s->micros[i].count; k++)
            s->micro_losses[i] += s->losses[s->micros[i].first + k];
    pv_lanes_run(s->lanes, backward, meet, s);
    s->before += s->part.global;
    return taken;
}

/* ---- the step ---- */

static void begin_step(pv_stepper *s)
{
    const int64_t count = pv_model_count(s->micros[0].model);
    for (int i = 0; i < s->count; i++) {
        memset(pv_model_gradients(s->micros[i].model), 0, sizeof(pv_real) * (size_t)count);
        s->micro_losses[i] = 0;
    }
    s->before = 0;
    s->combined = count;
    pv_reducer_begin(s->reducer, pv_model_gradients(s->micros[0].model), count);
}

static double sum_losses(pv_stepper *s)
{
    for (int distance = 1; distance < s->count; distance *= 2)
        for (int i = 0; i + distance < s->count; i += 2 * distance)
            s->micro_losses[i] += s->micro_losses[i + distance];
    return s->micro_losses[0];
}

static pv_status fail_numeric(const pv_stepper *s, pv_status taken, int64_t epoch, int64_t batch)
{
    const pv_status st = pv_agree(s->parts.comm, taken);
    return st != PV_OK
               ? st
               : pv_fail(PV_ERR_NUMERIC, "the loss is not finite in epoch %lld, batch %lld: lower train.lr",
                         (long long)epoch + 1, (long long)batch + 1);
}

/* Shortens the gradient to opts->clip; all ranks hold the same one. */
static void clip(const pv_stepper *s)
{
    enum { PARTS = 16 };
    pv_real *const gradients = pv_model_gradients(s->micros[0].model);
    const int64_t count = pv_model_count(s->micros[0].model);
    double squares[PARTS] = {0}, sum = 0;
    for (int64_t first = 0; first < count; first += PARTS)
        for (int k = 0; k < PARTS && first + k < count; k++)
            squares[k] += (double)gradients[first + k] * (double)gradients[first + k];
    for (int k = 0; k < PARTS; k++)
        sum += squares[k];
    const double norm = sqrt(sum), most = s->parts.opts->clip;
    for (int64_t i = 0; norm > most && i < count; i++)
        gradients[i] = (pv_real)((double)gradients[i] * (most / norm));
}

pv_status pv_stepper_step(pv_stepper *s, const pv_norm *norm, int64_t epoch, int64_t batch, pv_step *step)
{
    enum { LOSS, CORRECT, STOP, SAVE, SUMS };
    const pv_task *task = s->parts.task;
    const int64_t pieces = s->parts.opts->accumulate;
    const double start = pv_seconds();
    piece_tally tally = {0};
    /* A rank that fails here goes on to the next sum, which tells the others by a loss that is not finite. */
    pv_status taken = PV_OK;
    int64_t rows = 0;
    for (int64_t i = 0; i < pieces; i++)
        rows += pv_task_places(task, batch * pieces + i) * task->place_rows;
    begin_step(s);
    for (int64_t i = batch * pieces; s->before < rows; i++) {
        s->last = s->before + pv_task_places(task, i) * task->place_rows == rows;
        const pv_status st = run_piece(s, norm, epoch, i, 1.0 / (double)rows, &tally);
        if (taken == PV_OK) taken = st;
    }
    double sums[SUMS] = {taken == PV_OK ? sum_losses(s) : (double)NAN, (double)tally.correct,
                         pv_stop_requested(), step->save};
    pv_reducer_finish(s->reducer);
    pv_reducer_sum(s->reducer, sums, SUMS);
    if (!isfinite(sums[LOSS])) return fail_numeric(s, taken, epoch, batch);
    if (s->parts.opts->clip > 0) clip(s);
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
    const int64_t scratch = s->parts.opts->reduce == PV_REDUCE_ORDERED;
    pv_step_memory memory = {.optimiser = (pv_optim_slots(s->optim) + scratch) * count * real};
    for (int i = 0; i < s->count; i++)
        memory.models += pv_model_memory(s->micros[i].model);
    memory.batch = s->part_rows * (real * (pv_arch_params(s->parts.arch) + 2 * s->parts.task->outputs) +
                                   (int64_t)sizeof *s->losses);
    return memory;
}
