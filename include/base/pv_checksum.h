/* The checksum of a row: XXH3-64. */
#ifndef PV_CHECKSUM_H
#define PV_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 (seed 0) of `bytes` bytes at `data`. */
uint64_t pv_checksum(const void *data, size_t bytes);

#endif
