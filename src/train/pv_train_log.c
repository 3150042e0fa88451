/* The events of a run as lines. */
#include "pv_train_log.h"
#include "base/pv_log.h"
#include "pv_metrics.h"

#include <jansson.h>
#include <stdio.h>

/* Takes over the line, which only rank 0 writes. */
static pv_status append(const pv_training *t, json_t *line)
{
    if (t->comm->rank == 0) return pv_agree(t->comm, pv_metrics_append(t->metrics, line));
    json_decref(line);
    return pv_agree(t->comm, PV_OK);
}

pv_status pv_train_log_open(pv_training *t, const char *kind, bool resume)
{
    const pv_train_state *state = &t->head.state;
    pv_model *const model = pv_stepper_model(t->stepper);
    const int64_t parameters = pv_model_count(model), samples = pv_dataset_samples(t->train);
    pv_status st = PV_OK;
    pv_log_info("%s: %lld parameters, %.1f MFLOP a sample; %lld samples, batch %lld over %d ranks", kind,
                (long long)parameters, pv_model_sample_flops(model) / 1e6, (long long)samples,
                (long long)t->opts->batch, t->comm->size);
    if (t->comm->rank == 0) st = pv_metrics_start(t->metrics, resume ? state->epoch : -1, state->batch);
    st = pv_agree(t->comm, st);
    if (st != PV_OK || state->epoch > 0 || state->batch > 0) return st;
    return append(t, json_pack("{s:s, s:s, s:I, s:I, s:I, s:i}", "event", "start", "model", kind,
                               "parameters", (json_int_t)parameters, "samples", (json_int_t)samples, "batch",
                               (json_int_t)t->opts->batch, "ranks", t->comm->size));
}

pv_status pv_train_log_step(const pv_training *t, const pv_step *step)
{
    const pv_train_state *state = &t->head.state;
    if (t->opts->log_steps == 0 || state->batch % t->opts->log_steps) return PV_OK;
    return append(t,
                  json_pack("{s:s, s:I, s:I, s:f}", "event", "step", "epoch", (json_int_t)state->epoch + 1,
                            "batch", (json_int_t)state->batch, "loss", step->loss_sum / (double)step->rows));
}

static void put_score(json_t *line, const char *loss, const char *accuracy, const pv_task_score *score)
{
    if (score->samples == 0) return;
    json_object_set_new(line, loss, json_real(score->loss));
    json_object_set_new(line, accuracy, json_real(score->accuracy));
}

pv_status pv_train_log_epoch(const pv_training *t, const pv_epoch_figures *f)
{
    const json_int_t epoch = (json_int_t)t->head.state.epoch;
    char mark[24];
    pv_log_info(
        "epoch %lld/%lld: train loss %.4f, accuracy %.3f; val loss %.4f, accuracy %.3f%s; %.0f samples/s",
        (long long)epoch, (long long)t->opts->epochs, f->loss, f->accuracy, f->val.loss, f->val.accuracy,
        f->best ? " (best)" : "", f->rate);
    snprintf(mark, sizeof mark, "%016llx", (unsigned long long)f->stream);
    json_t *line =
        json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "event", "epoch", "epoch", epoch, "train_loss",
                  f->loss, "train_accuracy", f->accuracy, "lr", pv_stepper_rate(t->stepper), "seconds",
                  f->seconds, "samples_per_s", f->rate, "stream", mark);
    put_score(line, "val_loss", "val_accuracy", &f->val);
    put_score(line, "test_loss", "test_accuracy", &f->test);
    return append(t, line);
}
