/* IDX files, the format of the MNIST family: a big-endian header (two zero bytes, the type of an element, the
 * number of dimensions, one 32-bit size a dimension), then the elements in row-major order.  Plain or gzip:
 * the content decides, not the name.  Knows nothing of MPI. */
#ifndef PV_IDX_H
#define PV_IDX_H

#include "base/pv_status.h"

#include <stdbool.h>
#include <stdint.h>

enum { PV_IDX_MAX_SIDE = 4096 /* height and width of an image, in pixels; numbers of a label */ };

typedef enum pv_idx_kind {
    PV_IDX_LABELS, /* whole numbers [count] or [count][width] */
    PV_IDX_IMAGES  /* numbers of any type [count][height][width] */
} pv_idx_kind;

/* What a header says; an item is a label of 1 x width numbers or an image. */
typedef struct pv_idx_dims {
    int64_t count;
    int height, width;
    bool bytes; /* the elements are unsigned bytes */
    bool whole; /* they are of a type of whole numbers */
} pv_idx_dims;

typedef struct pv_idx pv_idx;

/* Takes item `item`, [height][width] numbers.  A failure ends the reading. */
typedef pv_status pv_idx_take(void *context, int64_t item, const double *numbers);

/* Opens a file and checks its header: magic, type, number of dimensions, sizes (not zero, sides at most
 * PV_IDX_MAX_SIDE), and that the file is large enough for what the header declares, so that a caller may
 * allocate by `dims` (a gzip file expands at most 1032-fold).
 * Owner    pv_idx_close
 * Local.   Errors: PV_ERR_IO (no such file, not a regular file, unreadable), PV_ERR_DATA (what was found and
 * expected), PV_ERR_NOMEM; every message names the file. */
pv_status pv_idx_open(const char *path, pv_idx_kind kind, pv_idx **out, pv_idx_dims *dims);

/* Reads the rest of the file once, gives every item to `take` in order, and checks all of the file:
 * truncation, gzip structure and CRC, elements behind the last.  What follows a whole gzip stream is padding.
 * Call it once.  Local.   Errors: as pv_idx_open, and those of `take`. */
pv_status pv_idx_read(pv_idx *idx, pv_idx_take *take, void *context);

/* For messages about items. */
const char *pv_idx_path(const pv_idx *idx);

/* NULL is a no-op. */
void pv_idx_close(pv_idx *idx);

#endif
