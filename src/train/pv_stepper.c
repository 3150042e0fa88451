#include "train/pv_stepper.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "train/pv_evaluate.h"
#include "train/pv_reducer.h"
#include "train/pv_schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pv_stepper {
    pv_stepper_parts parts;
    pv_model *model;
    pv_optim *optim;
    pv_reducer *reducer;
    int max_rows;
    pv_real *rows, *outputs, *doutputs; /* of this rank's part */
    double *losses;
    pv_step_times times;
};

pv_status pv_stepper_new(const pv_stepper_parts *parts, pv_stepper **out)
{
    const pv_train_opts *opts = parts->opts;
    const pv_optim_opts optim = {opts->optimizer, opts->weight_decay, opts->momentum, opts->amsgrad};
    const int64_t outputs = parts->task->outputs, size = parts->comm->size;
    const int64_t share = (pv_task_piece(opts) + size - 1) / size * parts->task->place_rows;
    pv_stepper *s = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    PV_ALLOC(s, 1);
    s->parts = *parts;
    s->max_rows = (int)(share > PV_EVAL_BATCH ? share : PV_EVAL_BATCH);
    PV_TRY(pv_model_new(parts->model, parts->arch->dims, parts->arch->layers, parts->task->outputs,
                        s->max_rows, &s->model));
    PV_TRY(pv_optim_new(&optim, pv_model_count(s->model), &s->optim));
    PV_TRY(pv_reducer_open(parts->comm, &s->reducer));
    PV_ALLOC(s->rows, share * pv_arch_params(parts->arch));
    PV_ALLOC(s->outputs, share * outputs);
    PV_ALLOC(s->doutputs, share * outputs);
    PV_ALLOC(s->losses, share);
    *out = s;
    s = NULL;
done:
    pv_stepper_free(s);
    return st;
}

void pv_stepper_free(pv_stepper *s)
{
    if (!s) return;
    pv_model_free(s->model);
    pv_optim_free(s->optim);
    pv_reducer_close(s->reducer);
    free(s->rows);
    free(s->outputs);
    free(s->doutputs);
    free(s->losses);
    free(s);
}

pv_model *pv_stepper_model(pv_stepper *s)
{
    return s->model;
}

pv_optim *pv_stepper_optim(pv_stepper *s)
{
    return s->optim;
}

int pv_stepper_max_rows(const pv_stepper *s)
{
    return s->max_rows;
}

pv_step_times pv_stepper_times(const pv_stepper *s)
{
    pv_step_times times = s->times;
    times.reduce = pv_reducer_seconds(s->reducer);
    return times;
}

static void sum_over_ranks(void *context, double *values, int count)
{
    pv_reducer_sum(((pv_stepper *)context)->reducer, values, count);
}

/* This rank's part of a batch, ready for the model. */
static pv_status take_part(pv_stepper *s, const pv_norm *norm, int64_t epoch, int64_t batch, pv_part *part)
{
    const double start = pv_seconds();
    const pv_status st = s->parts.task->ops->take(s->parts.task, epoch, batch, part);
    for (int64_t i = 0; i < part->count; i++)
        pv_norm_apply(norm, part->rows + i * norm->params, s->rows + i * norm->params);
    s->times.data += pv_seconds() - start;
    return st;
}

/* Forward, loss and backward: leaves this rank's share of the gradients.  Returns the rows it got right. */
static int64_t run_model(pv_stepper *s, const pv_part *part)
{
    pv_task *const task = s->parts.task;
    const pv_pass pass = {.training = true,
                          .global_batch = part->global,
                          .first_sample = part->first,
                          .seed = s->parts.opts->seed,
                          .step = (uint64_t)pv_optim_steps(s->optim),
                          .sum = sum_over_ranks,
                          .sum_context = s};
    memset(pv_model_gradients(s->model), 0, sizeof(pv_real) * (size_t)pv_model_count(s->model));
    pv_model_forward(s->model, &pass, s->rows, part->count, s->outputs);
    const int64_t correct =
        task->ops->loss(task, part, s->outputs, 1.0 / (double)part->global, s->losses, s->doutputs);
    pv_model_backward(s->model, &pass, s->doutputs, NULL);
    return correct;
}

static pv_status fail_numeric(const pv_stepper *s, pv_status taken, int64_t epoch, int64_t batch)
{
    const pv_status st = pv_agree(s->parts.comm, taken);
    return st != PV_OK
               ? st
               : pv_fail(PV_ERR_NUMERIC, "the loss is not finite in epoch %lld, batch %lld: lower train.lr",
                         (long long)epoch + 1, (long long)batch + 1);
}

pv_status pv_stepper_step(pv_stepper *s, const pv_norm *norm, int64_t epoch, int64_t batch, pv_step *step)
{
    enum { LOSS, CORRECT, STOP, SUMS };
    const double start = pv_seconds();
    pv_part part;
    double sums[SUMS] = {0};
    /* A rank that fails here goes on to the next sum, which tells the others by a loss that is not finite. */
    const pv_status taken = take_part(s, norm, epoch, batch, &part);
    sums[CORRECT] = (double)run_model(s, &part);
    for (int i = 0; i < part.count; i++)
        sums[LOSS] += s->losses[i];
    if (taken != PV_OK) sums[LOSS] = (double)NAN;
    sums[STOP] = pv_stop_requested();
    pv_reducer_gradients(s->reducer, pv_model_gradients(s->model), pv_model_count(s->model));
    pv_reducer_sum(s->reducer, sums, SUMS);
    if (!isfinite(sums[LOSS])) return fail_numeric(s, taken, epoch, batch);
    pv_optim_step(s->optim, pv_schedule_rate(s->parts.opts, pv_optim_steps(s->optim)),
                  pv_model_gradients(s->model), pv_model_params(s->model));
    *step = (pv_step){.loss_sum = sums[LOSS],
                      .rows = part.global,
                      .correct = (int64_t)sums[CORRECT],
                      .mark = part.mark,
                      .stop = sums[STOP] > 0};
    s->times.whole += pv_seconds() - start;
    return PV_OK;
}
