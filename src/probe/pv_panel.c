/* Products of centred features, a panel of columns at a time. */
#include "pv_panel.h"
#include "base/pv_mem.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256, BLOCK = PV_MATRIX_BLOCK };

int64_t pv_panel_scratch(const pv_features *a)
{
    return CHUNK * (int64_t)(a->width + BLOCK);
}

/* Copies columns [col, col + cols) of samples [first, first + rows), centred. */
static void copy_centred(const pv_centred *x, int64_t first, int64_t rows, int64_t col, int64_t cols,
                         double *out)
{
    for (int64_t i = 0; i < rows; i++) {
        const double *from = x->features->x + (first + i) * x->features->width + col;
        for (int64_t k = 0; k < cols; k++)
            out[i * cols + k] = from[k] - x->mean[col + k];
    }
}

void pv_panel(const pv_centred *a, int64_t row, const pv_centred *b, int64_t col, int64_t cols,
              double *scratch, double *out)
{
    const int64_t height = a->features->width - row, count = a->features->count;
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

pv_status pv_gram(const pv_comm *comm, const pv_centred *x, pv_matrix *gram)
{
    const int64_t width = x->features->width;
    double *scratch = NULL, *panel = NULL;
    pv_status st = PV_OK;
    PV_ALLOC(scratch, pv_panel_scratch(x->features));
    PV_ALLOC(panel, 2 * width * BLOCK);
done:
    st = pv_agree(comm, st);
    for (int64_t col = 0; st == PV_OK && col < width; col += BLOCK) {
        const int64_t cols = width - col < BLOCK ? width - col : BLOCK;
        pv_panel(x, col, x, col, cols, scratch, panel);
        pv_matrix_add_panel(gram, col, col, cols, panel);
    }
    free(scratch);
    free(panel);
    return st;
}
