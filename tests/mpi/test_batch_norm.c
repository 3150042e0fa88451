/* A batch spread over ranks, some perhaps with nothing, trains like the whole batch on one. */
#include "pv_mpi_test.h"
#include "pv_test_arch.h"
#include "base/pv_rng.h"
#include "nn/core/pv_loss.h"
#include "nn/pv_model.h"
#include "nn/dws/pv_dws_opts.h"
#include "nn/pv_model_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, CLASSES = 4, LAYERS = 3 };

static const int dims[] = {2, 5, 6, 1};
static const int32_t labels[BATCH] = {3, 0, 2};

typedef struct subject {
    pv_model *model;
    int64_t weights;
    pv_real *rows;
    pv_real logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
} subject;

static bool open(subject *s)
{
    *s = (subject){0};
    pv_dws_opts own = {.reduction = PV_POOL_MEAN, .fc_layers = 1, .out_fc = 1};
    const pv_model_opts opts = {
        .kind = {&pv_model_dws.plugin, &own}, .hidden = 8, .layers = 2, .batch_norm = true, .dropout = 0.1};
    if (pv_model_new(&opts, pv_test_arch(dims, LAYERS), CLASSES, BATCH, &s->model) != PV_OK) return false;
    pv_model_init(s->model, 1);
    for (int i = 0; i < LAYERS; i++)
        s->weights += (dims[i] + 1) * dims[i + 1];
    s->rows = calloc((size_t)(BATCH * s->weights), sizeof *s->rows);
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int64_t i = 0; s->rows && i < BATCH * s->weights; i++)
        s->rows[i] = (pv_real)pv_rng_normal(&rng);
    return s->rows != NULL;
}

static void meet(const pv_comm *comm, pv_batch_sums sums)
{
    MPI_Allreduce(MPI_IN_PLACE, sums.values, sums.count, MPI_DOUBLE, MPI_SUM, comm->world);
}

/* A pass over rows first .. first + count - 1 that meets those of the other ranks; comm NULL: there are
 * none. */
static void step(subject *s, const pv_comm *comm, int64_t first, int count)
{
    const pv_pass pass = {
        .training = true, .global_batch = BATCH, .first_sample = first, .seed = 1, .step = 1};
    const int stages = pv_model_stages(s->model);
    for (int stage = 0; stage < stages; stage++) {
        const pv_batch_sums sums =
            pv_model_forward_stage(s->model, &pass, stage, s->rows + first * s->weights, count, s->logits);
        if (comm) meet(comm, sums);
    }
    pv_cross_entropy(count, CLASSES, s->logits, labels + first, 1.0 / BATCH, s->dlogits);
    for (int stage = stages - 1; stage >= 0; stage--) {
        const pv_batch_sums sums = pv_model_backward_stage(s->model, &pass, stage, s->dlogits, NULL);
        if (comm) meet(comm, sums);
    }
}

static double distance(int64_t n, const pv_real *a, const pv_real *b)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return sqrt(error / (norm + 1e-12));
}

/* Buffers (running statistics) of two models. */
static double buffer_distance(const subject *a, const subject *b)
{
    const pv_model_tensor *of_a = NULL, *of_b = NULL;
    const int count = pv_model_tensors(a->model, &of_a);
    pv_model_tensors(b->model, &of_b);
    double worst = 0;
    for (int i = 0; i < count; i++)
        if (!of_a[i].gradients) worst = fmax(worst, distance(of_a[i].count, of_a[i].values, of_b[i].values));
    return worst;
}

int main(int argc, char **argv)
{
    pv_comm comm;
    pv_test_begin(&argc, &argv, &comm);
    subject whole, part;
    pv_test_check(&comm, open(&whole) && open(&part), "both models are made");
    step(&whole, NULL, 0, BATCH);
    int64_t first = 0, count = 0;
    pv_share_of(BATCH, comm.rank, comm.size, &first, &count);
    step(&part, &comm, first, (int)count);
    pv_test_check(&comm, distance(count * CLASSES, part.logits, whole.logits + first * CLASSES) < 1e-5,
                  "every rank's logits are the whole batch's");
    const int64_t length = pv_model_count(part.model);
    MPI_Allreduce(MPI_IN_PLACE, pv_model_gradients(part.model), (int)length, MPI_FLOAT, MPI_SUM, comm.world);
    pv_test_check(&comm,
                  distance(length, pv_model_gradients(part.model), pv_model_gradients(whole.model)) < 1e-4,
                  "the ranks' gradients sum to the whole batch's");
    pv_test_check(&comm, buffer_distance(&part, &whole) < 1e-5, "running statistics are the whole batch's");
    free(whole.rows);
    free(part.rows);
    pv_model_free(whole.model);
    pv_model_free(part.model);
    return pv_test_end(&comm);
}
