/* The task `simclr`: rows that stand for one object are to be alike, and unlike all others of the global
 * batch (Chen et al. 2020).  A place of the stream is an object; its two rows are views or augmentations of
 * it. */
#include "pv_contrast.h"
#include "parallel/pv_walk.h"
#include "train/pv_evaluate.h"
#include "train/pv_task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COPIES = 2 };

/* Its options. */
typedef struct simclr_opts {
    int64_t embedding;
    double temperature;
    pv_positives positives;
} simclr_opts;

static const char *const positives[] = {
    [PV_POSITIVES_AUGMENT] = "augment", [PV_POSITIVES_VIEWS] = "views", [PV_POSITIVES_BOTH] = "both", NULL};

static const pv_option options[] = {
    {PV_KEY(simclr_opts, embedding), .initial = "64", PV_BETWEEN(1, 65536), .fixes = PV_FIXES_MODEL,
     .meaning =
         "width of the encoder's output, which is the embedding, and of the two-layer projection on it"},
    {PV_KEY(simclr_opts, temperature), .initial = "0.1", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,
     .meaning = "by which cosine similarities are divided"},
    {PV_KEY(simclr_opts, positives), .choices = positives, .initial = "augment", .fixes = PV_FIXES_MODEL,
     .meaning =
         "the pair that an object gives; augment: two augmentations of one view; views: two views as they "
         "are; both: augmentations of two views"},
    {0}};

static const simclr_opts *opts_of(const pv_train_opts *opts)
{
    return opts->task.options;
}

typedef struct simclr {
    pv_memory memory; /* of what is not a sampler */
    pv_contrast *contrast;
    pv_sampler *val, *test; /* of the same pairs, always those of one epoch */
    int64_t leaves;         /* micro-batches of a batch */
    pv_real *outputs;       /* of scoring: [share][outputs] */
    double *losses;         /* [share] */
    double *sums;           /* [leaves]: of losses, and one more: of hits */
} simclr;

static int outputs(const pv_train_opts *opts, int classes)
{
    (void)classes;
    return (int)opts_of(opts)->embedding;
}

/* A merit is to be at least 0, and higher where the loss is lower. */
static double merit_of(double loss)
{
    return exp(-loss);
}

static double loss_of(double merit)
{
    return -log(merit);
}

static int64_t loss(pv_task *task, const pv_batch *batch, const pv_real *embeddings, double scale,
                    double *losses, pv_real *dembeddings)
{
    const simclr *const own = task->own;
    return pv_contrast_loss(own->contrast, batch->count, embeddings, opts_of(task->data.opts)->temperature,
                            scale, losses, dembeddings);
}

/* Adds one batch's losses and hits to own->sums.  Micro-batches are scored each by itself, as they are
 * trained on: what they give is the same bits on whatever rank. */
static pv_status score_batch(pv_task *task, pv_sampler *sampler, int64_t batch, pv_model *model)
{
    simclr *const own = task->own;
    const pv_comm *const comm = task->data.comm;
    pv_batch taken;
    const pv_status st = pv_sampler_take(sampler, 0, batch, &taken);
    const pv_pass pass = {.training = false, .global_batch = taken.global};
    const int64_t width = task->data.form->width, places = taken.global / COPIES;
    const int64_t first = pv_share_start(own->leaves, comm->rank, comm->size),
                  end = pv_share_start(own->leaves, comm->rank + 1, comm->size);
    for (int64_t leaf = first; leaf < end; leaf++) {
        int64_t at = COPIES * pv_share_start(places, leaf, own->leaves) - taken.first;
        const int64_t behind = COPIES * pv_share_start(places, leaf + 1, own->leaves) - taken.first;
        for (; at < behind; at += PV_EVAL_BATCH)
            pv_model_forward(model, &pass, taken.rows + at * width,
                             (int)(behind - at < PV_EVAL_BATCH ? behind - at : PV_EVAL_BATCH),
                             own->outputs + at * task->outputs);
    }
    own->sums[own->leaves] +=
        (double)pv_contrast_loss(own->contrast, taken.count, own->outputs,
                                 opts_of(task->data.opts)->temperature, 1, own->losses, NULL);
    for (int64_t leaf = first, i = 0; leaf < end; leaf++)
        for (; i < COPIES * pv_share_start(places, leaf + 1, own->leaves) - taken.first; i++)
            own->sums[leaf] += own->losses[i];
    return st;
}

