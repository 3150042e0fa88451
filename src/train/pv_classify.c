/* The task `classify`: the label of an object from its INR. */
#include "base/pv_log.h"
#include "nn/core/pv_loss.h"
#include "train/pv_evaluate.h"
#include "train/pv_task.h"

static int outputs(const pv_train_opts *opts, int classes)
{
    (void)opts;
    return classes;
}

static double accuracy(double merit)
{
    return merit;
}

static pv_status check_labels(const pv_task_data *data)
{
    bool several = pv_dataset_samples(data->train) == 0;
    for (int64_t s = 0; s < pv_dataset_samples(data->train); s++) {
        const int32_t label = pv_dataset_label(data->train, s);
        if (label < 0)
            return pv_fail(PV_ERR_DATA,
                           "'%s': training object %lld has no label, which train.task: classify learns; "
                           "train.task: simclr learns without labels",
                           pv_store_path(data->store), (long long)pv_dataset_object(data->train, s));
        if (label >= data->classes)
            return pv_fail(PV_ERR_DATA, "'%s': object %lld has label %d, outside its %d classes",
                           pv_store_path(data->store), (long long)pv_dataset_object(data->train, s), label,
                           data->classes);
        several = several || label != pv_dataset_label(data->train, 0);
    }
    if (!several)
        pv_log_warn("'%s': all training objects are of one class, which any network learns%s",
                    pv_store_path(data->store),
                    data->classes == 1 ? "; if there are more, signal.path was a directory too high" : "");
    return PV_OK;
}

static pv_status open_task(pv_task *task)
{
    const pv_task_data *data = &task->data;
    const pv_sampler_opts opts = pv_task_sampler_opts(data, PV_SPLIT_TRAIN);
    const pv_status st = check_labels(data);
    return st != PV_OK
               ? st
               : pv_sampler_open(data->comm, data->train, pv_store_arch(data->store), &opts, &task->sampler);
}

static int64_t loss(pv_task *task, const pv_batch *batch, const pv_real *logits, double scale, double *losses,
                    pv_real *dlogits)
{
    for (int i = 0; i < batch->count; i++) {
        const int64_t at = (int64_t)i * task->outputs;
        losses[i] =
            pv_cross_entropy_soft(1, task->outputs, logits + at, batch->targets + at, scale, dlogits + at);
    }
    return pv_count_correct(batch->count, task->outputs, logits, batch->labels);
}

static pv_status score(pv_task *task, uint8_t split, pv_model *model, pv_task_score *out)
{
    const pv_task_data *data = &task->data;
    pv_score found;
    const pv_status st =
        pv_evaluate(data->comm, model, data->form, split == PV_SPLIT_VAL ? data->val : data->test,
                    task->outputs, false, NULL, &found);
    if (st == PV_OK) *out = (pv_task_score){found.samples, found.loss, found.accuracy, found.accuracy};
    return st;
}

const pv_task_kind pv_task_classify = {
    .plugin = {.name = "classify", .help = "the label of the object from its INR"},
    .place_rows = 1,
    .best = "best_val_accuracy",
    .best_of = accuracy,
    .outputs = outputs,
    .open = open_task,
    .loss = loss,
    .score = score};
