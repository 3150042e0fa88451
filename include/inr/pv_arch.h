/* The architecture of an INR, and where its tensors lie in a row.
 *     h_0 = x;  h_l = a(w0 (W_l h_{l-1} + b_l)), l = 1..M-1;  f(x) = W_M h_{M-1} + b_M + offset
 * with an activation a, the sine for one, some of which do without w0; and, with an encoding, for h_0 = x
 *     h_0 = (cos(2 pi B x), sin(2 pi B x))
 * An INR is one row of P floats: its
 * tensors in PyTorch state_dict order (seq.0.weight [out][in], seq.0.bias, ...). */
#ifndef PV_ARCH_H
#define PV_ARCH_H

#include "base/pv_status.h"
#include "inr/pv_inr_opts.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { PV_INR_MOST_INPUTS = 3, PV_INR_MOST_OUTPUTS = 4 };

/* The encoding of coordinates, the same for all INRs. */
typedef struct pv_fourier {
    int count;                                                     /* of frequencies; 0: no encoding */
    int inputs;                                                    /* coordinates */
    float frequency[PV_INR_MOST_FREQUENCIES * PV_INR_MOST_INPUTS]; /* B [count][inputs] */
} pv_fourier;

/* Plain data without pointers: ranks send it to each other as bytes. */
typedef struct pv_arch {
    int layers;                      /* M, the number of matrices: 1 + hidden layers */
    int dims[PV_INR_MAX_LAYERS + 1]; /* d_0 .. d_M */
    int activation;                  /* its number */
    float w0, offset;
    pv_fourier fourier; /* d_0 is twice its count */
} pv_arch;

/* One tensor of a row. */
typedef struct pv_arch_tensor {
    char name[24];  /* "seq.0.weight" */
    int offset;     /* in floats from the start of the row */
    int rows, cols; /* weight: d_l x d_{l-1}; bias: d_l x 1 */
} pv_arch_tensor;

/* The architecture for `inputs`-dimensional coordinates and `outputs` channels.
 * Random   PV_RNG_ENCODING of `seed`, with an encoding: its frequencies, N(0, sigma^2)
 * Source   Tancik et al. 2020, section 6, Gaussian features
 * Local.   Errors: PV_ERR_CONFIG naming the key (inr.hidden, inr.w0) when it is outside 1..8 matrices, widths
 * 1..256, inputs 1..3, outputs 1..4, or w0 <= 0. */
pv_status pv_arch_make(const pv_inr_opts *opts, int inputs, int outputs, uint64_t seed, pv_arch *arch);

/* The number of coordinates: d_0 without an encoding. */
int pv_arch_inputs(const pv_arch *arch);

/* What the first layer takes of n coordinates.  Shapes: coords [n][inputs], features [n][d_0]. */
void pv_arch_encode(const pv_arch *arch, int n, const float *coords, float *features);

/* Whether two architectures are the same function of a row. */
bool pv_arch_equal(const pv_arch *a, const pv_arch *b);

/* Its activation: ask it for the symmetries that hold. */
const pv_activation *pv_arch_activation(const pv_arch *arch);

/* P, the length of a row. */
int pv_arch_params(const pv_arch *arch);

/* Fills tensors[2 * layers] in row order; returns their number. */
int pv_arch_layout(const pv_arch *arch, pv_arch_tensor *tensors);

/* [d_0, ..., d_M].  Owner: the caller, json_decref. */
json_t *pv_arch_dims_json(const pv_arch *arch);

/* Its words in files and results: dims, w0, offset, activation (the formula), and the
 * encoding if there is one (kind, frequencies B).  Owner: the caller,
 * json_decref. */
json_t *pv_arch_to_json(const pv_arch *arch);

/* The encoding among these words: NULL without one.  And back, of an arch whose dims are known: NULL is none.
 * Errors: PV_ERR_DATA naming `where`. */
json_t *pv_encoding_to_json(const pv_arch *arch);
pv_status pv_encoding_from_json(const json_t *words, const char *where, pv_arch *arch);

/* Reads them from a text; without an activation it is the sine.
 * Local.   Errors: PV_ERR_DATA (`where`, the file it comes from, is named; an unknown activation too). */
pv_status pv_arch_from_json(const char *text, const char *where, pv_arch *arch);

#endif
