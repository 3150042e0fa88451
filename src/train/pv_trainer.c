#include "train/pv_trainer.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "nn/pv_loss.h"
#include "nn/pv_model.h"
#include "sampler/pv_dataset.h"
#include "sampler/pv_sampler.h"
#include "train/pv_evaluate.h"
#include "train/pv_metrics.h"
#include "train/pv_model_file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Evaluation wants batches of this size at least, however small a rank's part of a training batch is. */
enum { MIN_EVAL_BATCH = 64 };
/* Batches whose rows are fetched before they are needed. */
enum { BATCHES_AHEAD = 3 };

#ifdef PV_NN_DOUBLE
#define REAL_MPI MPI_DOUBLE
#else
#define REAL_MPI MPI_FLOAT
#endif

/* Everything a run holds; one owner, freed by trainer_free. */
typedef struct trainer {
    const pv_comm *comm;
    const pv_train_opts *opts;
    const pv_augment_list *augment;
    pv_dataset *train, *val, *test;
    pv_sampler *sampler; /* over train */
    pv_model *model;
    pv_optim *optim;
    pv_model_head head; /* norm and state live here */
    int max_batch;
    pv_real *rows, *targets, *logits, *dlogits;
    char *checkpoint, *metrics;
    double train_seconds, reduce_seconds, data_seconds;
    int64_t trained; /* samples, all ranks, this run */
} trainer;

char *pv_train_checkpoint_path(const pv_train_opts *opts)
{
    char *path = NULL;
    return asprintf(&path, "%s.ckpt", opts->output) < 0 ? NULL : path;
}

static void trainer_free(trainer *t)
{
    pv_sampler_close(t->sampler);
    pv_dataset_close(t->train);
    pv_dataset_close(t->val);
    pv_dataset_close(t->test);
    pv_model_free(t->model);
    pv_optim_free(t->optim);
    pv_model_head_free(&t->head);
    free(t->rows);
    free(t->logits);
    free(t->dlogits);
    free(t->targets);
    free(t->checkpoint);
    free(t->metrics);
}

static pv_status open_data(trainer *t, const pv_store *store)
{
    pv_status st;
    const int canonical = (int)t->opts->canonical;
    const pv_dataset_opts train = {PV_SPLIT_TRAIN, 0, t->opts->views, true, canonical, t->opts->placement};
    const pv_dataset_opts val = {PV_SPLIT_VAL, 0, 1, true, canonical, PV_PLACE_NODE};
    const pv_dataset_opts test = {PV_SPLIT_TEST, 0, 1, true, canonical, PV_PLACE_NODE};
    PV_TRY(pv_dataset_open(t->comm, store, &train, &t->train));
    PV_TRY(pv_dataset_open(t->comm, store, &val, &t->val));
    PV_TRY(pv_dataset_open(t->comm, store, &test, &t->test));
    if (pv_dataset_samples(t->train) == 0)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' has no training objects", pv_store_path(store)));
    for (int64_t s = 0; s < pv_dataset_samples(t->train); s++) {
        const int32_t label = pv_dataset_label(t->train, s);
        if (label < 0 || label >= t->head.classes)
            PV_TRY(pv_fail(PV_ERR_DATA, "'%s': object %lld has label %d, outside its %d classes",
                           pv_store_path(store), (long long)pv_dataset_object(t->train, s), label,
                           t->head.classes));
    }
done:
    return st;
}

static pv_status make_sampler(trainer *t)
{
    const pv_sampler_opts opts = {.seed = t->opts->seed,
                                  .batch = t->opts->batch,
                                  .random_view = t->opts->random_view,
                                  .ahead = BATCHES_AHEAD,
                                  .classes = t->head.classes,
                                  .augment = t->augment};
    return pv_sampler_open(t->comm, t->train, &t->head.arch, &opts, &t->sampler);
}

