#include "train/pv_trainer.h"
#include "base/pv_checksum.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "data/pv_dataset.h"
#include "pv_checkpoint.h"
#include "pv_metrics.h"
#include "train/pv_stepper.h"
#include "train/pv_task.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Everything a run holds; one owner, freed by trainer_free. */
typedef struct trainer {
    const pv_comm *comm;
    const pv_train_opts *opts;
    pv_dataset *train, *val, *test;
    pv_task task;
    pv_stepper *stepper;
    pv_model_head head; /* norm and state live here */
    char *checkpoint, *metrics;
    double train_seconds, saved; /* saved: when the last checkpoint was written */
    int64_t trained;             /* rows, all ranks, this run */
} trainer;

char *pv_train_checkpoint_path(const pv_train_opts *opts)
{
    char *path = NULL;
    return asprintf(&path, "%s.ckpt", opts->output) < 0 ? NULL : path;
}

static void trainer_free(trainer *t)
{
    pv_stepper_free(t->stepper);
    pv_task_close(&t->task);
    pv_dataset_close(t->train);
    pv_dataset_close(t->val);
    pv_dataset_close(t->test);
    pv_model_head_free(&t->head);
    free(t->checkpoint);
    free(t->metrics);
}

static pv_status open_data(trainer *t, const pv_store *store)
{
    pv_status st;
    pv_dataset_opts opts = {.split = PV_SPLIT_TRAIN,
                            .views = t->opts->views,
                            .verify = !t->opts->no_verify,
                            .canonical = t->opts->canonical,
                            .align = t->opts->align,
                            .placement = t->opts->placement};
    PV_TRY(pv_dataset_open(t->comm, store, &opts, &t->train));
    opts.reference = pv_dataset_reference(t->train);
    opts.placement = PV_PLACE_NODE;
    if (t->opts->task != PV_TASK_SIMCLR) opts.views = 1; /* pairs may take several */
    opts.split = PV_SPLIT_VAL;
    PV_TRY(pv_dataset_open(t->comm, store, &opts, &t->val));
    opts.split = PV_SPLIT_TEST;
    PV_TRY(pv_dataset_open(t->comm, store, &opts, &t->test));
    if (pv_dataset_samples(t->train) == 0)
        st = pv_fail(PV_ERR_DATA, "'%s' has no training objects", pv_store_path(store));
done:
    return st;
}

static pv_status open_task(trainer *t, const pv_store *store, const pv_augment_list *augment)
{
    const pv_task_data data = {.comm = t->comm,
                               .store = store,
                               .train = t->train,
                               .val = t->val,
                               .test = t->test,
                               .classes = pv_store_classes(store),
                               .opts = t->opts,
                               .augment = augment};
    return pv_task_open(&data, &t->task);
}

static pv_status make_head(trainer *t, const pv_store *store, const char *config)
{
    const float *reference = pv_dataset_reference(t->train);
    t->head.arch = *pv_store_arch(store);
    t->head.classes = t->task.outputs;
    t->head.config = pv_strdup(config);
    t->checkpoint = pv_train_checkpoint_path(t->opts);
    if (!t->head.config || !t->checkpoint || asprintf(&t->metrics, "%s.jsonl", t->opts->output) < 0)
        return pv_fail(PV_ERR_NOMEM, "no memory for names");
    if (reference) {
        t->head.reference = pv_alloc(pv_store_params(store), sizeof *reference);
        if (!t->head.reference) return PV_ERR_NOMEM;
        memcpy(t->head.reference, reference, sizeof *reference * (size_t)pv_store_params(store));
    }
    return pv_norm_make(pv_store_params(store), &t->head.norm);
}

static pv_status make_stepper(trainer *t, const pv_model_opts *model)
{
    const pv_stepper_parts parts = {.comm = t->comm,
                                    .opts = t->opts,
                                    .task = &t->task,
                                    .model = model,
                                    .arch = &t->head.arch,
                                    .steps = t->opts->epochs * pv_task_steps(&t->task)};
    return pv_stepper_new(&parts, &t->stepper);
}

