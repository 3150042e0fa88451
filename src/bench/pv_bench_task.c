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
        rows->norm.mean[i] = (float)mean;
        rows->norm.std[i] = var > 0 ? (float)sqrt(var) : 1;
    }
}

pv_status pv_bench_rows_make(const pv_arch *arch, pv_inr_variant variant, int classes, pv_bench_rows *rows)
{
    pv_status st = PV_OK;
    *rows = (pv_bench_rows){.params = pv_arch_params(arch), .classes = classes};
    PV_ALLOC(rows->rows, (int64_t)PV_BENCH_ROWS * rows->params);
    PV_ALLOC(rows->labels, PV_BENCH_ROWS);
    PV_TRY(pv_norm_make(rows->params, &rows->norm));
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
    pv_norm_free(&rows->norm);
    *rows = (pv_bench_rows){0};
}

typedef struct bench_task {
    const pv_bench_rows *made;
    pv_augmenter *augmenter;
    float *rows, *targets; /* of this rank's part */
    int32_t *labels;
    pv_real *real_targets;
} bench_task;

static pv_augment_sample sample_at(const pv_bench_rows *made, int64_t place)
{
    const int64_t r = place % PV_BENCH_ROWS;
    return (pv_augment_sample){made->rows + r * made->params, made->labels[r]};
}

/* Places are numbered through the epochs; a partner stands half the rows away. */
static pv_status take(pv_task *task, int64_t epoch, int64_t batch, pv_part *part)
{
    bench_task *const own = task->own;
    const pv_comm *comm = task->data.comm;
    const int64_t piece = pv_task_piece(task->data.opts),
                  first = pv_share_start(piece, comm->rank, comm->size);
    const int64_t count = pv_share_start(piece, comm->rank + 1, comm->size) - first;
    pv_status st = PV_OK;
    for (int64_t i = 0; i < count; i++) {
        const pv_augment_key key = {task->data.opts->seed, epoch, batch * piece + first + i};
        const pv_augment_sample sample = sample_at(own->made, key.place),
                                partner = sample_at(own->made, key.place + PV_BENCH_ROWS / 2);
        const bool mixed = pv_augmenter_partner(own->augmenter, key) != PV_PARTNER_NONE;
        const pv_status applied =
            pv_augmenter_apply(own->augmenter, key, sample, mixed ? &partner : NULL,
                               own->rows + i * own->made->params, own->targets + i * task->outputs);
        own->labels[i] = sample.label;
        if (st == PV_OK) st = applied;
    }
    for (int64_t i = 0; i < count * task->outputs; i++)
        own->real_targets[i] = (pv_real)own->targets[i];
    *part = (pv_part){.count = (int)count, .first = first, .global = piece, .rows = own->rows};
    return st;
}

static int64_t loss(pv_task *task, const pv_part *part, const pv_real *outputs, double scale, double *losses,
                    pv_real *doutputs)
{
    const bench_task *const own = task->own;
    for (int i = 0; i < part->count; i++) {
        const int64_t at = (int64_t)i * task->outputs;
        losses[i] = pv_cross_entropy_soft(1, task->outputs, outputs + at, own->real_targets + at, scale,
                                          doutputs + at);
    }
    return pv_count_correct(part->count, task->outputs, outputs, own->labels);
}

static pv_status score(pv_task *task, uint8_t split, pv_model *model, const pv_norm *norm, pv_task_score *out)
{
    (void)task, (void)split, (void)model, (void)norm;
    *out = (pv_task_score){.loss = (double)NAN, .accuracy = (double)NAN, .merit = (double)NAN};
    return PV_OK;
}

static void close_task(pv_task *task)
{
    bench_task *const own = task->own;
    if (!own) return;
    pv_augmenter_free(own->augmenter);
    free(own->rows);
    free(own->targets);
    free(own->labels);
    free(own->real_targets);
    free(own);
}

static const pv_task_ops ops = {.take = take, .loss = loss, .score = score, .close = close_task};

pv_status pv_bench_task_open(const pv_comm *comm, const pv_train_opts *opts, const pv_arch *arch,
                             const pv_augment_list *augment, const pv_bench_rows *rows, pv_task *task)
{
    const int64_t share = (pv_task_piece(opts) + comm->size - 1) / comm->size;
    bench_task *own = NULL;
    pv_status st = PV_OK;
    *task = (pv_task){.ops = &ops,
                      .data = {.comm = comm, .classes = rows->classes, .opts = opts},
                      .outputs = rows->classes,
                      .place_rows = 1};
    PV_ALLOC(own, 1);
    task->own = own;
    own->made = rows;
    PV_ALLOC(own->rows, share * rows->params);
    PV_ALLOC(own->targets, share * rows->classes);
    PV_ALLOC(own->labels, share);
    PV_ALLOC(own->real_targets, share * rows->classes);
    st = pv_augmenter_new(augment, arch, rows->classes, &own->augmenter);
done:
    return st;
}
