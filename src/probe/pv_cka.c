/* Linear centred kernel alignment. */
#include "base/pv_mem.h"
#include "pv_judge.h"

#include <math.h>

enum { BLOCK = PV_MATRIX_BLOCK };

/* The squared Frobenius norm of the sum over all samples of a b', a panel of columns at a time. */
static double cross_norm(const pv_comm *comm, const pv_centred *a, const pv_centred *b, double *scratch,
                         double *panel)
{
    const int64_t height = a->width, width = b->width;
    double sum = 0;
    for (int64_t col = 0; col < width; col += BLOCK) {
        const int64_t cols = width - col < BLOCK ? width - col : BLOCK;
        pv_panel(a, 0, b, col, cols, scratch, panel);
        MPI_Allreduce(MPI_IN_PLACE, panel, (int)(height * cols), MPI_DOUBLE, MPI_SUM, comm->world);
        for (int64_t i = 0; i < height * cols; i++)
            sum += panel[i] * panel[i];
    }
    return sum;
}

pv_status pv_cka(const pv_comm *comm, const pv_features *a, const pv_features *b, double *cka)
{
    const int64_t widest = a->width > b->width ? a->width : b->width;
    double *mean_a = NULL, *mean_b = NULL, *scratch = NULL, *panel = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(mean_a, a->width);
    PV_ALLOC(mean_b, b->width);
    PV_ALLOC(scratch, pv_panel_scratch(widest));
    PV_ALLOC(panel, widest * BLOCK);
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        const pv_centred ca = {a->x, a->count, a->width, mean_a}, cb = {b->x, b->count, b->width, mean_b};
        pv_features_moments(comm, a->samples, a->count, a->width, a->x, mean_a, NULL);
        pv_features_moments(comm, b->samples, b->count, b->width, b->x, mean_b, NULL);
        const double both = cross_norm(comm, &ca, &cb, scratch, panel);
        const double one = cross_norm(comm, &ca, &ca, scratch, panel),
                     other = cross_norm(comm, &cb, &cb, scratch, panel);
        *cka = both / sqrt(one * other);
        if (!isfinite(*cka))
            st = pv_fail(PV_ERR_NUMERIC, "the alignment of constant features is not defined");
    }
    PV_FREE(mean_a, mean_b, scratch, panel);
    return st;
}

/* The alignment of every view of one representation with every view of the other. */
static pv_status compare(const pv_probe_job *job, const pv_probe_views *one, const pv_probe_views *other)
{
    json_t *rows = json_array();
    pv_status st = PV_OK;
    for (int64_t i = 0; i < one->count; i++) {
        json_t *row = json_array();
        json_array_append_new(rows, row);
        for (int64_t j = 0; j < other->count; j++) {
            double cka;
            PV_TRY(pv_cka(job->comm, &one->of[i], &other->of[j], &cka));
            json_array_append_new(row, json_real(cka));
        }
    }
    json_object_set(job->result, "cka", rows);
done:
    json_decref(rows);
    return st;
}

const pv_probe pv_probe_cka = {
    .plugin = {.name = "cka", .help = "alignment of views of the test split, of one model or of two"},
    .compare = compare,
};
