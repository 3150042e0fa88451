/* The architecture of an INR, and where its tensors lie in a row.  An INR is one row of P floats: its tensors in PyTorch
 * state_dict order (seq.0.weight [out][in], seq.0.bias, ...). */
#ifndef PV_ARCH_H
#define PV_ARCH_H

#include "base/pv_status.h"
#include "inr/pv_inr_opts.h"

#include <stdbool.h>

typedef struct pv_arch {
    int layers;                      /* M, the number of matrices: 1 + hidden layers */
    int dims[PV_INR_MAX_LAYERS + 1]; /* d_0 .. d_M */
    float w0, offset;
} pv_arch;

/* One tensor of a row. */
typedef struct pv_arch_tensor {
    char name[24];  /* "seq.0.weight" */
    int offset;     /* in floats from the start of the row */
    int rows, cols; /* weight: d_l x d_{l-1}; bias: d_l x 1 */
} pv_arch_tensor;

/* The architecture for `inputs`-dimensional coordinates and `outputs` channels.
 * Local.   Errors: PV_ERR_CONFIG naming the key (inr.hidden, inr.w0) when it is outside 1..8 matrices, widths 1..256,
 * inputs 1..3, outputs 1..4, or w0 <= 0. */
pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, pv_arch *arch);

/* Whether two architectures are the same function of a row. */
bool pv_arch_equal(const pv_arch *a, const pv_arch *b);

/* P, the length of a row. */
int pv_arch_params(const pv_arch *arch);

/* Fills tensors[2 * layers] in row order; returns their number. */
int pv_arch_layout(const pv_arch *arch, pv_arch_tensor *tensors);

#endif
