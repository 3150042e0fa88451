#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void *pv_alloc(int64_t n, size_t size)
{
    size_t bytes;
    if (n < 0 || __builtin_mul_overflow((size_t)n, size, &bytes) || bytes > SIZE_MAX - PV_ALIGN) {
        pv_fail(PV_ERR_NOMEM, "cannot allocate %lld elements of %zu bytes: the size overflows", (long long)n,
                size);
        return NULL;
    }
    const size_t rounded = (bytes + PV_ALIGN) / PV_ALIGN * PV_ALIGN;
    void *memory = aligned_alloc(PV_ALIGN, rounded);
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
