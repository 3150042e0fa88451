/* The checksum of a row: XXH3-64, the same on every instruction set. */
#ifndef PV_CHECKSUM_H
#define PV_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* XXH3-64 (seed 0) of `bytes` bytes at `data`. */
uint64_t pv_checksum(const void *data, size_t bytes);

/* Those of `count` rows of `bytes` bytes each, one after the other. */
void pv_checksum_rows(const void *rows, size_t bytes, int64_t count, uint64_t *checksums);

#endif
