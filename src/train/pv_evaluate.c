/* A model's loss and accuracy over a data set, and its logits as columns of an HDF5 file. */
#include "train/pv_evaluate.h"
#include "base/pv_mem.h"
#include "nn/core/pv_loss.h"
#include "parallel/pv_walk.h"
#include "store/pv_columns.h"

#include <math.h>

/* GROUPS of a rank are seen to before all ranks look around. */
enum { MOST_GROUPS = 1 << 14, GROUPS = 4 };

/* A model on its way through a data set. */
typedef struct evaluation {
    pv_model *model;
    const pv_row_form *form;
    const pv_dataset *dataset;
    pv_score *score;
    float *next;      /* where the next sample's logits go; NULL: nowhere */
    pv_memory memory; /* of the arrays */
    pv_real *rows, *logits;
    int32_t *labels;
    double *losses;            /* [groups], 0 where another rank sums */
    int64_t correct, labelled; /* samples */
} evaluation;

static int64_t passes_of(int64_t samples)
{
    return (samples + PV_EVAL_BATCH - 1) / PV_EVAL_BATCH;
}

static int groups_of(int64_t samples)
{
    return (int)(passes_of(samples) < MOST_GROUPS ? passes_of(samples) : MOST_GROUPS);
}

/* The sample that a group begins with. */
static int64_t start_of(int64_t samples, int64_t group)
{
    const int64_t start = PV_EVAL_BATCH * pv_share_start(passes_of(samples), group, groups_of(samples));
    return start < samples ? start : samples;
}

void pv_eval_share(const pv_comm *comm, int64_t samples, int64_t *first, int64_t *count)
{
    int64_t group, groups;
    pv_share_of(groups_of(samples), comm->rank, comm->size, &group, &groups);
    *first = samples > 0 ? start_of(samples, group) : 0;
    *count = samples > 0 ? start_of(samples, group + groups) - *first : 0;
}

static void count_classes(const evaluation *e, int batch, int classes, pv_score *score)
{
    for (int i = 0; i < batch; i++) {
        if (e->labels[i] < 0) continue;
        score->class_samples[e->labels[i]]++;
        score->class_correct[e->labels[i]] +=
            pv_count_correct(1, classes, e->logits + (int64_t)i * classes, e->labels + i);
    }
}

/* One group, pass after pass. */
static pv_status evaluate_group(evaluation *e, int64_t group)
{
    const pv_row_form *const form = e->form;
    const pv_dataset *const dataset = e->dataset;
    pv_score *const score = e->score;
    const int classes = score->classes, width = form->width;
    const int64_t end = start_of(score->samples, group + 1);
    for (int64_t first = start_of(score->samples, group); first < end; first += PV_EVAL_BATCH) {
        const int batch = (int)(end - first < PV_EVAL_BATCH ? end - first : PV_EVAL_BATCH);
        for (int i = 0; i < batch; i++) {
            pv_row_form_finish(form, pv_dataset_row(dataset, first + i), e->rows + (int64_t)i * width);
            e->labels[i] = pv_dataset_label(dataset, first + i);
            e->labelled += e->labels[i] >= 0;
            if (e->labels[i] >= classes)
                return pv_fail(PV_ERR_DATA, "object %lld has label %d, but the model knows classes 0-%d",
                               (long long)pv_dataset_object(dataset, first + i), e->labels[i], classes - 1);
        }
        const pv_pass pass = {.training = false, .global_batch = batch};
        pv_model_forward(e->model, &pass, e->rows, batch, e->logits);
        /* a label of -1 is that of no class: it adds nothing */
        e->losses[group] += pv_cross_entropy(batch, classes, e->logits, e->labels, 1.0, NULL);
        e->correct += pv_count_correct(batch, classes, e->logits, e->labels);
        if (score->class_samples) count_classes(e, batch, classes, score);
        for (int i = 0; e->next && i < batch * classes; i++)
            *e->next++ = (float)e->logits[i];
    }
    return PV_OK;
}

static pv_status evaluate_groups(void *context, int64_t first, int64_t count)
{
    pv_status st = PV_OK;
    for (int64_t group = first; st == PV_OK && group < first + count; group++)
        st = evaluate_group(context, group);
    return st;
}

