#include "pv_sine.h"
#include "base/pv_rng.h"

#include <math.h>

static const double HIGHEST = 10, PI = 3.14159265358979323846;

void pv_sine_coefficients(uint64_t seed, uint64_t source, float ab[PV_SINE_TARGETS])
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_SIGNAL, source, 0);
    for (int i = 0; i < PV_SINE_TARGETS; i++)
        ab[i] = (float)pv_rng_range(&rng, 0, HIGHEST);
}

void pv_sine_grid(int n, float *x)
{
    for (int i = 0; i < n; i++)
        x[i] = n > 1 ? (float)(PI * (double)(2 * i - (n - 1)) / (n - 1)) : 0;
}

void pv_sine_values(const float ab[PV_SINE_TARGETS], int n, const float *x, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = (float)((double)ab[0] * sin((double)ab[1] * (double)x[i]));
}
