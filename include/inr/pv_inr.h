/* INRs: initialisation and evaluation. */
#ifndef PV_INR_H
#define PV_INR_H

#include "base/pv_rng.h"
#include "base/pv_status.h"
#include "inr/pv_arch.h"

/* Draws an initialisation.  Hidden layers: W uniform within the bound of their activation, biases 0 or as
 * W; the last layer: W and b ~ U(+-1/sqrt(d_in)), of the variant `flat` 0.08 times that.
 * Shapes   row [P]
 * Random   in row order from `rng`, one uniform draw an entry that is random. */
void pv_inr_init(const pv_arch *arch, pv_inr_variant variant, pv_rng *rng, float *row);

/* Evaluates one INR.
 * Shapes   row [P], coords [n][inputs], values [n][d_M] (offset included)
 * Local.   Errors: PV_ERR_NOMEM. */
pv_status pv_inr_eval(const pv_arch *arch, const float *row, int n, const float *coords, float *values);

/* Peak signal-to-noise ratio in dB of a mean squared error, peak 1. */
double pv_psnr(double mse);

/* The loop over an activation that fits spend much of their time in, for rates against the machine's limit:
 * value[i] and slope[i] of z[i], of the sine sin(pi z) and pi cos(pi z) for |z| < 2^21; n is a multiple of
 * 16. */
typedef void pv_inr_activate(int n, const float *z, float *value, float *slope);
pv_inr_activate *pv_inr_activation_loop(const pv_activation *activation);

#endif
