/* Dense matrices of doubles that all ranks hold together, in ScaLAPACK's two-dimensional block-cyclic
 * layout, and what is done with them.  Descriptors, block sizes and ragged edges stay inside: a caller sees
 * its local part, and asks which global row and column an entry belongs to.
 *
 * The grid is as square as the number of ranks allows.  Counts are 64-bit; a rank's part must stay below
 * 2^31 numbers, the limit of ScaLAPACK's own indices: a larger matrix takes more ranks, and is refused with
 * their number. */
#ifndef PV_MATRIX_H
#define PV_MATRIX_H

#include "parallel/pv_comm.h"

/* The ranks, as a grid of processes. */
typedef struct pv_grid {
    const pv_comm *comm;
    int handle, context;      /* BLACS's */
    int rows, cols, row, col; /* of the grid; this rank's place: rank = row * cols + col */
} pv_grid;

/* Owner: pv_grid_close (collective; safe on zeros).  Collective over comm. */
void pv_grid_open(const pv_comm *comm, pv_grid *grid);
void pv_grid_close(pv_grid *grid);

enum { PV_MATRIX_BLOCK = 64 }; /* rows and columns of a block */

typedef struct pv_matrix {
    const pv_grid *grid;
    int64_t rows, cols;             /* of the whole matrix */
    int64_t local_rows, local_cols; /* of this rank's part */
    double *values;                 /* [local_cols][local_rows]: a column is contiguous */
    int descriptor[9];
} pv_matrix;

/* Makes a matrix of zeros.
 * Owner: pv_matrix_free, safe on a zeroed value.  Collective.  Errors: PV_ERR_NOMEM (the bytes a rank are
 * named), PV_ERR_CONFIG (a part of 2^31 numbers or more), agreed. */
pv_status pv_matrix_make(const pv_grid *grid, int64_t rows, int64_t cols, pv_matrix *out);
void pv_matrix_free(pv_matrix *matrix);
/* Copies the values; both have the same shape and grid.  Local. */
void pv_matrix_copy(const pv_matrix *from, pv_matrix *to);

/* The global number of a local row or column, ascending.  Local. */
int64_t pv_matrix_row(const pv_matrix *matrix, int64_t local);
int64_t pv_matrix_col(const pv_matrix *matrix, int64_t local);
/* How many local rows or columns have global numbers below `global`: where a range begins in the part.
 * Local. */
int64_t pv_matrix_rows_before(const pv_matrix *matrix, int64_t global);
int64_t pv_matrix_cols_before(const pv_matrix *matrix, int64_t global);

/* This rank's rows of numbers, and the mean of each column, which is taken off while they are read. */
typedef struct pv_centred {
    const double *values; /* [count][width] */
    int64_t count, width;
    const double *mean; /* [width] */
} pv_centred;

/* Numbers of scratch that pv_panel wants where a is `width` wide. */
int64_t pv_panel_scratch(int64_t width);
/* out = sum over this rank's rows of a[row ..] (b[col .. col + cols - 1])', cols <= PV_MATRIX_BLOCK.
 * Shapes   out [cols][a's width - row].  Local. */
void pv_panel(const pv_centred *a, int64_t row, const pv_centred *b, int64_t col, int64_t cols,
              double *scratch, double *out);
/* Adds the sum over all ranks' rows of a b' to a matrix [a's width][b's width]; where a is b, to the blocks
 * of the lower triangle only.  Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_matrix_add_products(pv_matrix *matrix, const pv_centred *a, const pv_centred *b);

/* Rows [row, row + rows) and columns [col, col + cols). */
typedef struct pv_box {
    int64_t row, rows, col, cols;
} pv_box;

/* Gives a part of the matrix to every rank.  Shapes   out [rows][cols] of the box.  Collective. */
void pv_matrix_get(const pv_matrix *matrix, pv_box box, double *out);

/* Bytes of the largest part that a rank holds.  Collective. */
int64_t pv_matrix_largest_part(const pv_matrix *matrix);

/* Adds a number to the diagonal of a square matrix.  Local. */
void pv_matrix_add_diagonal(pv_matrix *matrix, double value);
/* The sum of the diagonal.  Collective. */
double pv_matrix_trace(const pv_matrix *matrix);

/* Of one factorisation. */
typedef struct pv_factoring {
    double rcond;   /* estimate of the reciprocal condition number in the 1-norm (pdpocon) */
    double seconds; /* of the factorisation alone (pdpotrf), on the slowest rank */
} pv_factoring;

/* Factors a symmetric positive definite matrix, of which the lower triangle is read and replaced.
 * Collective.  Errors: PV_ERR_NUMERIC when it is not positive definite, or so ill-conditioned (rcond below
 * rows times the unit roundoff) that a solution would have no correct digit; says which, and what helps. */
pv_status pv_matrix_factor(pv_matrix *matrix, pv_factoring *about);
/* Replaces b by the solution of (factored matrix) x = b (pdpotrs).  Collective. */
pv_status pv_matrix_solve(const pv_matrix *factor, pv_matrix *b);

/* The `count` largest eigenvalues, in descending order, of a symmetric matrix, of which the lower triangle
 * is read and destroyed, and their unit eigenvectors (pdsyevd).
 * Shapes   values [count], on every rank; vectors [rows][count], each with its largest entry (the first of
 * equals in magnitude) positive.  Owner   the caller frees *vectors
 * Collective.  Errors: PV_ERR_NUMERIC, PV_ERR_NOMEM, agreed. */
pv_status pv_matrix_eigen(pv_matrix *matrix, int64_t count, double *values, double **vectors);

#endif
