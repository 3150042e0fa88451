/* Dropout whose mask depends on seed, step, layer and the sample's position in the global batch only. */
#ifndef PV_DROPOUT_H
#define PV_DROPOUT_H

#include "nn/dws/pv_dws_kernels.h"
#include "nn/pv_model.h"
#include "nn/core/pv_nn_kernels.h"

typedef struct pv_dropout {
    double rate;
    const pv_nn_kernels *kernels;
} pv_dropout;

/* The factor of what is kept: 1 / (1 - rate), with the rate rounded to what 16-bit draws can express. */
double pv_dropout_scale(const pv_dropout *dropout);

/* Masks and scales the n values of one sample.  site: what tells apart the places of a model that drop, below
 * 2^16.  Random: PV_RNG_DROPOUT, (step, site and sample), 16 bits a value in order. */
void pv_dropout_apply(const pv_dropout *dropout, const pv_pass *pass, int site, int sample, int64_t n,
                      pv_real *x);

/* The same mask for [entries][f] values of one sample, as pv_dws_activation.bits.  draws: scratch for
 * PV_DROPOUT_DRAWS(entries * f). */
void pv_dropout_bits(const pv_dropout *dropout, const pv_pass *pass, int site, int sample, int64_t entries,
                     int f, const pv_dws_kernels *kernels, uint16_t *draws, uint16_t *bits);
#define PV_DROPOUT_DRAWS(n) ((n) + 3)

#endif
