/* Which file holds which rows of an open store, its own or shards named in /shards, and access to them. */
#ifndef PV_SHARDS_H
#define PV_SHARDS_H

#include "pv_store_columns.h"
#include "pv_store_look.h"

#include <limits.h>

enum { SHARDS_MAX = 4096, SHARD_NAME_BYTES = 256 };

/* A box of rows: views first_view .., objects first_object ... */
typedef struct store_box {
    int64_t first_view, views, first_object, objects;
} store_box;

/* An entry of /shards. */
typedef struct shard_entry {
    char name[SHARD_NAME_BYTES]; /* of the file, relative to the master's directory */
    store_box box;
} shard_entry;

/* The HDF5 compound type of shard_entry; the caller closes it. */
hid_t shard_entry_type(void);

/* One file's rows. */
typedef struct shard {
    store_box box;
    char *name; /* as in shard_entry; NULL: the rows are in the store's own file */
    store_file own; /* open where it has a name */
    const store_file *file;
    hid_t columns[ROW_COLUMNS];
} shard;

/* All rows of a store; a store in one file has one shard without a name. */
typedef struct shards {
    const char *path; /* of the store; borrowed */
    shard *all;
    int count;
    bool sync; /* rows are brought to disk before their status is written */
} shards;

/* The path of a file named relative to the directory of `path`; "", which no file has, if it is too long. */
void shards_beside(const char *path, const char *name, char out[PATH_MAX]);

/* Finds the shards of a store whose file is open, and sets the shape's views and objects by them.
 * Owner: shards_close, whatever is returned.  Local.  Errors: PV_ERR_DATA, PV_ERR_NOMEM. */
pv_status shards_find(hid_t file, const char *path, shards *found, store_shape *shape);
/* Opens files and columns; `own` is the store's file.  Collective.  Errors: as pv_store_open, agreed. */
pv_status shards_open(const pv_comm *comm, const store_file *own, const store_shape *shape, bool writing,
                      const pv_storage_opts *storage, shards *found);
/* Collective where files are open.  Safe on a zeroed one.  Errors: as store_file_close. */
pv_status shards_close(const pv_comm *comm, shards *found);

/* `count` objects from `first` of a view.  Independent of other ranks. */
pv_status shards_read(const shards *from, const store_shape *shape, store_column column, int64_t view,
                      int64_t first, int64_t count, void *data);
/* Writes data[column] of the columns that are not NULL; the status last, when the others are on disk.
 * Errors: PV_ERR_HDF5 (disk full, ...), PV_ERR_IO (cannot be brought to disk). */
pv_status shards_write(const shards *to, const store_shape *shape, int64_t view, int64_t first, int64_t count,
                       const void *const data[ROW_COLUMNS]);

#endif
