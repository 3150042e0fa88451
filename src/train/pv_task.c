#include "train/pv_task.h"

pv_status pv_task_open(const pv_task_data *data, pv_task *task)
{
    const pv_train_opts *opts = data->opts;
    *task = (pv_task){.data = *data, .place_rows = 1};
    if (opts->batch % opts->accumulate)
        return pv_fail(PV_ERR_CONFIG, "train.accumulate: %lld does not divide train.batch %lld",
                       (long long)opts->accumulate, (long long)opts->batch);
    return data->opts->task == PV_TASK_SIMCLR ? pv_simclr_open(task) : pv_classify_open(task);
}

void pv_task_close(pv_task *task)
{
    pv_sampler_close(task->sampler);
    if (task->ops) task->ops->close(task);
    *task = (pv_task){0};
}

int64_t pv_task_piece(const pv_train_opts *opts)
{
    return opts->batch / opts->accumulate;
}

int64_t pv_task_steps(const pv_task *task)
{
    return (pv_sampler_samples(task->sampler) + task->data.opts->batch - 1) / task->data.opts->batch;
}

int64_t pv_task_places(const pv_task *task, int64_t piece)
{
    const int64_t places = pv_task_piece(task->data.opts);
    if (!task->sampler) return places;
    const int64_t left = pv_sampler_samples(task->sampler) - piece * places;
    return left < places ? (left > 0 ? left : 0) : places;
}
