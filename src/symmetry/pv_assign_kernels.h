/* The solver of the assignment problem, compiled once an instruction set. */
#ifndef PV_ASSIGN_KERNELS_H
#define PV_ASSIGN_KERNELS_H

#include "base/pv_cpu.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_ASSIGN_LANES = 8 };

/* A problem and its workspace.  Rows of `cost` are `stride` apart, a multiple of the lanes; the columns from
 * n on cost infinity, and no more is needed of them. */
typedef struct pv_assign_problem {
    int n, stride;
    double *cost;          /* [n][stride], to be minimised */
    double *price;         /* [stride] v, the columns' dual variables */
    double *reach;         /* [stride] lengths of shortest paths */
    uint64_t *open;        /* [stride / 64, rounded up] a bit for every column whose path is not final */
    int64_t *from;         /* [stride] the row from which a column is reached */
    int32_t *column, *row; /* [n] of every row, of every column; -1: none */
    int32_t *free_rows, *shared; /* [n] */
} pv_assign_problem;

typedef struct pv_assign_kernels {
    /* Sets the costs of the problem's n rows: minus the values, or minus their sizes.  False if one is not
     * finite: there is nothing to solve then.  Rows of `value` are `stride` apart. */
    bool (*load)(pv_assign_problem *p, const float *value, int stride, bool sizes);
    /* Finds the assignment of least cost: column[row]. */
    void (*solve)(pv_assign_problem *p);
    /* The same, from the assignment and the prices of a similar problem, in `column` and `price`. */
    void (*solve_again)(pv_assign_problem *p);
} pv_assign_kernels;
PV_ISA_DECLARE(pv_assign_kernels);

#endif
