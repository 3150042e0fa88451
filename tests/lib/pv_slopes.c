/* Central differences of a loss, and small helpers around them. */
#include "pv_slopes.h"
#include "base/pv_rng.h"

#include <math.h>
#include <stdlib.h>

static const double STEP = 1e-6;

double *pv_test_noise(int64_t n, uint64_t stream)
{
    double *values = malloc(sizeof *values * (size_t)n);
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, stream, 0);
    for (int64_t i = 0; i < n; i++)
        values[i] = 0.5 * pv_rng_normal(&rng);
    return values;
}

double pv_test_difference(int64_t n, const double *a, const double *b)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

static double slope(pv_test_loss loss, double *value)
{
    const double kept = *value;
    *value = kept + STEP;
    const double above = loss.of(loss.context);
    *value = kept - STEP;
    const double below = loss.of(loss.context);
    *value = kept;
    return (above - below) / (2 * STEP);
}

void pv_slopes_add(pv_slopes *slopes, pv_test_loss loss, double *values, const double *gradient, int64_t n,
                   int64_t probes)
{
    const int64_t stride = n > probes ? n / probes : 1;
    for (int64_t i = 0; i < n; i += stride) {
        const double truth = slope(loss, &values[i]), d = gradient[i] - truth;
        slopes->error += d * d;
        slopes->norm += truth * truth;
    }
}

double pv_slopes_distance(pv_slopes slopes)
{
    return slopes.norm > 0 ? sqrt(slopes.error / slopes.norm) : INFINITY;
}

double pv_slopes_of(pv_test_loss loss, double *values, const double *gradient, int64_t n, int64_t probes)
{
    pv_slopes slopes = {0};
    pv_slopes_add(&slopes, loss, values, gradient, n, probes);
    return pv_slopes_distance(slopes);
}
