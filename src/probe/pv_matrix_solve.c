/* ScaLAPACK on block-cyclic matrices: factors, solutions, eigenvectors. */
#include "pv_matrix.h"
#include "base/pv_clock.h"
#include "base/pv_mem.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

/* ScaLAPACK has no C header; Fortran integers are 32 bits wide. */
double pdlansy_(const char *norm, const char *uplo, const int *n, const double *a, const int *ia,
                const int *ja, const int *desc_a, double *work);
void pdpotrf_(const char *uplo, const int *n, double *a, const int *ia, const int *ja, const int *desc_a,
              int *info);
void pdpotrs_(const char *uplo, const int *n, const int *columns, const double *a, const int *ia,
              const int *ja, const int *desc_a, double *b, const int *ib, const int *jb, const int *desc_b,
              int *info);
void pdpocon_(const char *uplo, const int *n, const double *a, const int *ia, const int *ja,
              const int *desc_a, const double *norm, double *rcond, double *work, const int *work_length,
              int *int_work, const int *int_work_length, int *info);
void pdsyevd_(const char *job, const char *uplo, const int *n, double *a, const int *ia, const int *ja,
              const int *desc_a, double *values, double *z, const int *iz, const int *jz, const int *desc_z,
              double *work, const int *work_length, int *int_work, const int *int_work_length, int *info);

static const int ONE = 1;

/* The reciprocal condition below which rounding leaves no digit of a solution of n unknowns. */
static double lowest_rcond(int64_t n)
{
    return (double)n * DBL_EPSILON / 2;
}

/* The 1-norm of a symmetric matrix, from its lower triangle. */
static pv_status norm_of(const pv_matrix *a, double *norm)
{
    const int n = (int)a->rows;
    pv_status st = PV_OK;
    double *work = NULL;
    PV_ALLOC(work, 2 * (a->local_rows + a->local_cols) + 2 * a->rows / PV_MATRIX_BLOCK + 4 * PV_MATRIX_BLOCK);
done:
    if ((st = pv_agree(a->grid->comm, st)) == PV_OK)
        *norm = pdlansy_("1", "L", &n, a->values, &ONE, &ONE, a->descriptor, work);
    free(work);
    return st;
}

static pv_status condition_of(const pv_matrix *factor, double norm, double *rcond)
{
    const int n = (int)factor->rows, ask = -1;
    double *work = NULL, size;
    int *int_work = NULL, int_size, info;
    pv_status st = PV_OK;
    pdpocon_("L", &n, factor->values, &ONE, &ONE, factor->descriptor, &norm, rcond, &size, &ask, &int_size,
             &ask, &info);
    const int length = (int)size, int_length = int_size;
    PV_ALLOC(work, length);
    PV_ALLOC(int_work, int_length);
done:
    if ((st = pv_agree(factor->grid->comm, st)) == PV_OK)
        pdpocon_("L", &n, factor->values, &ONE, &ONE, factor->descriptor, &norm, rcond, work, &length,
                 int_work, &int_length, &info);
    PV_FREE(work, int_work);
    return st;
}

/* pdpotrf, timed.  Returns its info. */
static int cholesky(pv_matrix *matrix, double *seconds)
{
    const int n = (int)matrix->rows;
    int info;
    MPI_Barrier(matrix->grid->comm->world);
    const double start = pv_seconds();
    pdpotrf_("L", &n, matrix->values, &ONE, &ONE, matrix->descriptor, &info);
    *seconds = pv_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, seconds, 1, MPI_DOUBLE, MPI_MAX, matrix->grid->comm->world);
    return info;
}

pv_status pv_matrix_factor(pv_matrix *matrix, pv_factoring *about)
{
    const int n = (int)matrix->rows;
    double norm;
    int info;
    pv_status st;
    *about = (pv_factoring){0};
    PV_TRY(norm_of(matrix, &norm));
    if (!isfinite(norm))
        PV_TRY(pv_fail(PV_ERR_NUMERIC, "the system of %d unknowns holds numbers that are not finite", n));
    if ((info = cholesky(matrix, &about->seconds)) != 0)
        PV_TRY(pv_fail(PV_ERR_NUMERIC,
                       "the system of %d unknowns is not positive definite (its leading block of "
                       "%d is singular): features or samples depend on each other; raise lambda",
                       n, info));
    PV_TRY(condition_of(matrix, norm, &about->rcond));
    if (about->rcond < lowest_rcond(n))
        st = pv_fail(PV_ERR_NUMERIC,
                     "the system of %d unknowns is too ill-conditioned (reciprocal condition "
                     "number %.1e): features or samples nearly depend on each other; raise lambda",
                     n, about->rcond);
done:
    return st;
}

