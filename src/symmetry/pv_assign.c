/* The assignment problem: the workspace of the solver, and where it starts. */
#include "pv_assign.h"
#include "pv_assign_kernels.h"

#include <math.h>
#include <string.h>

struct pv_assign {
    pv_assign_problem problem;
    const pv_assign_kernels *kernels;
};

pv_assign *pv_assign_new(int n_max, pv_memory *memory)
{
    const int stride = (n_max + PV_ASSIGN_LANES - 1) / PV_ASSIGN_LANES * PV_ASSIGN_LANES;
    pv_assign *work = pv_take(memory, 1, sizeof *work);
    if (!work) return NULL;
    pv_assign_problem *const p = &work->problem;
    work->kernels = PV_ISA_CHOOSE(pv_assign_kernels);
    PV_TAKE(memory, (int64_t)n_max * stride, &p->cost);
    PV_TAKE(memory, stride, &p->price, &p->reach);
    PV_TAKE(memory, stride / 64 + 1, &p->open);
    PV_TAKE(memory, stride, &p->from);
    PV_TAKE(memory, n_max, &p->column, &p->row, &p->free_rows, &p->shared);
    return work;
}

/* Takes a problem of n rows over. */
static void begin(pv_assign_problem *p, int n)
{
    p->n = n;
    p->stride = (n + PV_ASSIGN_LANES - 1) / PV_ASSIGN_LANES * PV_ASSIGN_LANES;
}

static double value_of(const float *value, int stride, int n, const int32_t *columns, bool sizes)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const double term = (double)value[(int64_t)i * stride + columns[i]];
        sum += sizes ? fabs(term) : term;
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
        for (int j = 0; j < p->stride; j++)
            p->cost[(int64_t)i * p->stride + j] = j < n ? -value[(int64_t)i * n + j] : (double)INFINITY;
    work->kernels->solve(p);
    for (int i = 0; i < n; i++) {
        columns[i] = p->column[i];
        sum += value[(int64_t)i * n + columns[i]];
    }
    return sum;
}

double pv_assign_max(pv_assign *work, int n, const float *value, int stride, bool sizes,
                     pv_assign_start *start)
{
    pv_assign_problem *const p = &work->problem;
    begin(p, n);
    if (n == 0) return 0;
    if (!work->kernels->load(p, value, stride, sizes)) return (double)NAN;
    if (start->is_set) {
        memcpy(p->column, start->columns, sizeof *p->column * (size_t)n);
        memcpy(p->price, start->price, sizeof *p->price * (size_t)n);
        work->kernels->solve_again(p);
    } else {
        work->kernels->solve(p);
        start->is_set = true;
    }
    memcpy(start->columns, p->column, sizeof *p->column * (size_t)n);
    memcpy(start->price, p->price, sizeof *p->price * (size_t)n);
    return value_of(value, stride, n, start->columns, sizes);
}
