/* The making of a training run. */
#include "pv_training.h"
#include "base/pv_checksum.h"
#include "base/pv_clock.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "data/pv_row_statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The views of a split that are not trained on, where partners are of all views. */
static pv_status open_further(pv_training *t, const pv_store *store, uint8_t split,
                              const pv_augment_list *augment, const pv_frames *frames)
{
    const int64_t views = t->opts->views, further = pv_store_views(store) - views;
    const pv_dataset_opts data = {.split = split,
                                  .first_view = views,
                                  .views = further,
                                  .verify = !t->opts->no_verify,
                                  .form = &t->head.form,
                                  .frames = frames,
                                  .placement = t->opts->placement};
    if (further < 1 || pv_augment_partner_views(augment) == PV_PARTNER_VIEWS_TRAIN) return PV_OK;
    return pv_dataset_open(t->comm, store, &data, &t->further[split]);
}

/* The rows of all splits, with frames if there are some to be found. */
static pv_status open_rows(pv_training *t, const pv_store *store, const pv_augment_list *augment,
                           const pv_frames *frames)
{
    const pv_train_opts *opts = t->opts;
    const bool scores_views = pv_task_of(opts)->scores_views;
    pv_dataset_opts data = {.split = PV_SPLIT_TRAIN,
                            .views = opts->views,
                            .verify = !opts->no_verify,
                            .form = &t->head.form,
                            .frames = frames,
                            .placement = opts->placement};
    pv_status st;
    PV_TRY(pv_dataset_open(t->comm, store, &data, &t->train));
    if (pv_dataset_samples(t->train) == 0)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' has no training objects", pv_store_path(store)));
    data.placement = PV_PLACE_NODE;
    if (!scores_views) {
        data.views = 1;
        data.frames = NULL;
    }
    data.split = PV_SPLIT_VAL;
    PV_TRY(pv_dataset_open(t->comm, store, &data, &t->val));
    data.split = PV_SPLIT_TEST;
    PV_TRY(pv_dataset_open(t->comm, store, &data, &t->test));
    for (uint8_t split = 0; split < (scores_views ? PV_SPLITS : PV_SPLIT_TRAIN + 1); split++)
        PV_TRY(open_further(t, store, split, augment, frames));
done:
    return st;
}

/* Frames are of the fresh network that rows may be aligned to. */
static pv_status open_data(pv_training *t, const pv_store *store, const pv_augment_list *augment)
{
    const pv_match_opts *match = pv_augment_frames(augment);
    if (!match) return open_rows(t, store, augment, NULL);
    float *const reference = pv_alloc(pv_store_params(store), sizeof *reference);
    pv_status st = pv_agree(t->comm, reference ? PV_OK : PV_ERR_NOMEM);
    if (st == PV_OK) {
        const pv_frames frames = {*match, reference};
        pv_fresh_draw(&t->opts->form.fresh, pv_store_arch(store), reference);
        st = open_rows(t, store, augment, &frames);
    }
    free(reference);
    return st;
}

static pv_status open_task(pv_training *t, const pv_store *store, const pv_augment_list *augment)
{
    const pv_task_data data = {
        .comm = t->comm,
        .store = store,
        .train = t->train,
        .val = t->val,
        .test = t->test,
        .further = {t->further[PV_SPLIT_TRAIN], t->further[PV_SPLIT_VAL], t->further[PV_SPLIT_TEST]},
        .form = &t->head.form,
        .classes = pv_store_signal(store)->classes,
        .opts = t->opts,
        .augment = augment};
    return pv_task_open(&data, &t->task);
}

static pv_status make_head(pv_training *t, const pv_store *store, const char *config)
{
    t->head.arch = *pv_store_arch(store);
    t->head.config = pv_strdup(config);
    t->checkpoint = pv_checkpoint_path(t->opts->output);
    if (!t->head.config || !t->checkpoint || asprintf(&t->metrics, "%s.jsonl", t->opts->output) < 0)
        return pv_fail(PV_ERR_NOMEM, "no memory for names");
    return pv_row_form_make(&t->opts->form, pv_store_arch(store), &t->head.form);
}

static pv_status make_stepper(pv_training *t, const pv_model_opts *model)
{
    const int64_t epochs = t->opts->epochs, steps = pv_task_steps(&t->task);
    const pv_stepper_setup setup = {.comm = t->comm,
                                    .opts = t->opts,
                                    .task = &t->task,
                                    .model = model,
                                    .arch = &t->head.arch,
                                    .steps = steps > INT64_MAX / epochs ? INT64_MAX : epochs * steps};
    return pv_stepper_new(&setup, &t->stepper);
}

static pv_status start_fresh(pv_training *t)
{
    pv_model_init(pv_stepper_model(t->stepper), t->opts->seed);
    t->head.state = (pv_train_state){.best_merit = -1};
    return pv_row_statistics_measure(t->comm, t->train, &t->head.form);
}

/* The kept model is gone or damaged: the checkpoint's takes its place, until a better one comes. */
static pv_status keep_anew(pv_training *t)
{
    pv_train_state *const state = &t->head.state;
    pv_model_file kept = {0};
    pv_task_score val;
    if (state->best_epoch == 0) return PV_OK;
    const bool there = pv_path_exists(t->comm, t->opts->output);
    pv_status st = there ? pv_model_file_open(t->comm, t->opts->output, &kept) : PV_ERR_DATA;
    pv_model_file_close(&kept);
    if (st != PV_ERR_DATA) return st;
    if (there) pv_log_warn("%s", pv_fail_message());
    pv_log_warn("'%s', the model of epoch %lld, is %s: that of '%s' is kept instead, or a later one that is "
                "better",
                t->opts->output, (long long)state->best_epoch, there ? "damaged" : "gone", t->checkpoint);
    PV_TRY(pv_training_score(t, PV_SPLIT_VAL, &val));
    state->best_merit = val.samples > 0 ? val.merit : -1;
    state->best_epoch = state->epoch;
    PV_TRY(pv_training_keep(t));
    st = pv_training_save(t);
done:
    return st;
}