/* A number for the training rows and their order, whoever holds them: a store's other contents do not count. */
static uint64_t identify_rows(const trainer *t)
{
    const size_t bytes = sizeof(float) * (size_t)pv_dataset_params(t->train);
    int64_t first, count;
    uint64_t sum = 0;
    pv_dataset_share(t->train, &first, &count);
    for (int64_t s = first; s < first + count; s++) {
        const struct {
            int64_t sample, label;
            uint64_t row;
        } what = {s, pv_dataset_label(t->train, s), pv_checksum(pv_dataset_row(t->train, s), bytes)};
        sum += pv_checksum(&what, sizeof what);
    }
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_UINT64_T, MPI_SUM, t->comm->world);
    return sum;
}

/* A fresh start: drawn parameters and measured statistics. */
static pv_status start_fresh(trainer *t)
{
    pv_model_init(pv_stepper_model(t->stepper), t->opts->seed);
    t->head.state = (pv_train_state){.best_val_accuracy = -1};
    return pv_norm_measure(t->comm, t->train, &t->head.arch, t->opts->normalise, &t->head.norm);
}

static pv_status score(trainer *t, uint8_t split, pv_task_score *out)
{
    return t->task.ops->score(&t->task, split, pv_stepper_model(t->stepper), &t->head.norm, out);
}

static pv_status save_checkpoint(trainer *t)
{
    t->saved = pv_seconds();
    return pv_checkpoint_save(t->comm, t->checkpoint, t->opts->keep, &t->head, pv_stepper_model(t->stepper),
                              pv_stepper_optim(t->stepper));
}

/* The kept model was taken away: the checkpoint's takes its place, until a better one comes. */
static pv_status keep_anew(trainer *t)
{
    pv_train_state *const state = &t->head.state;
    int lost = t->comm->rank == 0 && state->best_epoch > 0 && access(t->opts->output, F_OK) != 0;
    pv_task_score val;
    pv_status st;
    MPI_Bcast(&lost, 1, MPI_INT, 0, t->comm->world);
    if (!lost) return PV_OK;
    pv_log_warn("'%s' is gone, the model of epoch %lld: that of '%s' is kept instead, or a later one that is "
                "better",
                t->opts->output, (long long)state->best_epoch, t->checkpoint);
    PV_TRY(score(t, PV_SPLIT_VAL, &val));
    state->best_val_accuracy = val.samples > 0 ? val.merit : -1;
    state->best_epoch = state->epoch;
    if (t->comm->rank == 0)
        st = pv_model_file_write(t->opts->output, &t->head, pv_stepper_model(t->stepper), NULL);
    PV_TRY(pv_agree(t->comm, st));
    st = save_checkpoint(t);
done:
    return st;
}

static pv_status start_from_checkpoint(trainer *t)
{
    const pv_status st = pv_checkpoint_load(t->comm, t->checkpoint, &t->head, pv_stepper_model(t->stepper),
                                            pv_stepper_optim(t->stepper));
    pv_stepper_loaded(t->stepper);
    if (st == PV_OK)
        pv_log_info("continuing from '%s': %lld epochs and %lld batches are done", t->checkpoint,
                    (long long)t->head.state.epoch, (long long)t->head.state.batch);
    return st == PV_OK ? keep_anew(t) : st;
}

static pv_status trainer_make(trainer *t, const pv_store *store, const pv_model_opts *model,
                              const pv_augment_list *augment, const char *config, bool resume)
{
    pv_status st;
    PV_TRY(pv_agree(t->comm, open_data(t, store)));
    st = open_task(t, store, augment);
    if (st == PV_OK) st = make_head(t, store, config);
    if (st == PV_OK) st = make_stepper(t, model);
    PV_TRY(pv_agree(t->comm, st));
    t->head.rows = identify_rows(t);
    PV_TRY(resume ? start_from_checkpoint(t) : start_fresh(t));
    if (t->comm->rank == 0)
        st = pv_metrics_start(t->metrics, resume ? t->head.state.epoch : -1, t->head.state.batch);
    PV_TRY(pv_agree(t->comm, st));
done:
    return st;
}

