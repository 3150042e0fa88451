/* Reading and writing rows, whichever shards of a store have them. */
#ifndef PV_SHARD_ROWS_H
#define PV_SHARD_ROWS_H

#include "pv_shards.h"

/* `count` objects from `first` of a view.  Independent of other ranks. */
pv_status shards_read(const shards *from, const store_shape *shape, store_column column, int64_t view,
                      int64_t first, int64_t count, void *data);
/* Likewise writes data[column] of the columns that are not NULL; the status last, when the others are on
 * disk.
 * Errors: PV_ERR_HDF5 (disk full, ...), PV_ERR_IO (cannot be brought to disk). */
pv_status shards_write(const shards *to, const store_shape *shape, int64_t view, int64_t first, int64_t count,
                       const void *const data[ROW_COLUMNS]);

#endif
