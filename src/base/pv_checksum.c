/* Checksums by the kernels of the machine. */
#include "base/pv_checksum.h"
#include "pv_checksum_kernels.h"

void pv_checksum_rows(const void *rows, size_t bytes, int64_t count, uint64_t *checksums)
{
    PV_ISA_CHOOSE(pv_checksum_kernels)->checksums(rows, bytes, count, checksums);
}

uint64_t pv_checksum(const void *data, size_t bytes)
{
    uint64_t checksum;
    pv_checksum_rows(bytes > 0 ? data : "", bytes, 1, &checksum); /* nothing may have no address */
    return checksum;
}