static void put_score(json_t *line, const char *loss, const char *accuracy, const pv_task_score *score)
{
    if (score->samples == 0) return;
    json_object_set_new(line, loss, json_real(score->loss));
    json_object_set_new(line, accuracy, json_real(score->accuracy));
}

static pv_status append_epoch(trainer *t, double train_loss, double train_accuracy, const pv_task_score *val,
                              const pv_task_score *test, uint64_t stream, double seconds, double rate)
{
    char mark[24];
    snprintf(mark, sizeof mark, "%016llx", (unsigned long long)stream);
    json_t *line = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "event", "epoch", "epoch",
                             (json_int_t)t->head.state.epoch, "train_loss", train_loss, "train_accuracy",
                             train_accuracy, "lr", pv_stepper_rate(t->stepper), "seconds", seconds,
                             "samples_per_s", rate, "stream", mark);
    put_score(line, "val_loss", "val_accuracy", val);
    put_score(line, "test_loss", "test_accuracy", test);
    return pv_metrics_append(t->metrics, line);
}

/* The end of an epoch: validation, metrics, the best model, the checkpoint.  `seconds` and `rate` (samples a
 * second) are of what this run trained of it. */
static pv_status finish_epoch(trainer *t, double seconds, double rate, pv_train_result *result)
{
    pv_train_state *const state = &t->head.state;
    const double rows = (double)pv_sampler_samples(t->task.sampler) * t->task.place_rows;
    const double loss = state->loss_sum / rows, accuracy = (double)state->correct / rows;
    uint64_t stream = 0;
    pv_task_score val, test = {0}; /* test is for the metrics alone: nothing is chosen by it */
    pv_status st;
    MPI_Allreduce(&state->stream, &stream, 1, MPI_UINT64_T, MPI_SUM, t->comm->world);
    PV_TRY(score(t, PV_SPLIT_VAL, &val));
    if (t->opts->test_each_epoch) PV_TRY(score(t, PV_SPLIT_TEST, &test));
    const bool best = val.samples == 0 || val.merit > state->best_val_accuracy;
    *state =
        (pv_train_state){.epoch = state->epoch + 1,
                         .best_val_accuracy = best && val.samples > 0 ? val.merit : state->best_val_accuracy,
                         .best_epoch = best ? state->epoch + 1 : state->best_epoch};
    result->train_loss = loss;
    if (t->comm->rank == 0) st = append_epoch(t, loss, accuracy, &val, &test, stream, seconds, rate);
    if (t->comm->rank == 0 && best && st == PV_OK)
        st = pv_model_file_write(t->opts->output, &t->head, pv_stepper_model(t->stepper), NULL);
    PV_TRY(pv_agree(t->comm, st));
    pv_log_info(
        "epoch %lld/%lld: train loss %.4f, accuracy %.3f; val loss %.4f, accuracy %.3f%s; %.0f samples/s",
        (long long)state->epoch, (long long)t->opts->epochs, loss, accuracy, val.loss, val.accuracy,
        best ? " (best)" : "", rate);
    if (state->epoch % t->opts->checkpoint_epochs == 0 || state->epoch == t->opts->epochs)
        PV_TRY(save_checkpoint(t));
done:
    return st;
}

/* Whether a checkpoint is due within an epoch. */
static bool is_due(const trainer *t)
{
    const pv_train_opts *opts = t->opts;
    const bool steps = opts->checkpoint_steps > 0 && (t->head.state.batch + 1) % opts->checkpoint_steps == 0;
    const bool minutes =
        opts->checkpoint_minutes > 0 && pv_seconds() - t->saved > 60 * opts->checkpoint_minutes;
    return t->comm->rank == 0 && (steps || minutes);
}

