/* The events of a run as lines. */
#include "pv_train_log.h"
#include "base/pv_file.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_path.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static pv_status io_error(const char *path)
{
    return pv_fail(PV_ERR_IO, "cannot write the metrics '%s': %s", path, strerror(errno));
}

static int is_kept(const char *line, int64_t epoch, int64_t batch)
{
    json_t *event = json_loads(line, 0, NULL);
    const json_t *its_epoch = json_object_get(event, "epoch"), *its_batch = json_object_get(event, "batch");
    const json_int_t number = json_integer_value(its_epoch);
    const int within = its_batch && number == epoch + 1 && json_integer_value(its_batch) <= batch;
    const int kept = event && (!its_epoch || number <= epoch || within);
    json_decref(event);
    return kept;
}

/* Starts the file anew (epoch < 0), or keeps of an earlier run what lies up to the end of `epoch` and the
 * `batch` steps of the next one.  Rank 0. */
static pv_status start_metrics(const char *path, int64_t epoch, int64_t batch)
{
    FILE *old = epoch < 0 ? NULL : fopen(path, "r");
    char *real = NULL, *part = NULL, *line = NULL;
    size_t capacity = 0;
    FILE *kept = NULL;
    pv_status st = pv_path_follow(path, &real);
    if (st == PV_OK && !(part = pv_file_part(real))) st = PV_ERR_NOMEM;
    if (st == PV_OK && !(kept = fopen(part, "w"))) st = io_error(path);
    while (kept && old && getline(&line, &capacity, old) > 0)
        if (is_kept(line, epoch, batch)) fputs(line, kept);
    if (kept && fclose(kept) != 0) st = io_error(path);
    if (st == PV_OK && rename(part, real) != 0) st = io_error(path);
    if (old) fclose(old);
    PV_FREE(line, part, real);
    return st;
}

/* Appends one line, and takes it over.  Rank 0. */
static pv_status append_metrics(const char *path, json_t *line)
{
    FILE *file = fopen(path, "a");
    int bad = !file || !line;
    if (!bad) {
        bad = json_dumpf(line, file, 0) != 0 || fputc('\n', file) == EOF;
        bad = fclose(file) != 0 || bad;
    }
    json_decref(line);
    return bad ? io_error(path) : PV_OK;
}

/* Takes over the line, which only rank 0 writes. */
static pv_status append(const pv_training *t, json_t *line)
{
    if (t->comm->rank == 0) return pv_agree(t->comm, append_metrics(t->metrics, line));
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
    if (t->comm->rank == 0) st = start_metrics(t->metrics, resume ? state->epoch : -1, state->batch);
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
    json_object_set_new(line, loss, isfinite(score->loss) ? json_real(score->loss) : json_null());
    if (isfinite(score->accuracy)) json_object_set_new(line, accuracy, json_real(score->accuracy));
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

int64_t pv_train_log_memory(const pv_training *t, int64_t before)
{
    const pv_step_memory step = pv_stepper_memory(t->stepper);
    int64_t rows = pv_dataset_memory(t->train) + pv_dataset_memory(t->val) + pv_dataset_memory(t->test) +
                   pv_sampler_memory(t->task.sampler);
    const int64_t tensors = pv_model_count(pv_stepper_model(t->stepper)) * (int64_t)sizeof(pv_real) *
                            (1 + pv_optim_slots(pv_stepper_optim(t->stepper)));
    /* the file of a checkpoint is made in memory, then written */
    const int64_t checkpoint = t->comm->rank == 0 ? 2 * tensors : 0;
    for (int split = 0; split < PV_SPLITS; split++)
        rows += pv_dataset_memory(t->further[split]);
    int64_t plan = before + step.models + step.optimiser + step.batch + rows + checkpoint;
    pv_log_info("memory of a rank: %.1f MiB = %.1f program + %.1f models and workspace + %.1f optimiser "
                "+ %.1f batch + %.1f rows + %.1f checkpoint",
                (double)plan / 0x1p20, (double)before / 0x1p20, (double)step.models / 0x1p20,
                (double)step.optimiser / 0x1p20, (double)step.batch / 0x1p20, (double)rows / 0x1p20,
                (double)checkpoint / 0x1p20);
    MPI_Allreduce(MPI_IN_PLACE, &plan, 1, MPI_INT64_T, MPI_MAX, t->comm->world);
    return plan;
}
