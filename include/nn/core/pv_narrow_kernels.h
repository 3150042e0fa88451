/* Products with operands of bfloat16 and sums of float32 (simd/pv_amx.h), one table an instruction set. */
#ifndef PV_NARROW_KERNELS_H
#define PV_NARROW_KERNELS_H

#include "nn/core/pv_nn_kernels.h"

/* pv_matrix_kernels whose products round their operands to bfloat16 as they read them, but for small ones,
 * which gain nothing and are those of floats.  Element (i, p) of an a has to have a row or a step of 1.  In
 * plain arithmetic, or by the processor's own squares (pv_cpu_multiplies_squares), with the same bits.  A
 * build of doubles has none: all is NULL. */
typedef struct pv_narrow_kernels {
    pv_matrix_kernels plain, own;
    /* Products of the processor's own squares, these and others, come between the two, which are not free. */
    void (*begin)(void);
    void (*end)(void);
} pv_narrow_kernels;

PV_ISA_DECLARE(pv_narrow_kernels);

#endif
