/* Block-cyclic matrices: their layout, and sums, products and boxes of them. */
#include "pv_matrix.h"
#include "base/pv_mem.h"

#include <cblas.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* BLACS, and ScaLAPACK's tools, have no C header; Fortran integers are 32 bits wide. */
int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridinfo(int context, int *rows, int *cols, int *row, int *col);
void Cblacs_gridexit(int context);
int numroc_(const int *n, const int *block, const int *process, const int *source, const int *processes);
void descinit_(int *descriptor, const int *rows, const int *cols, const int *row_block, const int *col_block,
               const int *row_source, const int *col_source, const int *context, const int *leading,
               int *info);

enum { BLOCK = PV_MATRIX_BLOCK, CHUNK = 256 /* rows whose products are summed up at a time */ };

static const int64_t MOST_LOCAL = INT64_C(1) << 31; /* numbers: ScaLAPACK's indices are 32 bits wide */
static const int64_t MOST_ROWS = INT32_MAX - BLOCK;

void pv_grid_open(const pv_comm *comm, pv_grid *grid)
{
    int rows = 1;
    for (int divisor = 2; divisor * divisor <= comm->size; divisor++)
        if (comm->size % divisor == 0) rows = divisor;
    *grid = (pv_grid){.comm = comm, .handle = Csys2blacs_handle(comm->world)};
    grid->context = grid->handle;
    Cblacs_gridinit(&grid->context, "Row-major", rows, comm->size / rows);
    Cblacs_gridinfo(grid->context, &grid->rows, &grid->cols, &grid->row, &grid->col);
}

void pv_grid_close(pv_grid *grid)
{
    if (!grid->comm) return;
    Cblacs_gridexit(grid->context);
    Cfree_blacs_system_handle(grid->handle);
    *grid = (pv_grid){0};
}

/* How many of the first n of something are the process's. */
static int64_t share(int64_t n, int process, int processes)
{
    const int length = (int)n, block = BLOCK, first = 0;
    return numroc_(&length, &block, &process, &first, &processes);
}

/* The smallest number of ranks with which no part has 2^31 numbers. */
static int64_t ranks_for(int64_t rows, int64_t cols)
{
    return (int64_t)((double)rows * (double)cols / (double)MOST_LOCAL) + 1;
}

pv_status pv_matrix_make(const pv_grid *grid, int64_t rows, int64_t cols, pv_matrix *out)
{
    pv_status st = PV_OK;
    *out = (pv_matrix){.grid = grid, .rows = rows, .cols = cols};
    if (rows < 1 || cols < 1 || rows > MOST_ROWS || cols > MOST_ROWS)
        st = pv_fail(PV_ERR_CONFIG, "a matrix of %lld x %lld cannot be distributed", (long long)rows,
                     (long long)cols);
    if (st == PV_OK) {
        out->local_rows = share(rows, grid->row, grid->rows);
        out->local_cols = share(cols, grid->col, grid->cols);
        if (out->local_rows * out->local_cols >= MOST_LOCAL)
            st = pv_fail(
                PV_ERR_CONFIG, "a matrix of %lld x %lld is too large for %d ranks: it takes at least %lld",
                (long long)rows, (long long)cols, grid->comm->size, (long long)ranks_for(rows, cols));
    }
    if (st == PV_OK && !(out->values = pv_alloc(out->local_rows * out->local_cols, sizeof *out->values)))
        st = pv_fail(PV_ERR_NOMEM,
                     "no memory for %.1f GiB, this rank's part of a matrix of %lld x %lld: use more nodes",
                     (double)(out->local_rows * out->local_cols) * sizeof *out->values / (1 << 30),
                     (long long)rows, (long long)cols);
    if (st == PV_OK) {
        const int m = (int)rows, n = (int)cols, block = BLOCK, source = 0;
        const int leading = out->local_rows > 1 ? (int)out->local_rows : 1;
        int info;
        descinit_(out->descriptor, &m, &n, &block, &block, &source, &source, &grid->context, &leading, &info);
        if (info != 0) st = pv_fail(PV_ERR_INTERNAL, "descinit refuses argument %d", -info);
    }
    return pv_agree(grid->comm, st);
}

