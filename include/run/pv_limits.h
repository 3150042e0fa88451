/* What a core can do at most of the two things a fit is made of: multiply-adds, and activations with slopes.
 * Measured, not looked up: clocks, virtual machines and neighbours change both. */
#ifndef PV_LIMITS_H
#define PV_LIMITS_H

#include "inr/pv_activation.h"
#include "inr/pv_inr_opts.h"

typedef struct pv_limits {
    double fma_gflops;    /* multiply-adds in registers, two operations each, 10^9 a second */
    double narrow_gflops; /* likewise with operands of the precision that was asked for */
    double activation_ns; /* of one activation and its slope in a vector loop: the cheaper of the two below */
    double activation_own_ns; /* by the loop of the fit kernel, data in the first cache */
    double sincos_libmvec_ns; /* of a sine by glibc's libmvec (sinf and cosf, 4 ulp); NaN: there is none */
} pv_limits;

/* Measures for at most about `seconds` of this thread, on this core, with the instruction set of
 * pv_cpu_isa().  The figures are medians over short batches, in seconds of the thread: moments lent to other
 * processes do not count, a slower clock does.
 * NULL for `activation`: multiply-adds alone.   Local. */
void pv_limits_measure(double seconds, pv_precision precision, const pv_activation *activation,
                       pv_limits *limits);

/* The seconds that `flops` operations of multiply-adds, `narrow` of them with operands of the precision, and
 * `activations` take at the limits, one after the other.  Local. */
double pv_limits_seconds(const pv_limits *limits, double flops, double narrow, double activations);

#endif