static pv_status append_step(trainer *t, const pv_step *step)
{
    const pv_train_state *state = &t->head.state;
    if (t->opts->log_steps == 0 || state->batch % t->opts->log_steps) return PV_OK;
    json_t *line = json_pack("{s:s, s:I, s:I, s:f}", "event", "step", "epoch", (json_int_t)state->epoch + 1,
                             "batch", (json_int_t)state->batch, "loss", step->loss_sum / (double)step->rows);
    if (t->comm->rank == 0) return pv_agree(t->comm, pv_metrics_append(t->metrics, line));
    json_decref(line);
    return pv_agree(t->comm, PV_OK);
}

static pv_status run_step(trainer *t, bool *stop)
{
    pv_train_state *const state = &t->head.state;
    pv_step step = {.save = is_due(t)};
    pv_status st = pv_stepper_step(t->stepper, &t->head.norm, state->epoch, state->batch, &step);
    if (st != PV_OK) return st;
    state->loss_sum += step.loss_sum;
    state->correct += step.correct;
    state->stream += step.mark;
    state->batch++;
    t->trained += step.rows;
    *stop = step.stop;
    const bool within = state->batch < pv_task_steps(&t->task);
    st = append_step(t, &step);
    return st == PV_OK && step.save && within && !step.stop ? save_checkpoint(t) : st;
}

/* The rest of the current epoch. */
static pv_status run_epoch(trainer *t, pv_train_result *result)
{
    const int64_t trained = t->trained, batches = pv_task_steps(&t->task);
    const double start = pv_seconds();
    pv_status st = PV_OK;
    bool stop = false;
    while (st == PV_OK && !stop && t->head.state.batch < batches)
        st = run_step(t, &stop);
    const double seconds = pv_seconds() - start;
    t->train_seconds += seconds;
    if (st != PV_OK) return st;
    if (t->head.state.batch >= batches)
        return finish_epoch(t, seconds, (double)(t->trained - trained) / seconds, result);
    st = save_checkpoint(t);
    return st != PV_OK ? st : pv_stop_fail();
}

static pv_status score_kept(trainer *t, pv_train_result *result)
{
    pv_task_score test;
    pv_status st = pv_model_file_load(t->comm, t->opts->output, pv_stepper_model(t->stepper), NULL);
    if (st == PV_OK) st = score(t, PV_SPLIT_TEST, &test);
    if (st == PV_OK) {
        result->test_loss = test.loss;
        result->test_accuracy = test.accuracy;
    }
    return st;
}

/* The bytes that this rank is going to take, all told, printed part by part. */
static int64_t plan_memory(const trainer *t, int64_t before)
{
    const pv_step_memory step = pv_stepper_memory(t->stepper);
    const int64_t rows = pv_dataset_memory(t->train) + pv_dataset_memory(t->val) +
                         pv_dataset_memory(t->test) + pv_sampler_memory(t->task.sampler);
    const int64_t count = pv_model_count(pv_stepper_model(t->stepper));
    const int64_t tensors =
        count * (int64_t)sizeof(pv_real) * (1 + pv_optim_slots(pv_stepper_optim(t->stepper)));
    const int64_t checkpoint =
        t->comm->rank == 0 ? 2 * tensors : 0; /* its file is made in memory, then written */
    int64_t plan = before + step.models + step.optimiser + step.batch + rows + checkpoint;
    pv_log_info(
        "memory of a rank: %.1f MiB = %.1f program + %.1f models and workspace + %.1f optimiser + %.1f batch + "
        "%.1f rows + %.1f checkpoint",
        (double)plan / 0x1p20, (double)before / 0x1p20, (double)step.models / 0x1p20,
        (double)step.optimiser / 0x1p20, (double)step.batch / 0x1p20, (double)rows / 0x1p20,
        (double)checkpoint / 0x1p20);
    MPI_Allreduce(MPI_IN_PLACE, &plan, 1, MPI_INT64_T, MPI_MAX, t->comm->world);
    return plan;
}

