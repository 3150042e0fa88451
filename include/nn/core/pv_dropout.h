/* Dropout whose mask depends on seed, step, layer and the sample's position in the global batch only. */
#ifndef PV_DROPOUT_H
#define PV_DROPOUT_H

#include "nn/core/pv_model_kind.h"

typedef struct pv_dropout {
    double rate;
    const pv_nn_kernels *kernels;
} pv_dropout;

/* The factor of what is kept: 1 / (1 - rate), with the rate rounded to what 16-bit draws can express. */
double pv_dropout_scale(const pv_dropout *dropout);

/* Masks and scales the n values of one sample, or their gradients, in training.  site: what tells apart the
 * places of a model that drop, below 2^16.  Random: PV_RNG_DROPOUT, (step, site and sample), 16 bits a value
 * in order. */
void pv_dropout_apply(const pv_dropout *dropout, const pv_pass *pass, int site, int sample, int64_t n,
                      pv_real *x);

/* The draws of the same mask, and below what number a draw keeps its value; writes PV_DROPOUT_DRAWS(n) of
 * them. */
void pv_dropout_draw(const pv_pass *pass, int site, int sample, int64_t n, uint16_t *draws);
uint32_t pv_dropout_threshold(const pv_dropout *dropout);
#define PV_DROPOUT_DRAWS(n) ((n) + 3)

#endif
