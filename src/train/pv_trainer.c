/* The loop of training: steps, epochs, checkpoints, the result. */
#include "train/pv_trainer.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_progress.h"
#include "base/pv_stop.h"
#include "pv_train_log.h"
#include "pv_training.h"

#include <math.h>

/* What this run has done so far. */
typedef struct progress {
    double seconds;    /* in steps */
    int64_t rows;      /* over all ranks */
    double train_loss; /* of the last finished epoch */
    int64_t steps;
    pv_progress shown;
} progress;

/* The end of an epoch: validation, metrics, the best model, the checkpoint.  `figures` says what this run did
 * of it. */
static pv_status finish_epoch(pv_training *t, pv_epoch_figures figures, progress *done)
{
    pv_train_state *const state = &t->head.state;
    const double rows = (double)t->task.places * t->task.kind->place_rows;
    pv_status st;
    figures.loss = done->train_loss = state->loss_sum / rows;
    figures.accuracy = (double)state->correct / rows;
    MPI_Allreduce(&state->stream, &figures.stream, 1, MPI_UINT64_T, MPI_SUM, t->comm->world);
    PV_TRY(pv_training_compare(t->comm, pv_stepper_model(t->stepper), state->epoch + 1));
    PV_TRY(pv_training_score(t, PV_SPLIT_VAL, &figures.val));
    /* test is for the metrics alone: nothing is chosen by it */
    if (t->opts->test_each_epoch) PV_TRY(pv_training_score(t, PV_SPLIT_TEST, &figures.test));
    const double merit = figures.val.merit;
    figures.best = figures.val.samples == 0 || (isfinite(figures.val.loss) && merit > state->best_merit);
    *state =
        (pv_train_state){.epoch = state->epoch + 1,
                         .best_merit = figures.best && figures.val.samples > 0 ? merit : state->best_merit,
                         .best_epoch = figures.best ? state->epoch + 1 : state->best_epoch};
    PV_TRY(pv_train_log_epoch(t, &figures));
    if (figures.best) PV_TRY(pv_training_keep(t));
    if (state->epoch % t->opts->checkpoint_epochs == 0 || state->epoch == t->opts->epochs)
        PV_TRY(pv_training_save(t));
done:
    return st;
}

/* Whether a checkpoint is due within an epoch. */
static bool is_due(const pv_training *t)
{
    const pv_train_opts *opts = t->opts;
    const bool steps = opts->checkpoint_steps > 0 && (t->head.state.batch + 1) % opts->checkpoint_steps == 0;
    const bool minutes =
        opts->checkpoint_minutes > 0 && pv_seconds() - t->saved > 60 * opts->checkpoint_minutes;
    return t->comm->rank == 0 && (steps || minutes);
}

static pv_status run_step(pv_training *t, progress *done, bool *stop)
{
    pv_train_state *const state = &t->head.state;
    pv_step step = {.save = is_due(t)};
    pv_status st = pv_stepper_step(t->stepper, state->epoch, state->batch, &step);
    if (st != PV_OK) return st;
    state->loss_sum += step.loss_sum;
    state->correct += step.correct;
    state->stream += step.mark;
    state->batch++;
    done->rows += step.rows;
    pv_progress_update(&done->shown, ++done->steps);
    *stop = step.stop;
    const bool within = state->batch < pv_task_steps(&t->task);
    st = pv_train_log_step(t, &step);
    return st == PV_OK && step.save && within && !step.stop ? pv_training_save(t) : st;
}

/* The rest of the current epoch. */
static pv_status run_epoch(pv_training *t, progress *done)
{
    const int64_t before = done->rows, batches = pv_task_steps(&t->task);
    const double start = pv_seconds();
    pv_status st = PV_OK;
    bool stop = false;
    while (st == PV_OK && !stop && t->head.state.batch < batches)
        st = run_step(t, done, &stop);
    const double seconds = pv_seconds() - start;
    done->seconds += seconds;
    if (st != PV_OK) return st;
    if (t->head.state.batch >= batches)
        st = finish_epoch(
            t, (pv_epoch_figures){.seconds = seconds, .rate = (double)(done->rows - before) / seconds}, done);
    else
        st = pv_stop_fail();
    if (st != PV_STOPPED) return st;
    st = pv_training_save(t);
    return st != PV_OK ? st : pv_stop_fail();
}