static pv_status make_model(trainer *t, const pv_model_opts *model_opts)
{
    const pv_arch *arch = &t->head.arch;
    const pv_optim_opts optim = {t->opts->optimizer, t->opts->weight_decay, t->opts->momentum,
                                 t->opts->amsgrad};
    const int64_t share = (t->opts->batch + t->comm->size - 1) / t->comm->size;
    pv_status st;
    t->max_batch = share > MIN_EVAL_BATCH ? (int)share : MIN_EVAL_BATCH;
    PV_TRY(pv_model_new(model_opts, arch->dims, arch->layers, t->head.classes, t->max_batch, &t->model));
    PV_TRY(pv_optim_new(&optim, pv_model_count(t->model), &t->optim));
    PV_ALLOC(t->rows, (int64_t)t->max_batch * pv_dataset_params(t->train));
    PV_ALLOC(t->logits, (int64_t)t->max_batch * t->head.classes);
    PV_ALLOC(t->dlogits, (int64_t)t->max_batch * t->head.classes);
    PV_ALLOC(t->targets, (int64_t)t->max_batch * t->head.classes);
    t->checkpoint = pv_train_checkpoint_path(t->opts);
    if (!t->checkpoint || asprintf(&t->metrics, "%s.jsonl", t->opts->output) < 0)
        st = pv_fail(PV_ERR_NOMEM, "no memory for file names");
done:
    return st;
}

/* A fresh start: drawn parameters and measured statistics. */
static pv_status start_fresh(trainer *t)
{
    pv_model_init(t->model, t->opts->seed);
    t->head.state = (pv_train_state){.best_val_accuracy = -1};
    return pv_norm_measure(t->comm, t->train, &t->head.arch, t->opts->normalise, &t->head.norm);
}

static pv_status start_from_checkpoint(trainer *t)
{
    pv_model_head saved;
    pv_status st = pv_model_file_head(t->comm, t->checkpoint, &saved);
    if (st != PV_OK) return st;
    if (!pv_arch_equal(&saved.arch, &t->head.arch) || saved.classes != t->head.classes)
        st = pv_fail(PV_ERR_DATA, "'%s' was trained on INRs of another architecture than this store's",
                     t->checkpoint);
    if (st == PV_OK) {
        const size_t bytes = sizeof *saved.norm.mean * (size_t)saved.norm.params;
        t->head.state = saved.state;
        if (t->comm->rank != 0) /* the saved mark is the sum over all ranks */
            t->head.state.stream = 0;
        memcpy(t->head.norm.mean, saved.norm.mean, bytes);
        memcpy(t->head.norm.std, saved.norm.std, bytes);
        st = pv_model_file_load(t->comm, t->checkpoint, t->model, t->optim);
    }
    pv_model_head_free(&saved);
    if (st == PV_OK)
        pv_log_info("continuing from '%s': %lld epochs and %lld batches are done", t->checkpoint,
                    (long long)t->head.state.epoch, (long long)t->head.state.batch);
    return st;
}

static pv_status trainer_make(trainer *t, const pv_store *store, const pv_model_opts *model_opts,
                              const char *config, bool resume)
{
    pv_status st;
    t->head.arch = *pv_store_arch(store);
    t->head.classes = pv_store_classes(store);
    PV_TRY(pv_agree(t->comm, open_data(t, store)));
    t->head.config = pv_strdup(config);
    st = t->head.config ? pv_norm_make(pv_store_params(store), &t->head.norm) : PV_ERR_NOMEM;
    if (st == PV_OK) st = make_model(t, model_opts);
    if (st == PV_OK) st = make_sampler(t);
    PV_TRY(pv_agree(t->comm, st));
    PV_TRY(resume ? start_from_checkpoint(t) : start_fresh(t));
    if (t->comm->rank == 0) st = pv_metrics_start(t->metrics, resume ? t->head.state.epoch : -1);
    PV_TRY(pv_agree(t->comm, st));
done:
    return st;
}

static void sum_over_ranks(void *context, double *values, int count)
{
    const trainer *t = context;
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, t->comm->world);
}

