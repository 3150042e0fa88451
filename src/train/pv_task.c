#include "train/pv_task.h"

pv_status pv_task_open(const pv_task_data *data, pv_task *task)
{
    *task = (pv_task){.data = *data, .place_rows = 1};
    return pv_classify_open(task);
}

void pv_task_close(pv_task *task)
{
    pv_sampler_close(task->sampler);
    if (task->ops) task->ops->close(task);
    *task = (pv_task){0};
}

int64_t pv_task_piece(const pv_train_opts *opts)
{
    return opts->batch;
}
