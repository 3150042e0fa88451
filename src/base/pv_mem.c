/* Allocations, large ones on large pages. */
#include "base/pv_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

float *pv_part(float *block, int64_t *used, int64_t n)
{
    enum { LINE = PV_ALIGN / (int)sizeof(float) };
    float *part = block ? block + *used : NULL;
    *used += (n + LINE - 1) / LINE * LINE;
    return part;
}

void pv_free_each(size_t count, void *const *pointers)
{
    for (size_t i = 0; i < count; i++)
        free(pointers[i]);
}

/* Room for one more block. */
static bool grow(pv_memory *memory)
{
    enum { FIRST = 16 };
    const int capacity = memory->capacity ? 2 * memory->capacity : FIRST;
    if (memory->count < memory->capacity) return true;
    void **blocks = realloc(memory->blocks, sizeof *blocks * (size_t)capacity);
    if (!blocks) {
        pv_fail(PV_ERR_NOMEM, "cannot allocate a list of %d blocks", capacity);
        return false;
    }
    memory->blocks = blocks;
    memory->capacity = capacity;
    return true;
}

void *pv_take(pv_memory *memory, int64_t n, size_t size)
{
    void *block = !memory->failed && grow(memory) ? pv_alloc(n, size) : NULL;
    if (!block) {
        memory->failed = true;
        return NULL;
    }
    memory->blocks[memory->count++] = block;
    memory->bytes += n * (int64_t)size;
    return block;
}

bool pv_take_each(pv_memory *memory, int64_t n, size_t size, size_t count, void *const *addresses)
{
    for (size_t i = 0; i < count; i++) {
        void *const block = pv_take(memory, n, size);
        memcpy(addresses[i], &block, sizeof block);
    }
    return !memory->failed;
}

pv_status pv_memory_status(const pv_memory *memory)
{
    if (!memory->failed) return PV_OK;
    return memory->what ? pv_fail(PV_ERR_NOMEM, "no memory for %s", memory->what) : PV_ERR_NOMEM;
}

void pv_memory_free(pv_memory *memory)
{
    pv_free_each((size_t)memory->count, memory->blocks);
    free(memory->blocks);
    *memory = (pv_memory){0};
}

char *pv_strdup(const char *text)
{
    const size_t length = strlen(text);
    char *copy = pv_alloc((int64_t)length + 1, 1);
    if (copy) memcpy(copy, text, length + 1);
    return copy;
}

/* Not from getrusage(), whose figure a program takes over from what it was started by. */
int64_t pv_peak_memory(void)
{
    char line[256];
    long long kib = 0;
    FILE *const status = fopen("/proc/self/status", "r");
    while (status && kib == 0 && fgets(line, sizeof line, status))
        sscanf(line, "VmHWM: %lld", &kib);
    if (status) fclose(status);
    return (int64_t)kib * 1024;
}
