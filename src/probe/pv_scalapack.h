/* What ScaLAPACK and BLACS export; they have no C header.  Fortran integers are 32 bits wide. */
#ifndef PV_SCALAPACK_H
#define PV_SCALAPACK_H

#include <mpi.h>

int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridinfo(int context, int *rows, int *cols, int *row, int *col);
void Cblacs_gridexit(int context);

int numroc_(const int *n, const int *block, const int *process, const int *source, const int *processes);
void descinit_(int *descriptor, const int *rows, const int *cols, const int *row_block, const int *col_block,
               const int *row_source, const int *col_source, const int *context, const int *leading,
               int *info);

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

#endif
