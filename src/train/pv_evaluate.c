#include "train/pv_evaluate.h"
#include "base/pv_mem.h"
#include "nn/pv_loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluation {
    pv_real *rows, *logits;
    int32_t *labels;
    double loss;
    int64_t correct;
} evaluation;

static void count_classes(const evaluation *e, int batch, int classes, pv_score *score)
{
    for (int i = 0; i < batch; i++) {
        score->class_samples[e->labels[i]]++;
        score->class_correct[e->labels[i]] +=
            pv_count_correct(1, classes, e->logits + (int64_t)i * classes, e->labels + i);
    }
}

/* This rank's share, batch after batch. */
static pv_status evaluate_share(evaluation *e, pv_model *model, const pv_norm *norm,
                                const pv_dataset *dataset, int64_t first, int64_t left, int max_batch,
                                float *logits, pv_score *score)
{
    const int classes = score->classes, params = norm->params;
    for (; left > 0; first += max_batch, left -= max_batch) {
        const int batch = (int)(left < max_batch ? left : max_batch);
        for (int i = 0; i < batch; i++) {
            pv_norm_apply(norm, pv_dataset_row(dataset, first + i), e->rows + (int64_t)i * params);
            e->labels[i] = pv_dataset_label(dataset, first + i);
            if (e->labels[i] < 0 || e->labels[i] >= classes)
                return pv_fail(PV_ERR_DATA, "object %lld has label %d, but the model knows classes 0-%d",
                               (long long)pv_dataset_object(dataset, first + i), e->labels[i], classes - 1);
        }
        const pv_pass pass = {.training = false, .global_batch = batch};
        pv_model_forward(model, &pass, e->rows, batch, e->logits);
        e->loss += pv_cross_entropy(batch, classes, e->logits, e->labels, 1.0, NULL);
        e->correct += pv_count_correct(batch, classes, e->logits, e->labels);
        if (score->class_samples) count_classes(e, batch, classes, score);
        for (int i = 0; logits && i < batch * classes; i++)
            *logits++ = (float)e->logits[i];
    }
    return PV_OK;
}

static pv_status allocate(evaluation *e, int params, int max_batch, bool per_class, pv_score *score)
{
    pv_status st = PV_OK;
    PV_ALLOC(e->rows, (int64_t)max_batch * params);
    PV_ALLOC(e->logits, (int64_t)max_batch * score->classes);
    PV_ALLOC(e->labels, max_batch);
    if (per_class) {
        PV_ALLOC(score->class_samples, score->classes);
        PV_ALLOC(score->class_correct, score->classes);
    }
done:
    return st;
}

pv_status pv_evaluate(const pv_comm *comm, pv_model *model, const pv_norm *norm, const pv_dataset *dataset,
                      int classes, int max_batch, bool per_class, float *logits, pv_score *score)
{
    evaluation e = {0};
    int64_t first, count;
    pv_status st;
    *score = (pv_score){.samples = pv_dataset_samples(dataset), .classes = classes};
    PV_TRY(pv_agree(comm, allocate(&e, norm->params, max_batch, per_class, score)));
    pv_share_of(score->samples, comm->rank, comm->size, &first, &count);
    PV_TRY(pv_agree(comm, evaluate_share(&e, model, norm, dataset, first, count, max_batch, logits, score)));
    double sums[2] = {e.loss, (double)e.correct};
    MPI_Allreduce(MPI_IN_PLACE, sums, 2, MPI_DOUBLE, MPI_SUM, comm->world);
    score->loss = score->samples > 0 ? sums[0] / (double)score->samples : (double)NAN;
    score->accuracy = score->samples > 0 ? sums[1] / (double)score->samples : (double)NAN;
    if (per_class) {
        MPI_Allreduce(MPI_IN_PLACE, score->class_samples, classes, MPI_INT64_T, MPI_SUM, comm->world);
        MPI_Allreduce(MPI_IN_PLACE, score->class_correct, classes, MPI_INT64_T, MPI_SUM, comm->world);
    }
done:
    free(e.rows);
    free(e.logits);
    free(e.labels);
    if (st != PV_OK) {
        free(score->class_samples);
        free(score->class_correct);
        score->class_samples = score->class_correct = NULL;
    }
    return st;
}
