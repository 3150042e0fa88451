/* The columns of a store: their names, types and shapes, and reading and writing a run of their objects. */
#ifndef PV_STORE_COLUMNS_H
#define PV_STORE_COLUMNS_H

#include "base/pv_status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Of a store as this program writes and reads it. */
enum { STORE_VERSION = 1 };

/* In the order they are created: of every row, then of every object. */
typedef enum store_column {
    COLUMN_PARAMS,
    COLUMN_STATUS,
    COLUMN_CHECKSUM,
    COLUMN_PSNR,
    COLUMN_STEPS,
    COLUMN_IOU, /* this and the next only where the signal has held-out samples */
    COLUMN_SURFACE_ERROR,
    COLUMN_LABEL,
    COLUMN_SPLIT,
    COLUMN_SOURCE,
    COLUMN_DIGEST, /* stores of early versions lack it */
    COLUMN_TARGET, /* only where the signal has real targets */
    COLUMN_FRAME,  /* only where it has held-out samples */
    COLUMNS,
    ROW_COLUMNS = COLUMN_LABEL
} store_column;

/* Which shards hold which rows; here as its name is taken like a column's. */
#define SHARDS_TABLE "/shards"

/* The names of classes by label, only where the signal has them: [classes] strings of store_name_type, which
 * the caller closes. */
#define CLASS_NAMES_TABLE "/object/class_names"
hid_t store_name_type(void);

/* The attributes of the root that hold pv_store_texts. */
extern const char *const store_text_names[];

enum { STORE_MAX_RANK = 3 };

/* What is stored: /params is [views][objects][params], /object/target [objects][targets], /object/frame
 * [objects][frame]; without a frame nothing is judged by held-out samples. */
typedef struct store_shape {
    int64_t views, objects;
    int params, targets, frame;
} store_shape;

bool store_column_exists(int column, const store_shape *shape);
const char *store_column_name(store_column column);
hid_t store_column_type(store_column column);
/* The dimensions of a column; returns their number. */
int store_column_dims(store_column column, const store_shape *shape, hsize_t dims[STORE_MAX_RANK]);
/* Bytes of a column's entry for one object. */
size_t store_column_entry(store_column column, const store_shape *shape);

/* Opens a column and checks its type and shape.  *out is -1 on failure.  Errors: PV_ERR_DATA. */
pv_status store_column_open(hid_t file, const char *path, store_column column, const store_shape *shape,
                            hid_t *out);
/* Closes those that are open (>= 0). */
void store_columns_close(int count, hid_t columns[]);

/* `count` objects from `first` of a view, 0 for columns of objects.  Independent of other ranks. */
pv_status store_column_read(hid_t dataset, store_column column, const store_shape *shape, int64_t view,
                            int64_t first, int64_t count, void *data);
pv_status store_column_write(hid_t dataset, store_column column, const store_shape *shape, int64_t view,
                             int64_t first, int64_t count, const void *data);

#endif