/* Takes this rank's part of a batch and prepares it for the model. */
static pv_status assemble(trainer *t, pv_batch *batch)
{
    const double start = pv_seconds();
    const int params = pv_dataset_params(t->train), classes = t->head.classes;
    const pv_status st = pv_sampler_take(t->sampler, t->head.state.epoch, t->head.state.batch, batch);
    for (int i = 0; i < batch->count; i++)
        pv_norm_apply(&t->head.norm, batch->rows + (int64_t)i * params, t->rows + (int64_t)i * params);
    for (int i = 0; i < batch->count * classes; i++)
        t->targets[i] = (pv_real)batch->targets[i];
    t->head.state.stream += batch->mark;
    t->data_seconds += pv_seconds() - start;
    return st;
}

static void reduce_gradients(trainer *t)
{
    enum { PART = 1 << 26 };
    const double start = pv_seconds();
    pv_real *const gradients = pv_model_gradients(t->model);
    const int64_t count = pv_model_count(t->model);
    for (int64_t first = 0; first < count; first += PART)
        MPI_Allreduce(MPI_IN_PLACE, gradients + first, (int)(count - first < PART ? count - first : PART),
                      REAL_MPI, MPI_SUM, t->comm->world);
    t->reduce_seconds += pv_seconds() - start;
}

static double learning_rate(const pv_train_opts *opts, int64_t step)
{
    return step < opts->warmup_steps ? opts->lr * (double)(step + 1) / (double)opts->warmup_steps : opts->lr;
}

/* One optimiser step on batch `state.batch` of the epoch.  *stop: some rank was asked to stop. */
static pv_status train_batch(trainer *t, bool *stop)
{
    pv_train_state *const state = &t->head.state;
    pv_batch batch;
    /* A rank that fails here goes on to the next collective, which tells the others by a loss that is not finite. */
    const pv_status assembled = assemble(t, &batch);
    const int count = batch.count, classes = t->head.classes;
    const pv_pass pass = {.training = true,
                          .global_batch = batch.global,
                          .first_sample = batch.first,
                          .seed = t->opts->seed,
                          .step = (uint64_t)pv_optim_steps(t->optim),
                          .sum = sum_over_ranks,
                          .sum_context = t};
    memset(pv_model_gradients(t->model), 0, sizeof(pv_real) * (size_t)pv_model_count(t->model));
    pv_model_forward(t->model, &pass, t->rows, count, t->logits);
    double sums[3];
    sums[0] =
        pv_cross_entropy_soft(count, classes, t->logits, t->targets, 1.0 / (double)batch.global, t->dlogits);
    if (assembled != PV_OK) sums[0] = (double)NAN;
    sums[1] = pv_count_correct(count, classes, t->logits, batch.labels);
    sums[2] = pv_stop_requested();
    pv_model_backward(t->model, &pass, t->dlogits, NULL);
    reduce_gradients(t);
    MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_DOUBLE, MPI_SUM, t->comm->world);
    if (!isfinite(sums[0])) {
        const pv_status st = pv_agree(t->comm, assembled);
        return st != PV_OK ? st
                           : pv_fail(PV_ERR_NUMERIC,
                                     "the loss is not finite in epoch %lld, batch %lld: lower train.lr",
                                     (long long)state->epoch + 1, (long long)state->batch + 1);
    }
    pv_optim_step(t->optim, learning_rate(t->opts, pv_optim_steps(t->optim)), pv_model_gradients(t->model),
                  pv_model_params(t->model));
    state->loss_sum += sums[0];
    state->correct += (int64_t)sums[1];
    state->batch++;
    t->trained += batch.global;
    *stop = sums[2] > 0;
    return PV_OK;
}