void pv_matrix_free(pv_matrix *matrix)
{
    free(matrix->values);
    *matrix = (pv_matrix){0};
}

void pv_matrix_copy(const pv_matrix *from, pv_matrix *to)
{
    memcpy(to->values, from->values, sizeof *to->values * (size_t)(to->local_rows * to->local_cols));
}

static int64_t global_of(int64_t local, int process, int processes)
{
    return (local / BLOCK * processes + process) * BLOCK + local % BLOCK;
}

int64_t pv_matrix_row(const pv_matrix *matrix, int64_t local)
{
    return global_of(local, matrix->grid->row, matrix->grid->rows);
}

int64_t pv_matrix_col(const pv_matrix *matrix, int64_t local)
{
    return global_of(local, matrix->grid->col, matrix->grid->cols);
}

int64_t pv_matrix_rows_before(const pv_matrix *matrix, int64_t global)
{
    return share(global, matrix->grid->row, matrix->grid->rows);
}

int64_t pv_matrix_cols_before(const pv_matrix *matrix, int64_t global)
{
    return share(global, matrix->grid->col, matrix->grid->cols);
}

/* Moves the rows of one process row to the front of the summand's columns, which stay `height` apart:
 * returns how many there are. */
static int64_t pack_rows(const pv_grid *grid, int process, int64_t row, int64_t height, int64_t cols,
                         const double *summand, double *packed)
{
    int64_t rows = 0;
    for (int64_t c = 0; c < cols; c++)
        for (int64_t block = 0; block < height; block += BLOCK) {
            if ((row + block) / BLOCK % grid->rows != process) continue;
            const int64_t length = height - block < BLOCK ? height - block : BLOCK;
            memcpy(packed + rows, summand + c * height + block, sizeof *packed * (size_t)length);
            rows += length;
        }
    return rows;
}

/* Adds a panel that every rank has a summand of: columns [col, col + cols), within one block of columns,
 * from row `row`, the first of a block of rows, to the last; sums go to the ranks that hold the blocks only.
 * Shapes   summand [3][cols][rows - row], columns contiguous; all but the first third is scratch. */
static void add_panel(pv_matrix *matrix, int64_t row, int64_t col, int64_t cols, double *summand)
{
    const pv_grid *grid = matrix->grid;
    const int64_t height = matrix->rows - row;
    const int process_col = (int)(col / BLOCK % grid->cols);
    double *packed = summand + height * cols, *sum = packed + height * cols;
    for (int process = 0; process < grid->rows; process++) {
        const int64_t count = pack_rows(grid, process, row, height, cols, summand, packed);
        const int root = process * grid->cols + process_col;
        const bool mine = root == grid->comm->rank;
        /* Not in place: MPICH 4.0 crashes on that where the root is not rank 0. */
        MPI_Reduce(packed, sum, (int)count, MPI_DOUBLE, MPI_SUM, root, grid->comm->world);
        if (!mine || count == 0) continue;
        const int64_t first = pv_matrix_rows_before(matrix, row), rows = count / cols;
        const int64_t at = pv_matrix_cols_before(matrix, col);
        for (int64_t c = 0; c < cols; c++)
            for (int64_t r = 0; r < rows; r++)
                matrix->values[(at + c) * matrix->local_rows + first + r] += sum[c * rows + r];
    }
}

int64_t pv_panel_scratch(int64_t width)
{
    return CHUNK * (width + BLOCK);
}

/* Copies columns [col, col + cols) of samples [first, first + rows), centred. */
static void copy_centred(const pv_centred *x, int64_t first, int64_t rows, int64_t col, int64_t cols,
                         double *out)
{
    for (int64_t i = 0; i < rows; i++) {
        const double *from = x->values + (first + i) * x->width + col;
        for (int64_t k = 0; k < cols; k++)
            out[i * cols + k] = from[k] - x->mean[col + k];
    }
}

