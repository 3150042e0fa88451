/* Memory: allocations of n elements, overflow-checked, aligned for vector loads, zeroed. */
#ifndef PV_MEM_H
#define PV_MEM_H

#include "base/pv_status.h"

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

/* A copy of a string, owned by the caller; NULL as pv_alloc(). */
char *pv_strdup(const char *text) __attribute__((malloc));

/* Peak resident memory of this process so far, in bytes; 0 if unknown. */
int64_t pv_peak_memory(void);

#endif