/* The partial sum of the stream's mark is a rank's own: it becomes rank 0's before it is saved. */
static pv_status save_checkpoint(trainer *t)
{
    uint64_t total = 0;
    MPI_Reduce(&t->head.state.stream, &total, 1, MPI_UINT64_T, MPI_SUM, 0, t->comm->world);
    t->head.state.stream = total;
    return pv_agree(t->comm, t->comm->rank == 0
                                 ? pv_model_file_write(t->checkpoint, &t->head, t->model, t->optim)
                                 : PV_OK);
}

static void put_score(json_t *line, const char *loss, const char *accuracy, const pv_score *score)
{
    if (score->samples == 0) return;
    json_object_set_new(line, loss, json_real(score->loss));
    json_object_set_new(line, accuracy, json_real(score->accuracy));
}

static pv_status append_epoch(trainer *t, double train_loss, double train_accuracy, const pv_score *val,
                              const pv_score *test, uint64_t stream, double seconds, double rate)
{
    char mark[24];
    snprintf(mark, sizeof mark, "%016llx", (unsigned long long)stream);
    json_t *line = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "event", "epoch", "epoch",
                             (json_int_t)t->head.state.epoch, "train_loss", train_loss, "train_accuracy",
                             train_accuracy, "lr", learning_rate(t->opts, pv_optim_steps(t->optim)),
                             "seconds", seconds, "samples_per_s", rate, "stream", mark);
    put_score(line, "val_loss", "val_accuracy", val);
    put_score(line, "test_loss", "test_accuracy", test);
    return pv_metrics_append(t->metrics, line);
}

/* The end of an epoch: validation, metrics, the best model, the checkpoint.  `seconds` and `rate` (samples a
 * second) are of what this run trained of it. */
