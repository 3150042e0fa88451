/* What tests in double precision share: noise, distances, and gradients held against slopes of a loss. */
#ifndef PV_SLOPES_H
#define PV_SLOPES_H

#include <stdint.h>

/* n normal numbers of deviation 0.5, of PV_RNG_TEST's `stream`.  Owner: the caller frees them. */
double *pv_test_noise(int64_t n, uint64_t stream);

/* The largest difference of two vectors. */
double pv_test_difference(int64_t n, const double *a, const double *b);

/* A loss that can be computed again and again. */
typedef struct pv_test_loss {
    double (*of)(void *context);
    void *context;
} pv_test_loss;

/* Squares summed: of a gradient's distance from the loss' central differences, and of these. */
typedef struct pv_slopes {
    double error, norm;
} pv_slopes;

/* Adds about `probes` entries, evenly spread, of the gradient with respect to `values`; all, if n is
 * smaller. */
void pv_slopes_add(pv_slopes *slopes, pv_test_loss loss, double *values, const double *gradient, int64_t n,
                   int64_t probes);
/* The relative distance; infinite where all slopes are 0. */
double pv_slopes_distance(pv_slopes slopes);
/* That of one gradient. */
double pv_slopes_of(pv_test_loss loss, double *values, const double *gradient, int64_t n, int64_t probes);

#endif