void pv_panel(const pv_centred *a, int64_t row, const pv_centred *b, int64_t col, int64_t cols,
              double *scratch, double *out)
{
    const int64_t height = a->width - row, count = a->count;
    double *left = scratch, *right = scratch + CHUNK * height;
    memset(out, 0, sizeof *out * (size_t)(height * cols));
    for (int64_t first = 0; first < count; first += CHUNK) {
        const int64_t rows = count - first < CHUNK ? count - first : CHUNK;
        copy_centred(a, first, rows, row, height, left);
        copy_centred(b, first, rows, col, cols, right);
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, (int)height, (int)cols, (int)rows, 1, left,
                    (int)height, right, (int)cols, 1, out, (int)height);
    }
}

pv_status pv_matrix_add_products(pv_matrix *matrix, const pv_centred *a, const pv_centred *b)
{
    double *scratch = NULL, *panel = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(scratch, pv_panel_scratch(a->width));
    PV_ALLOC(panel, 3 * a->width * BLOCK);
done:
    st = pv_agree(matrix->grid->comm, st);
    for (int64_t col = 0; st == PV_OK && col < b->width; col += BLOCK) {
        const int64_t cols = b->width - col < BLOCK ? b->width - col : BLOCK, row = a == b ? col : 0;
        pv_panel(a, row, b, col, cols, scratch, panel);
        add_panel(matrix, row, col, cols, panel);
    }
    PV_FREE(scratch, panel);
    return st;
}

void pv_matrix_get(const pv_matrix *matrix, pv_box box, double *out)
{
    enum { MESSAGE = 1 << 20 };
    const int64_t rows_from = pv_matrix_rows_before(matrix, box.row),
                  cols_from = pv_matrix_cols_before(matrix, box.col);
    const int64_t rows_to = pv_matrix_rows_before(matrix, box.row + box.rows);
    const int64_t cols_to = pv_matrix_cols_before(matrix, box.col + box.cols), numbers = box.rows * box.cols;
    memset(out, 0, sizeof *out * (size_t)numbers);
    for (int64_t c = cols_from; c < cols_to; c++)
        for (int64_t r = rows_from; r < rows_to; r++)
            out[(pv_matrix_row(matrix, r) - box.row) * box.cols + pv_matrix_col(matrix, c) - box.col] =
                matrix->values[c * matrix->local_rows + r];
    for (int64_t done = 0; done < numbers; done += MESSAGE)
        MPI_Allreduce(MPI_IN_PLACE, out + done, (int)(numbers - done < MESSAGE ? numbers - done : MESSAGE),
                      MPI_DOUBLE, MPI_SUM, matrix->grid->comm->world);
}

int64_t pv_matrix_largest_part(const pv_matrix *matrix)
{
    int64_t bytes = matrix->local_rows * matrix->local_cols * (int64_t)sizeof *matrix->values;
    MPI_Allreduce(MPI_IN_PLACE, &bytes, 1, MPI_INT64_T, MPI_MAX, matrix->grid->comm->world);
    return bytes;
}

/* The local place of global diagonal entry number pv_matrix_row(r); false if another rank holds it. */
static bool diagonal_at(const pv_matrix *matrix, int64_t r, int64_t *at)
{
    const int64_t global = pv_matrix_row(matrix, r), c = pv_matrix_cols_before(matrix, global);
    *at = c * matrix->local_rows + r;
    return c < matrix->local_cols && pv_matrix_col(matrix, c) == global;
}

void pv_matrix_add_diagonal(pv_matrix *matrix, double value)
{
    int64_t at;
    for (int64_t r = 0; r < matrix->local_rows; r++)
        if (diagonal_at(matrix, r, &at)) matrix->values[at] += value;
}

double pv_matrix_trace(const pv_matrix *matrix)
{
    double sum = 0;
    int64_t at;
    for (int64_t r = 0; r < matrix->local_rows; r++)
        if (diagonal_at(matrix, r, &at)) sum += matrix->values[at];
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, matrix->grid->comm->world);
    return sum;
}
