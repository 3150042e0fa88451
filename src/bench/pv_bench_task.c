/* Made-up rows, and a task that trains on them for ever. */
#include "pv_bench_task.h"
#include "augment/pv_augment.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "inr/pv_inr.h"
#include "nn/core/pv_loss.h"

#include <math.h>
#include <stdlib.h>

/* Sets the statistics of the rows: what training does with those of the training split. */
static void measure(pv_bench_rows *rows)
{
    for (int i = 0; i < rows->params; i++) {
        double sum = 0, square = 0;
        for (int64_t r = 0; r < PV_BENCH_ROWS; r++) {
            const double value = (double)rows->rows[r * rows->params + i];
            sum += value;
            square += value * value;
        }
        const double mean = sum / PV_BENCH_ROWS, var = square / PV_BENCH_ROWS - mean * mean;
        rows->form.mean[i] = (float)mean;
        rows->form.std[i] = var > 0 ? (float)sqrt(var) : 1;
    }
}

pv_status pv_bench_rows_make(const pv_arch *arch, pv_inr_variant variant, int classes, pv_bench_rows *rows)
{
    pv_status st = PV_OK;
    *rows = (pv_bench_rows){.params = pv_arch_params(arch), .classes = classes};
    PV_ALLOC(rows->rows, (int64_t)PV_BENCH_ROWS * rows->params);
    PV_ALLOC(rows->labels, PV_BENCH_ROWS);
    PV_TRY(pv_row_form_make(&(pv_row_form_opts){0}, rows->params, &rows->form));
    for (int64_t r = 0; r < PV_BENCH_ROWS; r++) {
        pv_rng rng = pv_rng_open(1, PV_RNG_VIEW_INIT, (uint64_t)r, 0);
        pv_inr_init(arch, variant, &rng, rows->rows + r * rows->params);
        rows->labels[r] = (int32_t)pv_rng_below(&rng, (uint64_t)classes);
    }
    measure(rows);
done:
    return st;
}

void pv_bench_rows_free(pv_bench_rows *rows)
{
    free(rows->rows);
    free(rows->labels);
    pv_row_form_free(&rows->form);
    *rows = (pv_bench_rows){0};
}

typedef struct bench_task {
    const pv_bench_rows *made;
    pv_augmenter *augmenter;
    pv_batch batch; /* its arrays are made once */
} bench_task;

static pv_augment_sample sample_at(const pv_bench_rows *made, int64_t place)
{
    const int64_t r = place % PV_BENCH_ROWS;
    return (pv_augment_sample){made->rows + r * made->params, made->labels[r]};
}

/* Places are numbered through the epochs; a partner stands half the rows away. */
static pv_status take(pv_task *task, int64_t epoch, int64_t batch, pv_batch *out)
{
    bench_task *const own = task->own;
    pv_batch *const b = &own->batch;
    const pv_comm *comm = task->data.comm;
    pv_status st = PV_OK;
    b->global = pv_task_chunk(task->data.opts);
    b->first = pv_share_start(b->global, comm->rank, comm->size);
    b->count = (int)(pv_share_start(b->global, comm->rank + 1, comm->size) - b->first);
    for (int64_t i = 0; i < b->count; i++) {
        const pv_augment_key key = {task->data.opts->seed, epoch, batch * b->global + b->first + i};
        const pv_augment_sample sample = sample_at(own->made, key.place),
                                partner = sample_at(own->made, key.place + PV_BENCH_ROWS / 2);
        const bool mixed = pv_augmenter_partner(own->augmenter, key) != PV_PARTNER_NONE;
        float *const row = b->rows + i * own->made->params;
        const pv_status applied = pv_augmenter_apply(own->augmenter, key, sample, mixed ? &partner : NULL,
                                                     row, b->targets + i * task->outputs);
        pv_row_form_normalise(&own->made->form, 1, row, row);
        b->labels[i] = sample.label;
        if (st == PV_OK) st = applied;
    }
    *out = *b;
    return st;
}

static int64_t loss(pv_task *task, const pv_batch *batch, const pv_real *outputs, double scale,
                    double *losses, pv_real *doutputs)
{
    for (int i = 0; i < batch->count; i++) {
        const int64_t at = (int64_t)i * task->outputs;
        losses[i] =
            pv_cross_entropy_soft(1, task->outputs, outputs + at, batch->targets + at, scale, doutputs + at);
    }
    return pv_count_correct(batch->count, task->outputs, outputs, batch->labels);
}

static void close_task(pv_task *task)
{
    bench_task *const own = task->own;
    if (!own) return;
    pv_augmenter_free(own->augmenter);
    free(own->batch.rows);
    free(own->batch.targets);
    free(own->batch.labels);
    free(own);
}

static const pv_task_kind kind = {.place_rows = 1, .close = close_task, .take = take, .loss = loss};

pv_status pv_bench_task_open(const pv_comm *comm, const pv_train_opts *opts, const pv_arch *arch,
                             const pv_augment_list *augment, const pv_bench_rows *rows, pv_task *task)
{
    const int64_t share = pv_task_share(&kind, opts, comm->size);
    bench_task *own = NULL;
    pv_status st = PV_OK;
    *task = (pv_task){.kind = &kind,
                      .data = {.comm = comm, .classes = rows->classes, .opts = opts},
                      .places = INT64_MAX,
                      .outputs = rows->classes};
    PV_ALLOC(own, 1);
    task->own = own;
    own->made = rows;
    PV_ALLOC(own->batch.rows, share * rows->params);
    PV_ALLOC(own->batch.targets, share * rows->classes);
    PV_ALLOC(own->batch.labels, share);
    st = pv_augmenter_new(augment, arch, rows->classes, &own->augmenter);
done:
    return st;
}
