/* Memory: allocations of n elements, overflow-checked, aligned for vector loads, zeroed. */
#ifndef PV_MEM_H
#define PV_MEM_H

#include "base/pv_status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PV_ALIGN = 64 }; /* bytes: a cache line and the widest vector */

/* Owner: the caller, who frees with free().  NULL after pv_fail(PV_ERR_NOMEM) when there is no memory or n *
 * size overflows; n == 0 gives a valid pointer.  Local. */
void *pv_alloc(int64_t n, size_t size) __attribute__((malloc));

/* Allocates into `pointer`; on failure leaves through the label `done` with st = PV_ERR_NOMEM. */
#define PV_ALLOC(pointer, n)                                                                                 \
    do {                                                                                                     \
        (pointer) = pv_alloc((int64_t)(n), sizeof *(pointer));                                               \
        if (!(pointer)) {                                                                                    \
            st = PV_ERR_NOMEM;                                                                               \
            goto done;                                                                                       \
        }                                                                                                    \
    } while (0)

/* Frees each of the pointers. */
#define PV_FREE(...)                                                                                         \
    pv_free_each(sizeof((void *const[]){__VA_ARGS__}) / sizeof(void *), (void *const[]){__VA_ARGS__})
void pv_free_each(size_t count, void *const *pointers);

/* A part of a block that lies in whole cache lines: the next n floats of `block`, after the `used` ones,
 * which it counts on.  NULL while there is no block, so that one walk over all parts counts, and lays them
 * out. */
float *pv_part(float *block, int64_t *used, int64_t n);

/* Blocks that are given back together: the arrays of a struct, all that is taken while a model is built. */
typedef struct pv_memory {
    void **blocks;
    int count, capacity;
    int64_t bytes;
    bool failed;      /* sticky: who takes many blocks looks once, at pv_memory_status */
    const char *what; /* that the message of a failure names, with what to do; NULL: pv_alloc's has to do */
} pv_memory;

/* As pv_alloc; NULL once anything failed.  Owner: the memory. */
void *pv_take(pv_memory *memory, int64_t n, size_t size);
/* Takes n elements for each of the pointers, of one type, whose addresses are given.  False: as NULL. */
#define PV_TAKE(memory, n, ...)                                                                              \
    pv_take_each((memory), (int64_t)(n), sizeof **PV_FIRST(__VA_ARGS__, 0),                                  \
                 sizeof((__typeof__(PV_FIRST(__VA_ARGS__, 0))[]){__VA_ARGS__}) / sizeof(void *),             \
                 (void *const[]){__VA_ARGS__})
#define PV_FIRST(first, ...) first
bool pv_take_each(pv_memory *memory, int64_t n, size_t size, size_t count, void *const *addresses);

/* PV_OK or PV_ERR_NOMEM. */
pv_status pv_memory_status(const pv_memory *memory);
/* Safe on a zeroed memory. */
void pv_memory_free(pv_memory *memory);

/* A copy of a string, owned by the caller; NULL as pv_alloc(). */
char *pv_strdup(const char *text) __attribute__((malloc));

/* Bytes that this process and those that share its limits may take together: the machine's memory, or what a
 * control group (a container, a batch job) allows.  Local. */
int64_t pv_memory_limit(void);

/* Peak resident memory of this process so far, in bytes; 0 if unknown. */
int64_t pv_peak_memory(void);

#endif
