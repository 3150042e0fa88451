/* The dense loops of the siren room, compiled once for every instruction set.  Private to the room and its
 * tests. */
#ifndef PV_SIREN_KERNELS_H
#define PV_SIREN_KERNELS_H

#include "base/pv_cpu.h"
#include "inr/pv_siren_net.h"

/* One Adam step in numbers: p -= rate * m / (root * sqrt(v) + eps). */
typedef struct pv_siren_adam {
    float rate; /* lr / (1 - beta1^t) */
    float root; /* 1 / sqrt(1 - beta2^t) */
} pv_siren_adam;

/* Rows and gradients are in the order of the stored row.  All buffers of samples are tiles as
 * pv_siren_net_lay_out makes them; `count` is how many samples of the tile are real. */
typedef struct pv_siren_kernels {
    /* sine[i] = sin(pi t[i]), slope[i] = pi cos(pi t[i]) for |t| < 2^21; n is a multiple of 16; sine == t is
     * allowed. */
    void (*sincos)(int n, const float *t, float *sine, float *slope);
    /* Fills the scaled weights of `net` from row [P]. */
    void (*load)(pv_siren_net *net, const float *row);
    /* Leaves the output of one tile in net->output. */
    void (*forward)(const pv_siren_net *net, const float *coords, int count);
    /* Adds `scale` / 2 times the gradient of one tile's summed squared error to gradient [P]; returns the
     * sum. */
    double (*gradient)(const pv_siren_net *net, const float *coords, const float *values, int count,
                       float scale, float *gradient);
    /* Updates row, m and v, each [n] with n a multiple of 16. */
    void (*adam)(int n, pv_siren_adam step, const float *gradient, float *m, float *v, float *row);
} pv_siren_kernels;

PV_ISA_DECLARE(pv_siren_kernels);

#endif
