/* The SIREN and its fit once more, as plain loops in double precision: what the fast code is held against. */
#ifndef PV_SIREN_WITNESS_H
#define PV_SIREN_WITNESS_H

#include "inr/pv_arch.h"
#include "inr/pv_inr_narrow.h"

/* f(x) of one sample.  Shapes: row [P], x [d_0], y [d_M]. */
void pv_witness_eval(const pv_arch *arch, const double *row, const float *x, double *y);

/* The mean squared error over n samples, and its gradient [P]. */
double pv_witness_gradient(const pv_arch *arch, const double *row, int n, const float *coords,
                           const float *values, double *gradient);

/* `steps` Adam steps from the float row on; losses[t] is the error before step t, losses[steps] that at the
 * end.  With `cosine` the rate falls from lr to 0 over the steps.  Shapes: start [P], row [P], losses [steps
 * + 1]. */
void pv_witness_fit(const pv_arch *arch, const float *start, int n, const float *coords, const float *values,
                    int steps, double lr, bool cosine, double *row, double *losses);

/* The gradient [P] that the fit kernels find, in float, on the instruction set in use, with operands of
 * 16 bits where `loops` is not NULL; zeros without memory. */
void pv_kernel_gradient(const pv_inr_narrow_loops *loops, pv_precision precision, const pv_arch *arch,
                        const float *row, int n, const float *coords, const float *values, float *gradient);

#endif
