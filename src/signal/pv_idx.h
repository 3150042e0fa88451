/* IDX files, the format of the MNIST family: a big-endian header (two zero bytes, type 0x08 = unsigned byte,
 * number of dimensions, one 32-bit size a dimension), then the elements in row-major order.  Plain or gzip:
 * the content decides, not the name.  Knows nothing of MPI. */
#ifndef PV_IDX_H
#define PV_IDX_H

#include "base/pv_status.h"

#include <stdint.h>

enum {
    PV_IDX_MAX_SIDE = 4096, /* height and width of an image, in pixels */
    PV_IDX_CLASSES = 10,    /* labels of the MNIST family are 0..9 */
};

/* What a file must hold; the value is the number of dimensions in its header. */
typedef enum pv_idx_kind { PV_IDX_LABELS = 1, PV_IDX_IMAGES = 3 } pv_idx_kind;

/* The sizes in a header; a label is 1 x 1. */
typedef struct pv_idx_dims {
    int64_t count;     /* images or labels */
    int height, width; /* rows and columns of an image */
} pv_idx_dims;

/* Items first .. first + count - 1 of a file, and where they go: [count][height][width] bytes. */
typedef struct pv_idx_range {
    int64_t first, count;
    uint8_t *to;
} pv_idx_range;

typedef struct pv_idx pv_idx;

/* Opens a file and checks its header: magic, type, number of dimensions, sizes (not zero, sides at most
 * PV_IDX_MAX_SIDE), and that the file is large enough for what the header declares, so that a caller may
 * allocate by `dims` (a gzip file expands at most 1032-fold).
 * Owner    pv_idx_close
 * Local.   Errors: PV_ERR_IO (no such file, not a regular file, unreadable), PV_ERR_DATA (what was found and
 * expected), PV_ERR_NOMEM; every message names the file. */
pv_status pv_idx_open(const char *path, pv_idx_kind kind, pv_idx **out, pv_idx_dims *dims);

/* Reads the rest of the file once, in pieces of bounded size, into `ranges`[n] (any order, within the file),
 * and checks all of it: truncation, trailing bytes, gzip structure and CRC, labels below PV_IDX_CLASSES.
 * Call it once.  Local.   Errors: as pv_idx_open; the targets then hold part of the data. */
pv_status pv_idx_read(pv_idx *idx, const pv_idx_range *ranges, int n);

/* NULL is a no-op. */
void pv_idx_close(pv_idx *idx);

#endif
