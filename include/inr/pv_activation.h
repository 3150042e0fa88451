/* Activations: what a hidden unit of an INR makes of its input z.  A new one is a file of its own,
 * src/inr/pv_NAME.c with a pv_activation called pv_activation_NAME, and a word in PV_ACTIVATIONS. */
#ifndef PV_ACTIVATION_H
#define PV_ACTIVATION_H

#include "config/pv_plugin.h"

#include <stdbool.h>

typedef enum pv_inr_variant {
    PV_INR_DWSNETS,  /* every sine layer W ~ U(+-sqrt(6/d_in)/w0), as the published sets */
    PV_INR_STANDARD, /* Sitzmann et al. 2020: the first layer W ~ U(+-1/d_in) */
    PV_INR_FLAT,     /* twice the frequencies of dwsnets, and a last layer that nearly ignores them */
} pv_inr_variant;

/* Activations that the kernels have in their loops; the others bring their own. */
typedef enum pv_activation_loop {
    PV_LOOP_OWN,   /* apply */
    PV_LOOP_SINE,  /* sin(z) */
    PV_LOOP_RELU,  /* max(0, z) */
    PV_LOOP_GAUSS, /* exp(-z^2) */
} pv_activation_loop;

typedef struct pv_activation {
    pv_plugin plugin;
    const char *formula; /* for readers of a store: written into its `arch` */

    /* Whether z is w0 (W h + b); else it is W h + b. */
    bool uses_w0;

    /* value[i] = a(z[i]) and slope[i] = a'(z[i]), for n samples of one unit; value == z is allowed, n is a
     * multiple of 4 and all arrays are aligned to 16 bytes.  Of PV_LOOP_OWN only. */
    void (*apply)(int n, const float *z, float *value, float *slope);
    pv_activation_loop loop;
    bool bounded; /* |a| <= 1, so that values may be whole numbers to a scale: fit.precision int16 */

    /* The hidden layer of matrix `layer`, from 0 on, starts with W ~ U(-bound, bound), and b = 0 or, where
     * biases are drawn, as W. */
    bool draws_biases;
    double (*bound)(int layer, double fan_in, double w0, pv_inr_variant variant);

    /* The symmetries of a unit, besides its place among the others.  odd: a(-z) = -a(z), so that its weights,
     * its bias and what the next layer makes of it may all change their sign.  even: a(-z) = a(z), so that
     * its weights and its bias may.  scales: a(c z) = c a(z) for c > 0, so that these may be multiplied by c
     * and what the next layer makes of it divided.  antiperiod: a(z + antiperiod) = -a(z), so that its bias
     * may move by antiperiod / w0 and what the next layer makes of it change its sign; 0: none. */
    bool odd, even, scales;
    double antiperiod;
} pv_activation;

/* The first is what a config and a store without the word mean.  A test may bring a list of its own. */
#ifndef PV_ACTIVATIONS
#define PV_ACTIVATIONS(X) X(sine) X(relu) X(gauss)
#endif
#define PV_ACTIVATION_EXTERN(name) extern const pv_activation pv_activation_##name;
PV_ACTIVATIONS(PV_ACTIVATION_EXTERN)
#undef PV_ACTIVATION_EXTERN

extern const pv_registry pv_activations;

/* By number, from 0 on; NULL behind the last. */
const pv_activation *pv_activation_at(int number);

/* The number of the activation of this name or formula; -1 if there is none. */
int pv_activation_find(const char *word);

#endif