static pv_status allocate(evaluation *e, bool per_class, pv_score *score)
{
    pv_status st = PV_OK;
    PV_TAKE(&e->memory, (int64_t)PV_EVAL_BATCH * e->form->width, &e->rows);
    PV_TAKE(&e->memory, (int64_t)PV_EVAL_BATCH * score->classes, &e->logits);
    PV_TAKE(&e->memory, PV_EVAL_BATCH, &e->labels);
    PV_TAKE(&e->memory, groups_of(score->samples), &e->losses);
    PV_TRY(pv_memory_status(&e->memory));
    if (per_class) {
        PV_ALLOC(score->class_samples, score->classes);
        PV_ALLOC(score->class_correct, score->classes);
    }
done:
    return st;
}

pv_status pv_evaluate(const pv_comm *comm, pv_model *model, const pv_row_form *form,
                      const pv_dataset *dataset, int classes, bool per_class, float *logits, pv_score *score)
{
    evaluation e = {.model = model, .form = form, .dataset = dataset, .score = score, .next = logits};
    pv_status st;
    *score = (pv_score){.samples = pv_dataset_samples(dataset), .classes = classes};
    PV_TRY(pv_agree(comm, allocate(&e, per_class, score)));
    const int groups = groups_of(score->samples);
    const pv_walk walk = {.what = "scoring",
                          .unit = "groups of samples",
                          .items = groups,
                          .block = GROUPS,
                          .visit = evaluate_groups,
                          .context = &e};
    PV_TRY(pv_walk_all(comm, &walk));
    double loss = 0;
    MPI_Allreduce(MPI_IN_PLACE, e.losses, groups, MPI_DOUBLE, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &e.correct, 1, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, &e.labelled, 1, MPI_INT64_T, MPI_SUM, comm->world);
    score->samples = e.labelled;
    for (int i = 0; i < groups; i++)
        loss += e.losses[i];
    score->loss = score->samples > 0 ? loss / (double)score->samples : (double)NAN;
    score->accuracy = score->samples > 0 ? (double)e.correct / (double)score->samples : (double)NAN;
    if (per_class) {
        MPI_Allreduce(MPI_IN_PLACE, score->class_samples, classes, MPI_INT64_T, MPI_SUM, comm->world);
        MPI_Allreduce(MPI_IN_PLACE, score->class_correct, classes, MPI_INT64_T, MPI_SUM, comm->world);
    }
done:
    pv_memory_free(&e.memory);
    if (st != PV_OK) {
        PV_FREE(score->class_samples, score->class_correct);
        score->class_samples = score->class_correct = NULL;
    }
    return st;
}

pv_status pv_eval_write_logits(const pv_comm *comm, const char *path, const pv_dataset *dataset, int classes,
                               const float *logits)
{
    const int64_t rows = pv_dataset_samples(dataset);
    int64_t first, share, *objects = NULL, *views = NULL;
    int32_t *labels = NULL;
    pv_memory memory = {0};
    pv_eval_share(comm, rows, &first, &share);
    PV_TAKE(&memory, share, &labels);
    PV_TAKE(&memory, share, &objects, &views);
    for (int64_t i = 0; !memory.failed && i < share; i++) {
        labels[i] = pv_dataset_label(dataset, first + i);
        objects[i] = pv_dataset_object(dataset, first + i);
        views[i] = pv_dataset_view(dataset, first + i);
    }
    pv_status st = pv_agree(comm, pv_memory_status(&memory));
    if (st == PV_OK) {
        const pv_column columns[] = {{"/logits", H5T_NATIVE_FLOAT, classes, rows, first, share, logits},
                                     {"/label", H5T_NATIVE_INT32, 0, rows, first, share, labels},
                                     {"/object", H5T_NATIVE_INT64, 0, rows, first, share, objects},
                                     {"/view", H5T_NATIVE_INT64, 0, rows, first, share, views}};
        st = pv_columns_write(comm, path, "logits", columns, 4);
    }
    pv_memory_free(&memory);
    return st;
}
