/* The kernel behind pv_checksum.h, once for every instruction set. */
#ifndef PV_CHECKSUM_KERNELS_H
#define PV_CHECKSUM_KERNELS_H

#include "base/pv_cpu.h"

#include <stddef.h>
#include <stdint.h>

typedef struct pv_checksum_kernels {
    void (*checksums)(const char *rows, size_t bytes, int64_t count, uint64_t *out);
} pv_checksum_kernels;
PV_ISA_DECLARE(pv_checksum_kernels);

#endif
