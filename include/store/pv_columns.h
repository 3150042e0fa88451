/* Columns of numbers in an HDF5 file of their own, each rank writing its rows. */
#ifndef PV_COLUMNS_H
#define PV_COLUMNS_H

#include "parallel/pv_comm.h"

#include <hdf5.h>

/* A dataset [rows] or, with a width, [rows][width], of which this rank has rows [first, first + count). */
typedef struct pv_column {
    const char *name; /* "/label" */
    hid_t type;       /* a native one */
    int64_t width;    /* 0: the dataset has one dimension */
    int64_t rows, first, count;
    const void *data;
} pv_column;

/* Writes a file of `columns`, the same on all ranks but for what they hold: aside, then renamed.  `kind`
 * becomes its attribute polyview_kind.
 * Collective.  Errors: PV_ERR_IO (disk full, ...), PV_ERR_HDF5 (path named), agreed; nothing is left
 * behind. */
pv_status pv_columns_write(const pv_comm *comm, const char *path, const char *kind, const pv_column *columns,
                           int count);

#endif