/* Parameters, optimiser, statistics and state, of a run on these rows. */
static pv_status load_checkpoint(pv_training *t, const pv_model_file *file)
{
    const pv_model_head *const saved = &file->head;
    pv_model_head *const head = &t->head;
    if (!pv_arch_equal(&saved->arch, &head->arch) || saved->classes != head->classes ||
        saved->form.width != head->form.width)
        return pv_fail(PV_ERR_DATA, "'%s' was trained on INRs of another architecture than this store's",
                       file->path);
    if (saved->rows != head->rows)
        return pv_fail(PV_ERR_DATA,
                       "'%s' was trained on other rows than the training split of this store "
                       "holds; take that store, another train.output, or --fresh to start again",
                       file->path);
    const size_t bytes = sizeof *saved->form.mean * (size_t)head->form.width;
    head->state = saved->state;
    if (t->comm->rank != 0) /* the saved mark is the sum over all ranks */
        head->state.stream = 0;
    memcpy(head->form.mean, saved->form.mean, bytes);
    memcpy(head->form.std, saved->form.std, bytes);
    return pv_model_file_load(file, pv_stepper_model(t->stepper), pv_stepper_optim(t->stepper));
}

static pv_status start_from_checkpoint(pv_training *t, const pv_model_file *file)
{
    const pv_status st = load_checkpoint(t, file);
    if (st != PV_OK) return st;
    pv_stepper_loaded(t->stepper);
    pv_log_info("continuing from '%s': %lld epochs and %lld batches are done", file->path,
                (long long)t->head.state.epoch, (long long)t->head.state.batch);
    return keep_anew(t);
}

pv_status pv_training_open(const pv_comm *comm, const pv_store *store, const pv_model_opts *model,
                           const pv_train_opts *opts, const pv_augment_list *augment, const char *config,
                           const pv_model_file *checkpoint, pv_lock *lock, pv_training *t)
{
    const bool resume = checkpoint != NULL;
    pv_status st;
    *t = (pv_training){.comm = comm, .opts = opts, .lock = lock, .saved = pv_seconds()};
    PV_TRY(pv_same_text(comm, "config of pv_training_open", config));
    PV_TRY(pv_same(comm, "resume of pv_training_open", &resume, sizeof resume));
    PV_TRY(pv_agree(comm, make_head(t, store, config)));
    PV_TRY(open_data(t, store, augment));
    st = open_task(t, store, augment);
    if (st == PV_OK) st = make_stepper(t, model);
    PV_TRY(pv_agree(comm, st));
    t->head.classes = t->task.outputs;
    t->head.rows = pv_dataset_identity(t->train) + pv_dataset_identity(t->further[PV_SPLIT_TRAIN]);
    st = resume ? start_from_checkpoint(t, checkpoint) : start_fresh(t);
done:
    return st;
}

void pv_training_close(pv_training *t)
{
    pv_stepper_free(t->stepper);
    pv_task_close(&t->task);
    pv_dataset_close(t->train);
    pv_dataset_close(t->val);
    pv_dataset_close(t->test);
    for (int split = 0; split < PV_SPLITS; split++)
        pv_dataset_close(t->further[split]);
    pv_model_head_free(&t->head);
    PV_FREE(t->checkpoint, t->metrics);
}

pv_status pv_training_compare(const pv_comm *comm, const pv_model *model, int64_t epoch)
{
    const pv_model_tensor *tensors;
    const int count = pv_model_tensors(model, &tensors);
    uint64_t mine = 0;
    for (int i = 0; i < count; i++)
        mine = mine * 31 + pv_checksum(tensors[i].values, sizeof(pv_real) * (size_t)tensors[i].count);
    uint64_t first = mine;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, comm->world);
    return pv_agree(comm, mine == first
                              ? PV_OK
                              : pv_fail(PV_ERR_NUMERIC,
                                        "after epoch %lld the model of this rank is not that of rank 0: its "
                                        "processor, its memory or an MPI library that differs computes "
                                        "otherwise; continue from the checkpoint without this node",
                                        (long long)epoch));
}

pv_status pv_training_score(pv_training *t, uint8_t split, pv_task_score *out)
{
    return t->task.kind->score(&t->task, split, pv_stepper_model(t->stepper), out);
}

/* Nothing is written over what another run writes. */
static pv_status write_file(const pv_training *t, const char *path, int64_t keep, pv_optim *optim)
{
    const pv_status st = pv_lock_check(t->lock);
    return st != PV_OK ? st : pv_model_file_write(path, keep, &t->head, pv_stepper_model(t->stepper), optim);
}

pv_status pv_training_save(pv_training *t)
{
    uint64_t total = 0;
    t->saved = pv_seconds();
    MPI_Reduce(&t->head.state.stream, &total, 1, MPI_UINT64_T, MPI_SUM, 0, t->comm->world);
    t->head.state.stream = total;
    const bool writes = t->comm->rank == 0;
    return pv_agree(
        t->comm, writes ? write_file(t, t->checkpoint, t->opts->keep, pv_stepper_optim(t->stepper)) : PV_OK);
}

pv_status pv_training_keep(pv_training *t)
{
    return pv_agree(t->comm, t->comm->rank == 0 ? write_file(t, t->opts->output, 1, NULL) : PV_OK);
}
