/* The task `simclr`: rows that stand for one object are to be alike, and unlike all others of the global batch (Chen et
 * al. 2020).  A place of the stream is an object; its two rows are views or augmentations of it. */
#include "base/pv_mem.h"
#include "pv_contrast.h"
#include "train/pv_evaluate.h"
#include "train/pv_task.h"

#include <math.h>
#include <stdlib.h>

enum { COPIES = 2 };

typedef struct simclr {
    pv_contrast *contrast;
    pv_sampler *val, *test;  /* of the same pairs, always those of one epoch */
    pv_real *rows, *outputs; /* of scoring: [share rows][P], [share rows][outputs] */
    double *losses;          /* [share rows] */
} simclr;

static int64_t share_rows(const pv_task_data *data)
{
    return (pv_task_piece(data->opts) + data->comm->size - 1) / data->comm->size * COPIES;
}

static pv_status take(pv_task *task, int64_t epoch, int64_t batch, pv_part *part)
{
    pv_batch taken;
    const pv_status st = pv_sampler_take(task->sampler, epoch, batch, &taken);
    *part = (pv_part){.count = COPIES * taken.count,
                      .first = COPIES * taken.first,
                      .global = COPIES * taken.global,
                      .rows = taken.rows,
                      .mark = taken.mark};
    return st;
}

static int64_t loss(pv_task *task, const pv_part *part, const pv_real *outputs, double scale, double *losses,
                    pv_real *doutputs)
{
    const simclr *const own = task->own;
    return pv_contrast_loss(own->contrast, part->count, outputs, task->data.opts->temperature, scale, losses,
                            doutputs);
}

/* Adds one batch's losses and hits to sums[2]. */
static pv_status score_batch(pv_task *task, pv_sampler *sampler, int64_t batch, pv_model *model,
                             const pv_norm *norm, double *sums)
{
    simclr *const own = task->own;
    pv_batch taken;
    const pv_status st = pv_sampler_take(sampler, 0, batch, &taken);
    const int rows = COPIES * taken.count;
    const pv_pass pass = {.training = false, .global_batch = COPIES * taken.global};
    for (int64_t i = 0; i < rows; i++)
        pv_norm_apply(norm, taken.rows + i * norm->params, own->rows + i * norm->params);
    for (int64_t first = 0; first < rows; first += PV_EVAL_BATCH)
        pv_model_forward(model, &pass, own->rows + first * norm->params,
                         (int)(rows - first < PV_EVAL_BATCH ? rows - first : PV_EVAL_BATCH),
                         own->outputs + first * task->outputs);
    sums[1] += (double)pv_contrast_loss(own->contrast, rows, own->outputs, task->data.opts->temperature, 1,
                                        own->losses, NULL);
    for (int i = 0; i < rows; i++)
        sums[0] += own->losses[i];
    return st;
}

static pv_status score(pv_task *task, uint8_t split, pv_model *model, const pv_norm *norm, pv_task_score *out)
{
    const simclr *const own = task->own;
    pv_sampler *const sampler = split == PV_SPLIT_VAL ? own->val : own->test;
    double sums[2] = {0, 0};
    pv_status st = PV_OK;
    *out = (pv_task_score){0, (double)NAN, (double)NAN, (double)NAN};
    if (!sampler) return PV_OK;
    for (int64_t batch = 0; batch < pv_sampler_batches(sampler); batch++) {
        const pv_status scored = score_batch(task, sampler, batch, model, norm, sums);
        if (st == PV_OK) st = scored;
    }
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, task->data.comm->world);
    out->samples = COPIES * pv_sampler_samples(sampler);
    out->loss = sums[0] / (double)out->samples;
    out->accuracy = sums[1] / (double)out->samples;
    out->merit = exp(-out->loss);
    return pv_agree(task->data.comm, st);
}

static void close_task(pv_task *task)
{
    simclr *const own = task->own;
    if (!own) return;
    pv_contrast_free(own->contrast);
    pv_sampler_close(own->val);
    pv_sampler_close(own->test);
    free(own->rows);
    free(own->outputs);
    free(own->losses);
    free(own);
}

static const pv_task_ops ops = {.take = take, .loss = loss, .score = score, .close = close_task};

static pv_status open_sampler(const pv_task_data *data, const pv_dataset *dataset, pv_sampler **out)
{
    const pv_sampler_opts opts = {.seed = data->opts->seed,
                                  .batch = pv_task_piece(data->opts),
                                  .random_view = true,
                                  .ahead = PV_TASK_BATCHES_AHEAD,
                                  .classes = data->classes,
                                  .augment = data->augment,
                                  .pairs = true,
                                  .positives = data->opts->positives};
    return pv_sampler_open(data->comm, dataset, pv_store_arch(data->store), &opts, out);
}

pv_status pv_simclr_open(pv_task *task)
{
    const pv_task_data *data = &task->data;
    const int64_t rows = share_rows(data);
    simclr *own = NULL;
    pv_status st;
    PV_ALLOC(own, 1);
    task->ops = &ops;
    task->own = own;
    task->outputs = (int)data->opts->embedding;
    task->place_rows = COPIES;
    PV_TRY(pv_contrast_new(data->comm, (int)rows, COPIES * pv_task_piece(data->opts), task->outputs,
                           &own->contrast));
    PV_ALLOC(own->rows, rows * pv_dataset_params(data->train));
    PV_ALLOC(own->outputs, rows * task->outputs);
    PV_ALLOC(own->losses, rows);
    PV_TRY(open_sampler(data, data->train, &task->sampler));
    if (pv_dataset_samples(data->val) > 0) PV_TRY(open_sampler(data, data->val, &own->val));
    if (pv_dataset_samples(data->test) > 0) PV_TRY(open_sampler(data, data->test, &own->test));
done:
    return st;
}
