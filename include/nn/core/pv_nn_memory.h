/* The memory of a model: taken piece by piece while it is built, given back at once. */
#ifndef PV_NN_MEMORY_H
#define PV_NN_MEMORY_H

#include "base/pv_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pv_nn_memory {
    void **blocks;
    int count, capacity;
    int64_t bytes;
    bool failed; /* sticky: builders take many pieces and check once, through pv_nn_memory_status */
} pv_nn_memory;

/* n zeroed elements, aligned for vector loads; NULL once anything failed.  Owner: the memory. */
void *pv_nn_take(pv_nn_memory *memory, int64_t n, size_t size);

/* PV_OK or PV_ERR_NOMEM. */
pv_status pv_nn_memory_status(const pv_nn_memory *memory);

void pv_nn_memory_free(pv_nn_memory *memory);

#endif