static pv_status score_kept(pv_training *t, pv_train_result *result)
{
    pv_task_score test;
    pv_model_file file;
    pv_status st = pv_model_file_open(t->comm, t->opts->output, &file);
    if (st == PV_OK) st = pv_model_file_load(&file, pv_stepper_model(t->stepper), NULL);
    pv_model_file_close(&file);
    if (st == PV_OK) st = pv_training_score(t, PV_SPLIT_TEST, &test);
    if (st == PV_OK) {
        result->test_loss = test.loss;
        result->test_accuracy = test.accuracy;
    }
    return st;
}

/* What the samplers of all ranks did. */
static void sum_counts(const pv_training *t, pv_train_result *result)
{
    const pv_sampler_counts own = pv_sampler_count(t->task.sampler);
    int64_t sums[] = {own.partners, own.remote_samples, own.remote_partners};
    MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_INT64_T, MPI_SUM, t->comm->world);
    result->partners = sums[0];
    result->remote_samples = sums[1];
    result->remote_partners = sums[2];
}

static void fill_result(pv_training *t, const progress *done, pv_train_result *result)
{
    const pv_train_state *state = &t->head.state;
    const pv_step_times times = pv_stepper_times(t->stepper);
    result->parameters = pv_model_count(pv_stepper_model(t->stepper));
    result->samples = pv_dataset_samples(t->train);
    result->epochs = state->epoch;
    result->best_epoch = state->best_epoch;
    result->train_loss = done->train_loss;
    result->best_name = t->task.kind->best;
    result->best = state->best_merit < 0 ? (double)NAN : t->task.kind->best_of(state->best_merit);
    result->samples_per_s = done->seconds > 0 ? (double)done->rows / done->seconds : 0;
    result->reduce_share = times.whole > 0 ? times.reduce / times.whole : 0;
    result->data_share = times.whole > 0 ? times.data / times.whole : 0;
    result->sharded = pv_dataset_is_sharded(t->train);
    sum_counts(t, result);
}

pv_status pv_train(const pv_comm *comm, const pv_store *store, const pv_model_opts *model_opts,
                   const pv_train_opts *opts, const pv_augment_list *augment, const char *config_yaml,
                   const pv_model_file *checkpoint, pv_lock *lock, pv_train_result *result)
{
    pv_model_opts model = *model_opts;
    model.projection = pv_task_of(opts)->embeds;
    const double start = pv_seconds();
    const int64_t memory = pv_peak_memory();
    progress done = {.train_loss = (double)NAN};
    pv_training t;
    pv_status st;
    *result = (pv_train_result){.test_loss = (double)NAN, .test_accuracy = (double)NAN};
    PV_TRY(pv_training_open(comm, store, &model, opts, augment, config_yaml, checkpoint, lock, &t));
    PV_TRY(pv_train_log_open(&t, model.kind.plugin->name, checkpoint != NULL));
    result->memory_plan = pv_train_log_memory(&t, memory);
    pv_progress_start(&done.shown, "train", "steps",
                      (opts->epochs - t.head.state.epoch) * pv_task_steps(&t.task) - t.head.state.batch);
    pv_stop_defer(true);
    while (st == PV_OK && t.head.state.epoch < opts->epochs)
        st = run_epoch(&t, &done);
    pv_stop_defer(false);
    pv_progress_end(&done.shown, done.steps);
    if (st == PV_OK && t.head.state.best_epoch == 0)
        st = pv_fail(PV_ERR_NUMERIC, "the loss of the validation split is not finite after any epoch, "
                                     "so no model is kept: lower train.lr and begin anew with --fresh");
    if (st == PV_OK && pv_dataset_samples(t.test) > 0) st = score_kept(&t, result);
    fill_result(&t, &done, result);
    result->seconds = pv_seconds() - start;
done:
    pv_training_close(&t);
    return st;
}
