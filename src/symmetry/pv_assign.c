#include "symmetry/pv_assign.h"
#include "base/pv_mem.h"
#include "pv_assign_kernels.h"

#include <math.h>
#include <stdlib.h>

struct pv_assign {
    pv_assign_problem problem;
    const pv_assign_kernels *kernels;
};

pv_status pv_assign_new(int n_max, pv_assign **out)
{
    const int stride = (n_max + PV_ASSIGN_LANES - 1) / PV_ASSIGN_LANES * PV_ASSIGN_LANES;
    pv_status st;
    *out = NULL;
    pv_assign *work = pv_alloc(1, sizeof *work);
    if (!work) return PV_ERR_NOMEM;
    pv_assign_problem *const p = &work->problem;
    work->kernels = PV_ISA_CHOOSE(pv_assign_kernels);
    PV_ALLOC(p->cost, (int64_t)n_max * stride);
    PV_ALLOC(p->price, stride);
    PV_ALLOC(p->reach, stride);
    PV_ALLOC(p->closed, stride);
    PV_ALLOC(p->final, stride);
    PV_ALLOC(p->from, stride);
    PV_ALLOC(p->column, n_max);
    PV_ALLOC(p->row, n_max);
    PV_ALLOC(p->free_rows, n_max);
    PV_ALLOC(p->done, n_max);
    *out = work;
    return PV_OK;
done:
    pv_assign_free(work);
    return st;
}

void pv_assign_free(pv_assign *work)
{
    if (!work) return;
    pv_assign_problem *const p = &work->problem;
    free(p->cost);
    free(p->price);
    free(p->reach);
    free(p->closed);
    free(p->final);
    free(p->from);
    free(p->column);
    free(p->row);
    free(p->free_rows);
    free(p->done);
    free(work);
}

/* Takes n columns of costs that the caller fills in. */
static void begin(pv_assign_problem *p, int n)
{
    p->n = n;
    p->stride = (n + PV_ASSIGN_LANES - 1) / PV_ASSIGN_LANES * PV_ASSIGN_LANES;
    for (int i = 0; i < n; i++)
        for (int j = n; j < p->stride; j++)
            p->cost[(int64_t)i * p->stride + j] = (double)INFINITY;
}

double pv_assign_max(pv_assign *work, int n, const float *value, int32_t *columns)
{
    pv_assign_problem *const p = &work->problem;
    double sum = 0;
    if (n == 0) return 0;
    begin(p, n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            p->cost[(int64_t)i * p->stride + j] = -(double)value[(int64_t)i * n + j];
    work->kernels->solve(p);
    for (int i = 0; i < n; i++) {
        columns[i] = p->column[i];
        sum += (double)value[(int64_t)i * n + columns[i]];
    }
    return sum;
}

double pv_assign_max_f64(pv_assign *work, int n, const double *value, int32_t *columns)
{
    pv_assign_problem *const p = &work->problem;
    double sum = 0;
    if (n == 0) return 0;
    begin(p, n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            p->cost[(int64_t)i * p->stride + j] = -value[(int64_t)i * n + j];
    work->kernels->solve(p);
    for (int i = 0; i < n; i++) {
        columns[i] = p->column[i];
        sum += value[(int64_t)i * n + columns[i]];
    }
    return sum;
}
