/* Copies of tensors in the layout of the kernels, and their gradients back. */
#include "nn/core/pv_packed.h"

#include <stdio.h>
#include <string.h>

int pv_packed_pad(const pv_packed_set *set, int n)
{
    const int lanes = set->params->kernels->lanes;
    return (n + lanes - 1) / lanes * lanes;
}

int *pv_packed_map(const pv_packed_set *set, int first, int n, int padded)
{
    int *map = pv_take(set->memory, padded, sizeof *map);
    for (int i = 0; map && i < padded; i++)
        map[i] = i < n ? first + i : -1;
    return map;
}

static pv_packed *pack(pv_packed_set *set, int tensor, int source_cols, int rows, const int *row_map,
                       int cols, const int *col_map, bool transposed)
{
    const int64_t count = (int64_t)rows * cols;
    pv_packed *packed = pv_take(set->memory, 1, sizeof *packed);
    if (!packed) return NULL;
    *packed = (pv_packed){.next = set->first,
                          .tensor = tensor,
                          .rows = rows,
                          .cols = cols,
                          .source_cols = source_cols,
                          .row_map = row_map,
                          .col_map = col_map,
                          .values = pv_take(set->memory, count, sizeof(pv_real)),
                          .transposed = transposed ? pv_take(set->memory, count, sizeof(pv_real)) : NULL,
                          .gradients = pv_take(set->memory, count, sizeof(pv_real))};
    set->first = packed;
    return packed;
}

pv_packed *pv_packed_add(pv_packed_set *set, const char *name, int rank, int rows, int cols, pv_init init)
{
    const int padded = pv_packed_pad(set, cols);
    const int tensor =
        pv_nn_params_add(set->params, name, rank, rank == 2 ? rows : cols, rank == 2 ? cols : 1, true, init);
    return pack(set, tensor, cols, rows, pv_packed_map(set, 0, rows, rows), padded,
                pv_packed_map(set, 0, cols, padded), false);
}

static void load(const pv_packed *p, const pv_real *source)
{
    for (int r = 0; r < p->rows; r++)
        for (int c = 0; c < p->cols; c++) {
            const bool real = p->row_map[r] >= 0 && p->col_map[c] >= 0;
            const pv_real value = real ? source[(int64_t)p->row_map[r] * p->source_cols + p->col_map[c]] : 0;
            p->values[(int64_t)r * p->cols + c] = value;
            if (p->transposed) p->transposed[(int64_t)c * p->rows + r] = value;
        }
}

static void flush(const pv_packed *p, pv_real *target)
{
    for (int r = 0; r < p->rows; r++)
        for (int c = 0; c < p->cols; c++)
            if (p->row_map[r] >= 0 && p->col_map[c] >= 0)
                target[(int64_t)p->row_map[r] * p->source_cols + p->col_map[c]] +=
                    p->gradients[(int64_t)r * p->cols + c];
}

void pv_packed_load(const pv_packed_set *set)
{
    for (const pv_packed *p = set->first; p; p = p->next)
        load(p, pv_nn_values(set->params, p->tensor));
}

void pv_packed_clear(const pv_packed_set *set)
{
    for (const pv_packed *p = set->first; p; p = p->next)
        memset(p->gradients, 0, sizeof(pv_real) * (size_t)p->rows * (size_t)p->cols);
}

void pv_packed_flush(const pv_packed_set *set)
{
    for (const pv_packed *p = set->first; p; p = p->next)
        flush(p, pv_nn_gradients(set->params, p->tensor));
}

pv_packed_linear pv_packed_linear_new(pv_packed_set *set, const pv_linear *linear, int in, const int *in_map,
                                      int out, const int *out_map)
{
    pv_packed_linear packed = {.kernels = set->params->kernels, .in = in, .out = out};
    const int *const row = pv_packed_map(set, 0, 1, 1);
    packed.weight = pack(set, linear->weight, linear->in, out, out_map, in, in_map, true);
    if (linear->bias >= 0) packed.bias = pack(set, linear->bias, linear->out, 1, row, out, out_map, false);
    return packed;
}

pv_packed_linear pv_packed_linear_add(pv_packed_set *set, const char *prefix, int in, int out, bool bias,
                                      pv_linear_init init)
{
    const pv_linear linear = pv_linear_new(set->params, prefix, in, out, bias, init);
    const int in_padded = pv_packed_pad(set, in), out_padded = pv_packed_pad(set, out);
    return pv_packed_linear_new(set, &linear, in_padded, pv_packed_map(set, 0, in, in_padded), out_padded,
                                pv_packed_map(set, 0, out, out_padded));
}

void pv_packed_forward(const pv_packed_linear *linear, int64_t rows, const pv_real *x, bool add, pv_real *y)
{
    const int out = linear->out;
    if (linear->bias && add) linear->kernels->add_row(rows, out, 1, linear->bias->values, y);
    for (int64_t r = 0; linear->bias && !add && r < rows; r++)
        memcpy(y + r * out, linear->bias->values, sizeof *y * (size_t)out);
    const pv_product_term term = pv_product_of(x, linear->weight->transposed, out, linear->in);
    linear->kernels->matrix->product(rows, out, 1, &term, linear->bias || add, y);
}

void pv_packed_backward(const pv_packed_linear *linear, int64_t rows, const pv_real *x, const pv_real *dy,
                        bool add, pv_real *dx)
{
    const pv_product_term term = pv_product_of(dy, linear->weight->values, linear->in, linear->out);
    linear->kernels->matrix->outer(linear->out, linear->in, rows, PV_OUTER_BLOCK, 1, dy, x,
                                   linear->weight->gradients);
    if (linear->bias) linear->kernels->sum_rows(rows, linear->out, 1, dy, linear->bias->gradients);
    if (dx) linear->kernels->matrix->product(rows, linear->in, 1, &term, add, dx);
}

pv_packed_norm pv_packed_norm_add(pv_packed_set *set, const char *prefix, int width, bool wanted)
{
    char name[PV_NN_NAME + 8];
    pv_packed_norm norm = {.kernels = PV_ISA_CHOOSE(pv_transformer_kernels),
                           .width = width,
                           .padded = pv_packed_pad(set, width)};
    if (!wanted) return norm;
    snprintf(name, sizeof name, "%s.weight", prefix);
    norm.weight = pv_packed_add(set, name, 1, 1, width, (pv_init){PV_INIT_CONSTANT, 1});
    snprintf(name, sizeof name, "%s.bias", prefix);
    norm.bias = pv_packed_add(set, name, 1, 1, width, (pv_init){PV_INIT_CONSTANT, 0});
    return norm;
}

void pv_packed_norm_forward(const pv_packed_norm *norm, int64_t rows, const pv_real *x, pv_real *y)
{
    if (norm->weight)
        norm->kernels->norm(rows, norm->width, norm->padded, x, norm->weight->values, norm->bias->values, y);
    else if (x != y)
        memcpy(y, x, sizeof *y * (size_t)rows * (size_t)norm->padded);
}

void pv_packed_norm_backward(const pv_packed_norm *norm, int64_t rows, const pv_real *x, pv_real *dy)
{
    if (norm->weight)
        norm->kernels->norm_backward(rows, norm->width, norm->padded, x, norm->weight->values, dy,
                                     norm->weight->gradients, norm->bias->gradients);
}
