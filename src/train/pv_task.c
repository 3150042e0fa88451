/* What all tasks have in common. */
#include "train/pv_task.h"

#define ENTRY(name) &pv_task_##name.plugin,
const pv_registry pv_tasks = {"task", (const pv_plugin *const[]){PV_TASKS(ENTRY) NULL}};

const pv_task_kind *pv_task_of(const pv_train_opts *opts)
{
    return (const pv_task_kind *)opts->task.plugin;
}

pv_status pv_task_open(const pv_task_data *data, pv_task *task)
{
    const pv_train_opts *opts = data->opts;
    const pv_task_kind *kind = pv_task_of(opts);
    *task = (pv_task){
        .kind = kind, .data = *data, .places = INT64_MAX, .outputs = kind->outputs(opts, data->classes)};
    if (opts->batch % opts->accumulate)
        return pv_fail(PV_ERR_CONFIG, "train.accumulate: %lld does not divide train.batch %lld",
                       (long long)opts->accumulate, (long long)opts->batch);
    if (opts->reduce == PV_REDUCE_ORDERED && opts->wire != PV_WIRE_FLOAT32)
        return pv_fail(
            PV_ERR_CONFIG,
            "train.wire: bfloat16 rounds what a node sends, so that sums change with the number of "
            "nodes, and train.reduce: ordered has them the same on any: choose one of the two");
    const pv_status st = kind->open(task);
    if (task->sampler) task->places = pv_sampler_samples(task->sampler);
    return st;
}

void pv_task_close(pv_task *task)
{
    pv_sampler_close(task->sampler);
    if (task->kind && task->kind->close) task->kind->close(task);
    *task = (pv_task){0};
}

pv_sampler_opts pv_task_sampler_opts(const pv_task_data *data, uint8_t split)
{
    enum { BATCHES_AHEAD = 3 };
    return (pv_sampler_opts){.seed = data->opts->seed,
                             .batch = pv_task_chunk(data->opts),
                             .leaves = pv_task_leaves(data->opts, data->comm->size),
                             .random_view = data->opts->random_view,
                             .ahead = BATCHES_AHEAD,
                             .classes = data->classes,
                             .augment = data->augment,
                             .further = data->further[split],
                             .form = data->form};
}

pv_status pv_task_take(pv_task *task, int64_t epoch, int64_t batch, pv_batch *out)
{
    return task->kind->take ? task->kind->take(task, epoch, batch, out)
                            : pv_sampler_take(task->sampler, epoch, batch, out);
}

int64_t pv_task_chunk(const pv_train_opts *opts)
{
    return opts->batch / opts->accumulate;
}

int64_t pv_task_leaves(const pv_train_opts *opts, int size)
{
    int64_t leaves = 1;
    if (opts->reduce == PV_REDUCE_FAST) return size;
    while (leaves * opts->micro_batch < pv_task_chunk(opts))
        leaves *= 2;
    return leaves;
}

int64_t pv_task_share(const pv_task_kind *kind, const pv_train_opts *opts, int size)
{
    return pv_share_run_most(pv_task_chunk(opts), pv_task_leaves(opts, size), size) * kind->place_rows;
}

int64_t pv_task_steps(const pv_task *task)
{
    const int64_t batch = task->data.opts->batch;
    return task->places / batch + (task->places % batch > 0);
}

int64_t pv_task_places(const pv_task *task, int64_t chunk)
{
    const int64_t places = pv_task_chunk(task->data.opts), left = task->places - chunk * places;
    return left < places ? (left > 0 ? left : 0) : places;
}
