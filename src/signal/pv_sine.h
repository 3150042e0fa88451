/* Sine waves a sin(b x), private to the signal room: what the published self-supervised task is about. */
#ifndef PV_SINE_H
#define PV_SINE_H

#include <stdint.h>

enum { PV_SINE_TARGETS = 2 };

/* The coefficients a and b of a source.  Random: PV_RNG_SIGNAL, (source, 0); both from U(0, 10), as
 * published. */
void pv_sine_coefficients(uint64_t seed, uint64_t source, float ab[PV_SINE_TARGETS]);

/* Sample positions: n from -pi to pi, both included.  Shapes   x [n]. */
void pv_sine_grid(int n, float *x);

/* y = a sin(b x).  Shapes   x, y [n]. */
void pv_sine_values(const float ab[PV_SINE_TARGETS], int n, const float *x, float *y);

#endif