static pv_status finish_epoch(trainer *t, double seconds, double rate, pv_train_result *result)
{
    pv_train_state *const state = &t->head.state;
    const double samples = (double)pv_sampler_samples(t->sampler);
    const double loss = state->loss_sum / samples, accuracy = (double)state->correct / samples;
    uint64_t stream = 0;
    pv_score val, test = {0}; /* test is for the metrics alone: nothing is chosen by it */
    pv_status st;
    MPI_Allreduce(&state->stream, &stream, 1, MPI_UINT64_T, MPI_SUM, t->comm->world);
    PV_TRY(pv_evaluate(t->comm, t->model, &t->head.norm, t->val, t->head.classes, t->max_batch, false, NULL,
                       &val));
    if (t->opts->test_each_epoch)
        PV_TRY(pv_evaluate(t->comm, t->model, &t->head.norm, t->test, t->head.classes, t->max_batch, false,
                           NULL, &test));
    const bool best = val.samples == 0 || val.accuracy > state->best_val_accuracy;
    *state = (pv_train_state){.epoch = state->epoch + 1,
                              .best_val_accuracy =
                                  best && val.samples > 0 ? val.accuracy : state->best_val_accuracy,
                              .best_epoch = best ? state->epoch + 1 : state->best_epoch};
    result->train_loss = loss;
    if (t->comm->rank == 0) st = append_epoch(t, loss, accuracy, &val, &test, stream, seconds, rate);
    if (t->comm->rank == 0 && best && st == PV_OK)
        st = pv_model_file_write(t->opts->output, &t->head, t->model, NULL);
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

/* The rest of the current epoch. */
static pv_status run_epoch(trainer *t, pv_train_result *result)
{
    const int64_t trained = t->trained, batches = pv_sampler_batches(t->sampler);
    const double start = pv_seconds();
    pv_status st = PV_OK;
    bool stop = false;
    while (st == PV_OK && !stop && t->head.state.batch < batches)
        st = train_batch(t, &stop);
    const double seconds = pv_seconds() - start;
    t->train_seconds += seconds;
    if (st != PV_OK) return st;
    if (t->head.state.batch >= batches)
        return finish_epoch(t, seconds, (double)(t->trained - trained) / seconds, result);
    st = save_checkpoint(t);
    return st != PV_OK ? st : pv_stop_fail();
}

/* What the samplers of all ranks did. */
static void sum_counts(const trainer *t, pv_train_result *result)
{
    const pv_sampler_counts own = pv_sampler_count(t->sampler);
    int64_t sums[4] = {own.samples, own.partners, own.remote_samples, own.remote_partners};
    MPI_Allreduce(MPI_IN_PLACE, sums, 4, MPI_INT64_T, MPI_SUM, t->comm->world);
    result->partners = sums[1];
    result->remote_samples = sums[2];
    result->remote_partners = sums[3];
}

static pv_status score_test(trainer *t, pv_train_result *result)
{
    pv_score score;
    pv_status st = pv_model_file_load(t->comm, t->opts->output, t->model, NULL);
    if (st == PV_OK)
        st = pv_evaluate(t->comm, t->model, &t->head.norm, t->test, t->head.classes, t->max_batch, false,
                         NULL, &score);
    if (st == PV_OK) {
        result->test_loss = score.loss;
        result->test_accuracy = score.accuracy;
    }
    return st;
}

static pv_status log_start(trainer *t, const pv_model_opts *model_opts)
{
    const double flops = pv_model_sample_flops(t->model);
    const int64_t memory = pv_model_memory(t->model);
    pv_log_info(
        "%s: %lld parameters, %.1f MFLOP a sample, %.0f MiB a rank; %lld samples, batch %lld over %d ranks",
        model_opts->kind == PV_MODEL_DWS ? "DWS" : "MLP", (long long)pv_model_count(t->model), flops / 1e6,
        (double)memory / 0x1p20, (long long)pv_dataset_samples(t->train), (long long)t->opts->batch,
        t->comm->size);
    if (t->comm->rank != 0 || t->head.state.epoch > 0 || t->head.state.batch > 0)
        return pv_agree(t->comm, PV_OK);
    return pv_agree(
        t->comm,
        pv_metrics_append(t->metrics, json_pack("{s:s, s:s, s:I, s:I, s:I, s:i}", "event", "start", "model",
                                                model_opts->kind == PV_MODEL_DWS ? "dws" : "mlp",
                                                "parameters", (json_int_t)pv_model_count(t->model), "samples",
                                                (json_int_t)pv_dataset_samples(t->train), "batch",
                                                (json_int_t)t->opts->batch, "ranks", t->comm->size)));
}

pv_status pv_train(const pv_comm *comm, const pv_store *store, const pv_model_opts *model_opts,
                   const pv_train_opts *opts, const pv_augment_list *augment, const char *config_yaml,
                   bool resume, pv_train_result *result)
{
    trainer t = {.comm = comm, .opts = opts, .augment = augment};
    const double start = pv_seconds();
    pv_status st;
    *result =
        (pv_train_result){.train_loss = (double)NAN, .test_loss = (double)NAN, .test_accuracy = (double)NAN};
    PV_TRY(trainer_make(&t, store, model_opts, config_yaml, resume));
    PV_TRY(log_start(&t, model_opts));
    while (st == PV_OK && t.head.state.epoch < opts->epochs)
        st = run_epoch(&t, result);
    if (st == PV_OK && pv_dataset_samples(t.test) > 0) st = score_test(&t, result);
    result->parameters = pv_model_count(t.model);
    result->samples = pv_dataset_samples(t.train);
    result->epochs = t.head.state.epoch;
    result->best_epoch = t.head.state.best_epoch;
    result->best_val_accuracy =
        t.head.state.best_val_accuracy < 0 ? (double)NAN : t.head.state.best_val_accuracy;
    result->samples_per_s = t.train_seconds > 0 ? (double)t.trained / t.train_seconds : 0;
    result->reduce_share = t.train_seconds > 0 ? t.reduce_seconds / t.train_seconds : 0;
    result->data_share = t.train_seconds > 0 ? t.data_seconds / t.train_seconds : 0;
    result->sharded = pv_dataset_is_sharded(t.train);
    sum_counts(&t, result);
    result->seconds = pv_seconds() - start;
done:
    trainer_free(&t);
    return st;
}
