#include "data/pv_norm.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pv_status pv_norm_make(int params, pv_norm *norm)
{
    pv_status st = PV_OK;
    *norm = (pv_norm){.params = params};
    PV_ALLOC(norm->mean, params);
    PV_ALLOC(norm->std, params);
    for (int i = 0; i < params; i++)
        norm->std[i] = 1;
done:
    return st;
}

void pv_norm_free(pv_norm *norm)
{
    free(norm->mean);
    free(norm->std);
    *norm = (pv_norm){0};
}

/* group[i]: the tensor that entry i belongs to, or the entry itself.  Returns the number of groups. */
static int group_entries(const pv_arch *arch, pv_normalise kind, int params, int *group, double *members)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const int count = pv_arch_layout(arch, tensors);
    for (int i = 0; i < params; i++)
        group[i] = i;
    for (int t = 0; kind == PV_NORMALISE_TENSOR && t < count; t++)
        for (int i = 0; i < tensors[t].rows * tensors[t].cols; i++)
            group[tensors[t].offset + i] = t;
    for (int i = 0; i < params; i++)
        members[group[i]] += 1;
    return kind == PV_NORMALISE_TENSOR ? count : params;
}

/* The largest |value| of every group, over all ranks. */
static void find_largest(const pv_comm *comm, const pv_dataset *dataset, const int *group, int groups,
                         double *largest)
{
    int64_t first, count;
    pv_dataset_share(dataset, &first, &count);
    memset(largest, 0, sizeof *largest * (size_t)groups);
    for (int64_t s = first; s < first + count; s++) {
        const float *row = pv_dataset_row(dataset, s);
        for (int i = 0; i < pv_dataset_params(dataset); i++)
            largest[group[i]] = fmax(largest[group[i]], fabs((double)row[i]));
    }
    MPI_Allreduce(MPI_IN_PLACE, largest, groups, MPI_DOUBLE, MPI_MAX, comm->world);
}

/* The power of two that numbers up to `largest` are multiplied with so that the sum of n of them, as integers, stays
 * below 2^62. */
static double fixed_scale(double largest, double n)
{
    int of_largest, of_n;
    frexp(largest, &of_largest);
    frexp(n, &of_n);
    return largest > 0 ? ldexp(1, 62 - of_largest - of_n) : 1;
}

/* Adds value, or (value - centre)^2, of this rank's samples to the groups, then over all ranks.  Integers are added, whose
 * sum does not depend on order, and so not on the ranks. */
static pv_status add_up(const pv_comm *comm, const pv_dataset *dataset, const int *group, int groups,
                        const double *centre, const double *scale, double *sums)
{
    int64_t first, count, *whole = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(whole, groups);
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        pv_dataset_share(dataset, &first, &count);
        for (int64_t s = first; s < first + count; s++) {
            const float *row = pv_dataset_row(dataset, s);
            for (int i = 0; i < pv_dataset_params(dataset); i++) {
                const int g = group[i];
                const double value = (double)row[i] - (centre ? centre[g] : 0);
                whole[g] += llrint((centre ? value * value : value) * scale[g]);
            }
        }
        MPI_Allreduce(MPI_IN_PLACE, whole, groups, MPI_INT64_T, MPI_SUM, comm->world);
        for (int g = 0; g < groups; g++)
            sums[g] = (double)whole[g] / scale[g];
    }
    free(whole);
    return st;
}

pv_status pv_norm_measure(const pv_comm *comm, const pv_dataset *dataset, const pv_arch *arch,
                          pv_normalise kind, pv_norm *norm)
{
    pv_status st = PV_OK;
    int *group = NULL;
    double *members = NULL, *mean = NULL, *squares = NULL, *scale = NULL;
    const double samples = (double)pv_dataset_samples(dataset);
    if (kind == PV_NORMALISE_NONE) return PV_OK;
    PV_ALLOC(group, norm->params);
    PV_ALLOC(members, norm->params);
    PV_ALLOC(mean, norm->params);
    PV_ALLOC(squares, norm->params);
    PV_ALLOC(scale, norm->params);
done:
    if ((st = pv_agree(comm, st)) == PV_OK) {
        const int groups = group_entries(arch, kind, norm->params, group, members);
        find_largest(comm, dataset, group, groups, squares);
        for (int g = 0; g < groups; g++)
            scale[g] = fixed_scale(squares[g], samples * members[g]);
        st = add_up(comm, dataset, group, groups, NULL, scale, mean);
        for (int g = 0; g < groups; g++) {
            mean[g] /= samples * members[g];
            const double farthest = squares[g] + fabs(mean[g]);
            scale[g] = fixed_scale(farthest * farthest, samples * members[g]);
        }
        if (st == PV_OK) st = add_up(comm, dataset, group, groups, mean, scale, squares);
        for (int i = 0; st == PV_OK && i < norm->params; i++) {
            const int g = group[i];
            const double n = samples * members[g], std = n > 1 ? sqrt(squares[g] / (n - 1)) : 0;
            norm->mean[i] = (float)mean[g];
            norm->std[i] = std > 0 ? (float)std : 1;
        }
    }
    free(group);
    free(members);
    free(mean);
    free(squares);
    free(scale);
    return st;
}

void pv_norm_apply(const pv_norm *norm, const float *row, pv_real *out)
{
    for (int i = 0; i < norm->params; i++)
        out[i] = (pv_real)((row[i] - norm->mean[i]) / norm->std[i]);
}
