/* Architectures of INRs for tests, by the widths of their layers. */
#ifndef PV_TEST_ARCH_H
#define PV_TEST_ARCH_H

#include "inr/pv_arch.h"

#include <string.h>

/* Sines of w0 = 30 with matrices dims[0]..dims[layers].  Good until the next call. */
static inline const pv_arch *pv_test_arch(const int *dims, int layers)
{
    static pv_arch arch;
    arch = (pv_arch){.layers = layers, .w0 = 30};
    memcpy(arch.dims, dims, sizeof *dims * (size_t)(layers + 1));
    return &arch;
}

#endif
