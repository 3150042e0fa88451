/* Parameters laid out for the kernels: padded with zeros to whole vectors, permuted, transposed.  Packed
 * before a pass; gradients are gathered in the same layout and added to the tensors' own after the last
 * sample of a batch. */
#ifndef PV_PACKED_H
#define PV_PACKED_H

#include "nn/core/pv_linear.h"
#include "nn/core/pv_transformer_kernels.h"

/* One packed matrix, or vector (rows = 1). */
typedef struct pv_packed {
    struct pv_packed *next;
    int tensor;                   /* its id */
    int rows, cols;               /* as packed */
    int source_cols;              /* of the tensor */
    const int *row_map, *col_map; /* [rows], [cols]: which row and column of the tensor; -1: zeros */
    pv_real *values;              /* [rows][cols] */
    pv_real *transposed;          /* [cols][rows], NULL where nobody multiplies with it */
    pv_real *gradients;           /* [rows][cols] */
} pv_packed;

/* All packed parameters of a model, and the memory and kernels they come from. */
typedef struct pv_packed_set {
    pv_nn_params *params;
    pv_memory *memory;
    pv_packed *first;
} pv_packed_set;

/* n up to a multiple of the numbers of a vector. */
int pv_packed_pad(const pv_packed_set *set, int n);

/* A map 0 .. n - 1, then -1 up to `padded`; NULL when there is no memory. */
int *pv_packed_map(const pv_packed_set *set, int first, int n, int padded);

/* Packs every parameter; clears the packed gradients; adds them to the tensors'. */
void pv_packed_load(const pv_packed_set *set);
void pv_packed_clear(const pv_packed_set *set);
void pv_packed_flush(const pv_packed_set *set);

/* Registers a tensor and packs it with padding of its last axis alone.  NULL when there is no memory. */
pv_packed *pv_packed_add(pv_packed_set *set, const char *name, int rank, int rows, int cols, pv_init init);

/* A packed Linear.  in, out: as packed, multiples of the numbers of a vector. */
typedef struct pv_packed_linear {
    const pv_nn_kernels *kernels;
    int in, out;
    pv_packed *weight, *bias; /* bias NULL: none */
} pv_packed_linear;

/* Shapes   in_map [in], out_map [out]: which input and output of the Linear each packed one is, -1 for
 * padding.  A bias is packed if the Linear has one.  Failures are the memory's. */
pv_packed_linear pv_packed_linear_new(pv_packed_set *set, const pv_linear *linear, int in, const int *in_map,
                                      int out, const int *out_map);
/* Registers <prefix>.weight and <prefix>.bias and packs them with padding alone. */
pv_packed_linear pv_packed_linear_add(pv_packed_set *set, const char *prefix, int in, int out, bool bias,
                                      pv_linear_init init);

/* y = x W^T + b, or y += x W^T + b.  Shapes   x [rows][in], y [rows][out] */
void pv_packed_forward(const pv_packed_linear *linear, int64_t rows, const pv_real *x, bool add, pv_real *y);
/* Adds to the packed gradients; dx = dy W, or dx += dy W, unless dx is NULL. */
void pv_packed_backward(const pv_packed_linear *linear, int64_t rows, const pv_real *x, const pv_real *dy,
                        bool add, pv_real *dx);

/* A packed LayerNorm over `width` numbers of rows of `padded`. */
typedef struct pv_packed_norm {
    const pv_transformer_kernels *kernels;
    int width, padded;
    pv_packed *weight, *bias; /* NULL: the identity */
} pv_packed_norm;

/* Registers <prefix>.weight (ones) and <prefix>.bias (zeros), or is the identity. */
pv_packed_norm pv_packed_norm_add(pv_packed_set *set, const char *prefix, int width, bool wanted);

/* y = norm(x), which may be the same; and back: dy becomes the gradient of x. */
void pv_packed_norm_forward(const pv_packed_norm *norm, int64_t rows, const pv_real *x, pv_real *y);
void pv_packed_norm_backward(const pv_packed_norm *norm, int64_t rows, const pv_real *x, pv_real *dy);

#endif
