/* The dense loops of evaluation and fitting, compiled once for every instruction set.  Private to the room
 * and its tests. */
#ifndef PV_INR_KERNELS_H
#define PV_INR_KERNELS_H

#include "base/pv_cpu.h"
#include "pv_inr_net.h"

/* One Adam step in numbers: p -= rate * m / (root * sqrt(v) + eps). */
typedef struct pv_inr_adam {
    float rate; /* lr / (1 - beta1^t) */
    float root; /* 1 / sqrt(1 - beta2^t) */
} pv_inr_adam;

/* Rows and gradients are in the order of the stored row.  All buffers of samples are tiles as
 * pv_inr_net_lay_out makes them; `count` is how many samples of the tile are real. */
typedef struct pv_inr_kernels {
    /* By pv_activation_loop, but PV_LOOP_OWN: value[i] and slope[i] of z[i]; n is a multiple of 16; value may
     * be z.  The sine takes half turns: sin(pi z) and pi cos(pi z), for |z| < 2^21. */
    void (*activate[PV_LOOP_GAUSS + 1])(int n, const float *z, float *value, float *slope);
    /* Fills the scaled weights of `net` from row [P]. */
    void (*load)(pv_inr_net *net, const float *row);
    /* Leaves the output of one tile in net->output. */
    void (*forward)(const pv_inr_net *net, const float *coords, int count);
    /* Adds `scale` / 2 times the gradient of one tile's summed squared error to gradient [P]; returns the
     * sum. */
    double (*gradient)(const pv_inr_net *net, const float *coords, const float *values, int count,
                       float scale, float *gradient);
    /* Whether `gradient` makes the first layer's sines of those of a grid's parts, where phases are small.
     * NULL: never. */
    bool (*is_separable)(const pv_inr_net *net);
    /* Updates row, m and v, each [P], and loads the row. */
    void (*adam)(pv_inr_net *net, pv_inr_adam step, const float *gradient, float *m, float *v, float *row);
} pv_inr_kernels;

PV_ISA_DECLARE(pv_inr_kernels);

#endif