static pv_status log_start(trainer *t, const pv_model_opts *model_opts)
{
    const char *kind = pv_model_kind_name(model_opts->kind);
    pv_model *const model = pv_stepper_model(t->stepper);
    pv_log_info("%s: %lld parameters, %.1f MFLOP a sample; %lld samples, batch %lld over %d ranks", kind,
                (long long)pv_model_count(model), pv_model_sample_flops(model) / 1e6,
                (long long)pv_dataset_samples(t->train), (long long)t->opts->batch, t->comm->size);
    if (t->comm->rank != 0 || t->head.state.epoch > 0 || t->head.state.batch > 0)
        return pv_agree(t->comm, PV_OK);
    json_t *line =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:i}", "event", "start", "model", kind, "parameters",
                  (json_int_t)pv_model_count(model), "samples", (json_int_t)pv_dataset_samples(t->train),
                  "batch", (json_int_t)t->opts->batch, "ranks", t->comm->size);
    return pv_agree(t->comm, pv_metrics_append(t->metrics, line));
}

/* What the samplers of all ranks did. */
static void sum_counts(const trainer *t, pv_train_result *result)
{
    const pv_sampler_counts own = pv_sampler_count(t->task.sampler);
    int64_t sums[] = {own.partners, own.remote_samples, own.remote_partners};
    MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_INT64_T, MPI_SUM, t->comm->world);
    result->partners = sums[0];
    result->remote_samples = sums[1];
    result->remote_partners = sums[2];
}

static void fill_result(trainer *t, pv_train_result *result)
{
    const pv_train_state *state = &t->head.state;
    const pv_step_times times = pv_stepper_times(t->stepper);
    result->parameters = pv_model_count(pv_stepper_model(t->stepper));
    result->samples = pv_dataset_samples(t->train);
    result->epochs = state->epoch;
    result->best_epoch = state->best_epoch;
    const double merit = state->best_val_accuracy < 0 ? (double)NAN : state->best_val_accuracy;
    const bool contrastive = t->opts->task == PV_TASK_SIMCLR; /* its merit is exp(-loss) */
    result->best_val_accuracy = contrastive ? (double)NAN : merit;
    result->best_val_loss = contrastive ? -log(merit) : (double)NAN;
    result->samples_per_s = t->train_seconds > 0 ? (double)t->trained / t->train_seconds : 0;
    result->reduce_share = times.whole > 0 ? times.reduce / times.whole : 0;
    result->data_share = times.whole > 0 ? times.data / times.whole : 0;
    result->sharded = pv_dataset_is_sharded(t->train);
    sum_counts(t, result);
}

pv_status pv_train(const pv_comm *comm, const pv_store *store, const pv_model_opts *model_opts,
                   const pv_train_opts *opts, const pv_augment_list *augment, const char *config_yaml,
                   bool resume, pv_train_result *result)
{
    pv_model_opts model = *model_opts;
    model.projection = opts->task == PV_TASK_SIMCLR;
    const double start = pv_seconds();
    const int64_t memory = pv_peak_memory();
    trainer t = {.comm = comm, .opts = opts, .saved = start};
    pv_status st;
    *result =
        (pv_train_result){.train_loss = (double)NAN, .test_loss = (double)NAN, .test_accuracy = (double)NAN};
    PV_TRY(trainer_make(&t, store, &model, augment, config_yaml, resume));
    PV_TRY(log_start(&t, &model));
    result->memory_plan = plan_memory(&t, memory);
    while (st == PV_OK && t.head.state.epoch < opts->epochs)
        st = run_epoch(&t, result);
    if (st == PV_OK && pv_dataset_samples(t.test) > 0) st = score_kept(&t, result);
    fill_result(&t, result);
    result->seconds = pv_seconds() - start;
done:
    trainer_free(&t);
    return st;
}
