/* The blocks of memory that a model takes while it is built. */
#include "nn/core/pv_nn_memory.h"
#include "base/pv_mem.h"

#include <stdlib.h>

void *pv_nn_take(pv_nn_memory *memory, int64_t n, size_t size)
{
    if (memory->failed) return NULL;
    if (memory->count == memory->capacity) {
        const int capacity = memory->capacity ? 2 * memory->capacity : 64;
        void **blocks = realloc(memory->blocks, sizeof *blocks * (size_t)capacity);
        if (!blocks) {
            memory->failed = true;
            return NULL;
        }
        memory->blocks = blocks;
        memory->capacity = capacity;
    }
    void *block = pv_alloc(n, size);
    if (!block) {
        memory->failed = true;
        return NULL;
    }
    memory->blocks[memory->count++] = block;
    memory->bytes += n * (int64_t)size;
    return block;
}

pv_status pv_nn_memory_status(const pv_nn_memory *memory)
{
    return memory->failed ? pv_fail(PV_ERR_NOMEM, "no memory for the model: use a smaller batch or model")
                          : PV_OK;
}

void pv_nn_memory_free(pv_nn_memory *memory)
{
    for (int i = 0; i < memory->count; i++)
        free(memory->blocks[i]);
    free(memory->blocks);
    *memory = (pv_nn_memory){0};
}