pv_status pv_matrix_solve(const pv_matrix *factor, pv_matrix *b)
{
    const int n = (int)factor->rows, columns = (int)b->cols;
    int info;
    pdpotrs_("L", &n, &columns, factor->values, &ONE, &ONE, factor->descriptor, b->values, &ONE, &ONE,
             b->descriptor, &info);
    return info == 0 ? PV_OK : pv_fail(PV_ERR_INTERNAL, "pdpotrs refuses argument %d", -info);
}

/* What pdsyevd of ScaLAPACK 2.2 does not count when it is asked for its workspace: that of the
 * back-transformation (pdormtr) and of the sorting (pdlasrt) on ranks whose part is smaller than others'. */
static int64_t forgotten_work(const pv_matrix *a)
{
    const int64_t block = PV_MATRIX_BLOCK;
    const int64_t rows = a->local_rows + block,
                  cols = a->local_cols + block; /* of the largest part, at least */
    return (2 * rows + 2 * cols + block) * block + rows * (block + cols);
}

/* All eigenvalues in ascending order, and their vectors: pdsyevd, asked once for the size of its
 * workspace. */
static pv_status decompose(pv_matrix *a, double *values, pv_matrix *z)
{
    const int n = (int)a->rows, ask = -1;
    double *work = NULL, size;
    int *int_work = NULL, int_size, info = 0;
    pv_status st = PV_OK;
    pdsyevd_("V", "L", &n, a->values, &ONE, &ONE, a->descriptor, values, z->values, &ONE, &ONE, z->descriptor,
             &size, &ask, &int_size, &ask, &info);
    const int64_t length64 = (int64_t)size + forgotten_work(a);
    const int length = (int)length64, int_length = int_size;
    if (length64 > INT32_MAX)
        PV_TRY(pv_fail(PV_ERR_CONFIG, "%d features are too many for an eigenvalue problem", n));
    PV_ALLOC(work, length);
    PV_ALLOC(int_work, int_length);
done:
    if ((st = pv_agree(a->grid->comm, st)) == PV_OK)
        pdsyevd_("V", "L", &n, a->values, &ONE, &ONE, a->descriptor, values, z->values, &ONE, &ONE,
                 z->descriptor, work, &length, int_work, &int_length, &info);
    PV_FREE(work, int_work);
    if (st == PV_OK && info != 0)
        st = pv_fail(PV_ERR_NUMERIC, "pdsyevd finds no eigenvectors (info %d)", info);
    return st;
}

pv_status pv_matrix_eigen(pv_matrix *matrix, int64_t count, double *values, double **vectors)
{
    const int64_t n = matrix->rows;
    pv_matrix z = {0};
    double *ascending = NULL, *vector = NULL;
    pv_status st;
    *vectors = NULL;
    PV_TRY(pv_matrix_make(matrix->grid, n, n, &z));
    PV_ALLOC(ascending, n);
    PV_ALLOC(vector, n);
    PV_ALLOC(*vectors, n * count);
done:
    if ((st = pv_agree(matrix->grid->comm, st)) == PV_OK) st = decompose(matrix, ascending, &z);
    for (int64_t i = 0; st == PV_OK && i < count; i++) {
        values[i] = ascending[n - 1 - i];
        pv_matrix_get(&z, (pv_box){0, n, n - 1 - i, 1}, vector);
        const double sign = vector[cblas_idamax((int)n, vector, 1)] < 0 ? -1 : 1;
        for (int64_t r = 0; r < n; r++)
            (*vectors)[r * count + i] = sign * vector[r];
    }
    if (st != PV_OK) {
        free(*vectors);
        *vectors = NULL;
    }
    PV_FREE(ascending, vector);
    pv_matrix_free(&z);
    return st;
}
