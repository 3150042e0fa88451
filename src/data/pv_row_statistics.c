/* Mean and deviation of rows, added up as integers: their sum does not depend on order, and so not on the
 * ranks. */
#include "data/pv_row_statistics.h"
#include "base/pv_mem.h"

#include <math.h>
#include <string.h>

/* Entries that have their statistics in common, and what is added up of each group. */
typedef struct groups {
    pv_memory memory; /* of the arrays */
    const pv_row_form *form;
    int count;
    float *read;                                          /* [form->width]: of the row at hand */
    int *of;                                              /* [form->width] */
    double *members, *largest, *centre, *squares, *scale; /* [count] */
    int64_t *whole;                                       /* [count]: sums, times scale */
    double samples;
} groups;

/* A group is an entry, or a tensor: of phasors their cosines, or their sines. */
static pv_status groups_make(const pv_row_form *form, int64_t samples, groups *g)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int count = pv_reading_layout(&form->arch, form->opts.features, tensors), width = form->width;
    const bool of_tensors = form->opts.normalise != PV_NORMALISE_ENTRY;
    *g = (groups){.form = form, .count = of_tensors ? 2 * count : width, .samples = (double)samples};
    PV_TAKE(&g->memory, width, &g->of);
    PV_TAKE(&g->memory, width, &g->read);
    PV_TAKE(&g->memory, g->count, &g->members, &g->largest, &g->centre, &g->squares, &g->scale);
    PV_TAKE(&g->memory, g->count, &g->whole);
    if (g->memory.failed) return PV_ERR_NOMEM;
    for (int i = 0; i < width; i++)
        g->of[i] = i;
    for (int t = 0, group = 0; of_tensors && t < count; t++) {
        const int apart = t % 2 ? tensors[t].cols : 1;
        for (int i = 0; i < tensors[t].rows * tensors[t].cols; i++)
            g->of[tensors[t].offset + i] = group + i % apart;
        g->count = group += apart;
    }
    for (int i = 0; i < width; i++)
        g->members[g->of[i]] += 1;
    return PV_OK;
}

/* What a model reads of a sample. */
static const float *read_row(const pv_dataset *dataset, int64_t sample, groups *g)
{
    pv_reading_make(&g->form->arch, g->form->opts.features, pv_dataset_row(dataset, sample), g->read);
    return g->read;
}

/* The largest |value| of every group, over all ranks. */
static void find_largest(const pv_comm *comm, const pv_dataset *dataset, groups *g)
{
    int64_t first, count;
    pv_dataset_share(dataset, &first, &count);
    for (int64_t s = first; s < first + count; s++) {
        const float *row = read_row(dataset, s, g);
        for (int i = 0; i < g->form->width; i++)
            g->largest[g->of[i]] = fmax(g->largest[g->of[i]], fabs((double)row[i]));
    }
    MPI_Allreduce(MPI_IN_PLACE, g->largest, g->count, MPI_DOUBLE, MPI_MAX, comm->world);
}

/* The power of two that numbers up to `largest` are multiplied with so that the sum of n of them, as
 * integers, stays below 2^62. */
static double fixed_scale(double largest, double n)
{
    int of_largest, of_n;
    frexp(largest, &of_largest);
    frexp(n, &of_n);
    return largest > 0 ? ldexp(1, 62 - of_largest - of_n) : 1;
}

/* The sums over all samples of value, or of (value - centre)^2. */
static void add_up(const pv_comm *comm, const pv_dataset *dataset, bool squares, groups *g, double *sums)
{
    int64_t first, count;
    memset(g->whole, 0, sizeof *g->whole * (size_t)g->count);
    pv_dataset_share(dataset, &first, &count);
    for (int64_t s = first; s < first + count; s++) {
        const float *row = read_row(dataset, s, g);
        for (int i = 0; i < g->form->width; i++) {
            const int at = g->of[i];
            const double value = (double)row[i] - (squares ? g->centre[at] : 0);
            g->whole[at] += llrint((squares ? value * value : value) * g->scale[at]);
        }
    }
    MPI_Allreduce(MPI_IN_PLACE, g->whole, g->count, MPI_INT64_T, MPI_SUM, comm->world);
    for (int at = 0; at < g->count; at++)
        sums[at] = (double)g->whole[at] / g->scale[at];
}

pv_status pv_row_statistics_measure(const pv_comm *comm, const pv_dataset *dataset, pv_row_form *form)
{
    groups g;
    if (form->opts.normalise == PV_NORMALISE_NONE) return PV_OK;
    pv_status st = groups_make(form, pv_dataset_samples(dataset), &g);
    if ((st = pv_agree(comm, st)) != PV_OK) goto done;
    find_largest(comm, dataset, &g);
    for (int at = 0; at < g.count; at++)
        g.scale[at] = fixed_scale(g.largest[at], g.samples * g.members[at]);
    if (form->opts.normalise != PV_NORMALISE_SCALE) add_up(comm, dataset, false, &g, g.centre);
    for (int at = 0; at < g.count; at++) {
        g.centre[at] /= g.samples * g.members[at];
        const double farthest = g.largest[at] + fabs(g.centre[at]);
        g.scale[at] = fixed_scale(farthest * farthest, g.samples * g.members[at]);
    }
    add_up(comm, dataset, true, &g, g.squares);
    for (int i = 0; i < form->width; i++) {
        const int at = g.of[i];
        const double n = g.samples * g.members[at];
        const float std = n > 1 ? (float)sqrt(g.squares[at] / (n - 1)) : 0;
        form->mean[i] = (float)g.centre[at];
        form->std[i] = std > 0 ? std : 1;
    }
done:
    pv_memory_free(&g.memory);
    return st;
}
