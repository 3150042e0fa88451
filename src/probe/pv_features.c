/* Features sharded over the ranks: their moments, and their stream past every rank. */
#include "probe/pv_features.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pv_status pv_features_make(int64_t samples, int64_t first, int64_t count, int width, int targets,
                           pv_features *out)
{
    pv_status st = PV_OK;
    *out =
        (pv_features){.samples = samples, .first = first, .count = count, .width = width, .targets = targets};
    PV_ALLOC(out->x, count * width);
    PV_ALLOC(out->y, count * targets);
    PV_ALLOC(out->label, count);
    PV_ALLOC(out->object, count);
    PV_ALLOC(out->view, count);
done:
    return st;
}

void pv_features_free(pv_features *features)
{
    PV_FREE(features->x, features->y, features->label, features->object, features->view);
    *features = (pv_features){0};
}

pv_status pv_features_one_hot(pv_features *features, bool unlabelled)
{
    for (int64_t i = 0; i < features->count; i++) {
        const int32_t label = features->label[i];
        if (label < 0 && !unlabelled)
            return pv_fail(PV_ERR_DATA, "object %lld has no label to be judged by",
                           (long long)features->object[i]);
        if (label >= features->targets)
            return pv_fail(PV_ERR_DATA, "object %lld has label %d, outside the %d classes",
                           (long long)features->object[i], label, features->targets);
        for (int c = 0; c < features->targets; c++)
            features->y[i * features->targets + c] = c == label;
    }
    return PV_OK;
}

void pv_features_keep(const pv_comm *comm, pv_features *f, const uint8_t *chosen, int64_t views)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < f->count; i++) {
        if (!chosen[(f->first + i) / views]) continue;
        memmove(f->x + kept * f->width, f->x + i * f->width, sizeof *f->x * (size_t)f->width);
        memmove(f->y + kept * f->targets, f->y + i * f->targets, sizeof *f->y * (size_t)f->targets);
        f->label[kept] = f->label[i];
        f->object[kept] = f->object[i];
        f->view[kept] = f->view[i];
        kept++;
    }
    f->count = kept;
    f->first = 0; /* what MPI_Exscan leaves alone on rank 0 */
    MPI_Exscan(&kept, &f->first, 1, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(&kept, &f->samples, 1, MPI_INT64_T, MPI_SUM, comm->world);
}

void pv_features_moments(const pv_comm *comm, int64_t samples, int64_t count, int width, const double *values,
                         double *mean, double *deviation)
{
    memset(mean, 0, sizeof *mean * (size_t)width);
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < width; k++)
            mean[k] += values[i * width + k];
    MPI_Allreduce(MPI_IN_PLACE, mean, width, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int k = 0; k < width; k++)
        mean[k] /= (double)samples;
    if (!deviation) return;
    memset(deviation, 0, sizeof *deviation * (size_t)width);
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < width; k++) {
            const double difference = values[i * width + k] - mean[k];
            deviation[k] += difference * difference;
        }
    MPI_Allreduce(MPI_IN_PLACE, deviation, width, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int k = 0; k < width; k++) {
        deviation[k] = sqrt(deviation[k] / (double)samples);
        if (!(deviation[k] > 1e-14 * fabs(mean[k]))) deviation[k] = 1; /* constant but for rounding */
    }
}

void pv_features_shift(pv_features *features, const double *mean, const double *deviation)
{
    for (int64_t i = 0; i < features->count; i++)
        for (int k = 0; k < features->width; k++) {
            double *x = &features->x[i * features->width + k];
            *x = (*x - mean[k]) / (deviation ? deviation[k] : 1);
        }
}

pv_status pv_features_stream(const pv_comm *comm, const pv_features *features, pv_features_seen seen,
                             void *context)
{
    const int64_t width = features->width, targets = features->targets;
    double *x = pv_alloc(PV_STREAM_ROWS * (width + targets), sizeof *x);
    const pv_status st = pv_agree(comm, x ? PV_OK : PV_ERR_NOMEM);
    for (int owner = 0; st == PV_OK && owner < comm->size; owner++) {
        int64_t range[2] = {features->first, features->count};
        MPI_Bcast(range, 2, MPI_INT64_T, owner, comm->world);
        for (int64_t done = 0; done < range[1]; done += PV_STREAM_ROWS) {
            const int64_t rows = range[1] - done < PV_STREAM_ROWS ? range[1] - done : PV_STREAM_ROWS;
            double *y = x + rows * width;
            if (owner == comm->rank) {
                memcpy(x, features->x + done * width, sizeof *x * (size_t)(rows * width));
                memcpy(y, features->y + done * targets, sizeof *y * (size_t)(rows * targets));
            }
            MPI_Bcast(x, (int)(rows * (width + targets)), MPI_DOUBLE, owner, comm->world);
            seen(context, range[0] + done, rows, x, y);
        }
    }
    free(x);
    return st;
}
