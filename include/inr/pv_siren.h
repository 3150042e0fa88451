/* The SIREN: architecture, layout of its weights, initialisation, evaluation.
 *     h_0 = x;  h_l = sin(w0 (W_l h_{l-1} + b_l)), l = 1..M-1;  f(x) = W_M h_{M-1} + b_M + offset
 * An INR is one row of P floats: its tensors in PyTorch state_dict order (seq.0.weight [out][in], seq.0.bias,
 * ...). */
#ifndef PV_SIREN_H
#define PV_SIREN_H

#include "base/pv_rng.h"
#include "base/pv_status.h"
#include "inr/pv_siren_opts.h"

#include <stdbool.h>

typedef struct pv_arch {
    int layers;                        /* M, the number of matrices: 1 + hidden layers */
    int dims[PV_SIREN_MAX_LAYERS + 1]; /* d_0 .. d_M */
    float w0, offset;
} pv_arch;

/* One tensor of a row. */
typedef struct pv_arch_tensor {
    char name[24];  /* "seq.0.weight" */
    int offset;     /* in floats from the start of the row */
    int rows, cols; /* weight: d_l x d_{l-1}; bias: d_l x 1 */
} pv_arch_tensor;

/* The architecture for `inputs`-dimensional coordinates and `outputs` channels.
 * Errors: PV_ERR_CONFIG naming the key (inr.hidden, inr.w0) when it is outside 1..8 matrices, widths 1..256,
 * inputs 1..3, outputs 1..4, or w0 <= 0.  Local. */
pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, pv_arch *arch);

/* Whether two architectures are the same function of a row. */
bool pv_arch_equal(const pv_arch *a, const pv_arch *b);

/* P, the length of a row. */
int pv_arch_params(const pv_arch *arch);

/* Fills tensors[2 * layers] in row order; returns their number. */
int pv_arch_layout(const pv_arch *arch, pv_arch_tensor *tensors);

/* Draws an initialisation.  Sine layers: W ~ U(+-sqrt(6/d_in)/w0), biases 0; the first layer of the
 * `standard` variant W ~ U(+-1/d_in); the last layer W and b ~ U(+-1/sqrt(d_in)). Shapes   row [P] Random in
 * row order from `rng`, one uniform draw an entry that is random Source   Sitzmann et al. 2020, section 3.2;
 * the published DWSNets INRs for `dwsnets`. */
void pv_siren_init(const pv_arch *arch, pv_siren_variant variant, pv_rng *rng, float *row);

/* Evaluates one INR.
 * Shapes   row [P], coords [n][d_0], values [n][d_M] (offset included)
 * Local.   Errors: PV_ERR_NOMEM. */
pv_status pv_siren_eval(const pv_arch *arch, const float *row, int n, const float *coords, float *values);

/* Peak signal-to-noise ratio in dB of a mean squared error, peak 1. */
double pv_psnr(double mse);

#endif
