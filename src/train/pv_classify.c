/* The task `classify`: the label of an object from its INR, by cross entropy with soft labels. */
#include "base/pv_mem.h"
#include "nn/core/pv_loss.h"
#include "train/pv_evaluate.h"
#include "train/pv_task.h"

#include <stdlib.h>

typedef struct classify {
    pv_batch batch; /* taken last */
    pv_real *targets;
} classify;

static pv_status take(pv_task *task, int64_t epoch, int64_t batch, pv_part *part)
{
    classify *const own = task->own;
    const pv_status st = pv_sampler_take(task->sampler, epoch, batch, &own->batch);
    for (int64_t i = 0; i < (int64_t)own->batch.count * task->outputs; i++)
        own->targets[i] = (pv_real)own->batch.targets[i];
    *part = (pv_part){.count = own->batch.count,
                      .first = own->batch.first,
                      .global = own->batch.global,
                      .rows = own->batch.rows,
                      .mark = own->batch.mark};
    return st;
}

static int64_t loss(pv_task *task, const pv_part *part, const pv_real *outputs, double scale, double *losses,
                    pv_real *doutputs)
{
    const classify *const own = task->own;
    for (int i = 0; i < part->count; i++) {
        const int64_t at = (int64_t)i * task->outputs;
        losses[i] =
            pv_cross_entropy_soft(1, task->outputs, outputs + at, own->targets + at, scale, doutputs + at);
    }
    return pv_count_correct(part->count, task->outputs, outputs, own->batch.labels);
}

static pv_status score(pv_task *task, uint8_t split, pv_model *model, const pv_norm *norm, pv_task_score *out)
{
    pv_score found;
    const pv_dataset *dataset = split == PV_SPLIT_VAL ? task->data.val : task->data.test;
    const pv_status st =
        pv_evaluate(task->data.comm, model, norm, dataset, task->outputs, false, NULL, &found);
    if (st == PV_OK) *out = (pv_task_score){found.samples, found.loss, found.accuracy, found.accuracy};
    return st;
}

static void close_task(pv_task *task)
{
    classify *const own = task->own;
    if (own) free(own->targets);
    free(own);
}

static const pv_task_ops ops = {.take = take, .loss = loss, .score = score, .close = close_task};

static pv_status check_labels(const pv_task_data *data)
{
    for (int64_t s = 0; s < pv_dataset_samples(data->train); s++) {
        const int32_t label = pv_dataset_label(data->train, s);
        if (label < 0 || label >= data->classes)
            return pv_fail(PV_ERR_DATA, "'%s': object %lld has label %d, outside its %d classes",
                           pv_store_path(data->store), (long long)pv_dataset_object(data->train, s), label,
                           data->classes);
    }
    return PV_OK;
}

pv_status pv_classify_open(pv_task *task)
{
    const pv_task_data *data = &task->data;
    const int64_t piece = pv_task_piece(data->opts),
                  share = (piece + data->comm->size - 1) / data->comm->size;
    const pv_sampler_opts sampler = {.seed = data->opts->seed,
                                     .batch = piece,
                                     .random_view = data->opts->random_view,
                                     .ahead = PV_TASK_BATCHES_AHEAD,
                                     .classes = data->classes,
                                     .augment = data->augment};
    classify *own = NULL;
    pv_status st;
    PV_TRY(check_labels(data));
    PV_ALLOC(own, 1);
    task->ops = &ops;
    task->own = own;
    task->outputs = data->classes;
    PV_ALLOC(own->targets, share * data->classes);
    st = pv_sampler_open(data->comm, data->train, pv_store_arch(data->store), &sampler, &task->sampler);
done:
    return st;
}
