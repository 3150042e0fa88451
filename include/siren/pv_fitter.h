/* The fit engine: full-batch Adam on the mean squared error, several INRs in flight on one core.
 *
 * The result of a fit is a pure function of (initial row, values, steps, rate, instruction set): it does not
 * depend on which slot it ran in, what ran beside it, or how its steps were cut into calls. */
#ifndef PV_FITTER_H
#define PV_FITTER_H

#include "base/pv_status.h"
#include "siren/pv_siren.h"

typedef struct pv_fitter pv_fitter;

/* Plans the workspace for INRs of `arch` over `n` samples at `coords` [n][d_0] (copied).
 * Owner: pv_fitter_free.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_fitter_new(const pv_arch *arch, int n, const float *coords, pv_fitter **out);
void pv_fitter_free(pv_fitter *fitter);

/* The number of INRs it fits side by side: slots 0..slots-1. */
int pv_fitter_slots(const pv_fitter *fitter);

/* Puts an INR into a slot, at step 0.
 * Shapes   row [P] the initialisation; values [n][d_M] the target.  Both are copied. */
void pv_fitter_start(pv_fitter *fitter, int slot, const float *row, const float *values);

/* Advances the INRs of slots 0..used-1 by `steps` Adam steps (betas 0.9, 0.999, eps 1e-8, bias correction).
 */
void pv_fitter_advance(pv_fitter *fitter, int used, int steps, double lr);

/* Takes the INR of a slot out: row [P] as it stands, and its mean squared error at those weights.  The slot
 * keeps its INR, which may be advanced further.
 * Local.   Errors: PV_ERR_NUMERIC if the error or a weight is not finite (row and mse are still set). */
pv_status pv_fitter_finish(pv_fitter *fitter, int slot, float *row, double *mse);

/* The floating-point operations of the multiply-adds (two each), and the sine-cosine pairs, of one step of
 * one INR, for rates against the machine's limit. */
double pv_fitter_step_flops(const pv_fitter *fitter);
double pv_fitter_step_sincos(const pv_fitter *fitter);

#endif