static pv_status score(pv_task *task, uint8_t split, pv_model *model, pv_task_score *out)
{
    const simclr *const own = task->own;
    pv_sampler *const sampler = split == PV_SPLIT_VAL ? own->val : own->test;
    double sum = 0;
    pv_status st = PV_OK;
    *out = (pv_task_score){0, (double)NAN, (double)NAN, (double)NAN};
    if (!sampler) return PV_OK;
    memset(own->sums, 0, sizeof *own->sums * (size_t)(own->leaves + 1));
    for (int64_t batch = 0; st == PV_OK && batch < pv_sampler_batches(sampler); batch++) {
        st = pv_agree(task->data.comm, score_batch(task, sampler, batch, model));
        if (st == PV_OK) st = pv_walk_on(task->data.comm);
    }
    /* a leaf is one rank's: nothing but 0 is added to its sum */
    MPI_Allreduce(MPI_IN_PLACE, own->sums, (int)own->leaves + 1, MPI_DOUBLE, MPI_SUM, task->data.comm->world);
    for (int64_t leaf = 0; leaf < own->leaves; leaf++)
        sum += own->sums[leaf];
    out->samples = COPIES * pv_sampler_samples(sampler);
    out->loss = sum / (double)out->samples;
    out->accuracy = own->sums[own->leaves] / (double)out->samples;
    out->merit = merit_of(out->loss);
    return st;
}

static void close_task(pv_task *task)
{
    simclr *const own = task->own;
    if (!own) return;
    pv_sampler_close(own->val);
    pv_sampler_close(own->test);
    pv_memory_free(&own->memory);
    free(own);
}

static pv_status open_sampler(const pv_task_data *data, const pv_dataset *dataset, uint8_t split,
                              pv_sampler **out)
{
    pv_sampler_opts opts = pv_task_sampler_opts(data, split);
    opts.random_view = true;
    opts.pairs = true;
    opts.positives = opts_of(data->opts)->positives;
    return pv_sampler_open(data->comm, dataset, pv_store_arch(data->store), &opts, out);
}

static pv_status open_task(pv_task *task)
{
    const pv_task_data *data = &task->data;
    const int64_t rows = pv_task_share(task->kind, data->opts, data->comm->size);
    simclr *own = NULL;
    pv_status st;
    PV_ALLOC(own, 1);
    task->own = own;
    own->leaves = pv_task_leaves(data->opts, data->comm->size);
    own->contrast = pv_contrast_new(data->comm, (int)rows, COPIES * pv_task_chunk(data->opts), own->leaves,
                                    task->outputs, &own->memory);
    PV_TAKE(&own->memory, own->leaves + 1, &own->sums);
    PV_TAKE(&own->memory, rows * task->outputs, &own->outputs);
    PV_TAKE(&own->memory, rows, &own->losses);
    PV_TRY(pv_memory_status(&own->memory));
    PV_TRY(open_sampler(data, data->train, PV_SPLIT_TRAIN, &task->sampler));
    if (pv_dataset_samples(data->val) > 0) PV_TRY(open_sampler(data, data->val, PV_SPLIT_VAL, &own->val));
    if (pv_dataset_samples(data->test) > 0) PV_TRY(open_sampler(data, data->test, PV_SPLIT_TEST, &own->test));
done:
    return st;
}

const pv_task_kind pv_task_simclr = {
    .plugin = {.name = "simclr",
               .help = "an embedding in which what stands for one object is alike, "
                       "without labels",
               PV_OWN(options, simclr_opts)},
    .embeds = true,
    .scores_views = true,
    .place_rows = COPIES,
    .best = "best_val_loss",
    .best_of = loss_of,
    .outputs = outputs,
    .open = open_task,
    .close = close_task,
    .loss = loss,
    .score = score};
