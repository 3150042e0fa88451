/* Allocations, large ones on large pages. */
#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* Blocks that are swept over gain from large pages: fewer translations, and prefetchers stop at the end of a
 * page. */
enum { LARGE_PAGE = 2 << 20, LARGE = 2 * LARGE_PAGE };

static void *reserve(size_t bytes)
{
    if (bytes < LARGE) return aligned_alloc(PV_ALIGN, bytes);
    void *memory = aligned_alloc(LARGE_PAGE, (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE);
    if (memory) madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: without it, small pages serve */
    return memory;
}

void *pv_alloc(int64_t n, size_t size)
{
    size_t bytes;
    if (n < 0 || __builtin_mul_overflow((size_t)n, size, &bytes) || bytes > SIZE_MAX - LARGE) {
        pv_fail(PV_ERR_NOMEM, "cannot allocate %lld elements of %zu bytes: the size overflows", (long long)n,
                size);
        return NULL;
    }
    const size_t rounded = (bytes + PV_ALIGN) / PV_ALIGN * PV_ALIGN;
    void *memory = reserve(rounded);
    if (!memory) {
        pv_fail(PV_ERR_NOMEM, "cannot allocate %zu bytes of memory", rounded);
        return NULL;
    }
    return memset(memory, 0, rounded);
}

char *pv_strdup(const char *text)
{
    const size_t length = strlen(text);
    char *copy = pv_alloc((int64_t)length + 1, 1);
    if (copy) memcpy(copy, text, length + 1);
    return copy;
}

int64_t pv_peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}
