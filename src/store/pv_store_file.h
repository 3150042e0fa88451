/* What the files of the store room share: names, types and the open file. */
#ifndef PV_STORE_FILE_H
#define PV_STORE_FILE_H

#include "store/pv_store.h"

#include <hdf5.h>

enum { PV_STORE_VERSION = 1 };

/* The columns of a store, in the order they are created: of every row, then of every object. */
typedef enum store_column {
    COLUMN_PARAMS,
    COLUMN_STATUS,
    COLUMN_CHECKSUM,
    COLUMN_PSNR,
    COLUMN_STEPS,
    COLUMN_LABEL,
    COLUMN_SPLIT,
    COLUMN_SOURCE,
    COLUMNS,
    ROW_COLUMNS = COLUMN_LABEL
} store_column;

/* [view][object][P], [view][object], [object] */
enum { STORE_PARAMS_RANK = 3, STORE_VIEW_RANK = 2, STORE_OBJECT_RANK = 1 };

const char *store_column_name(store_column column);
hid_t store_column_type(store_column column);
int store_column_rank(store_column column);
/* The dimensions of a column over so many views and objects; returns their number. */
int store_column_dims(store_column column, int64_t views, int64_t objects, int params,
                      hsize_t dims[STORE_PARAMS_RANK]);

/* A box of rows: views first_view .., objects first_object ... */
typedef struct store_box {
    int64_t first_view, views, first_object, objects;
} store_box;

/* One file's part of the rows. */
typedef struct store_piece {
    store_box box;
    char *
        name; /* of the shard file, relative to the master's directory; NULL: the rows are in the store's own file */
    hid_t file; /* -1: the store's own */
    hid_t columns[ROW_COLUMNS];
    int sync; /* a descriptor to bring the file's rows to disk with, -1 if that is not wanted */
} store_piece;

struct pv_store {
    const pv_comm *comm;
    hid_t file;
    hid_t columns[COLUMNS]; /* of objects; those of rows are in the pieces */
    hid_t target;           /* -1: there are no real targets */
    int targets;            /* of an object */
    store_piece *pieces;
    int piece_count;
    int64_t views, objects;
    int params, classes, height, width, channels;
    pv_arch arch;
    char *path, *arch_json, *signal_json, *config, *code_version, *instruction_set;
};

/* An entry of /shards. */
enum { SHARD_NAME_BYTES = 256 };
typedef struct shard_entry {
    char name[SHARD_NAME_BYTES];
    store_box box;
} shard_entry;
#define SHARDS_TABLE "/shards"

/* The HDF5 compound type of shard_entry; the caller closes it. */
hid_t shard_entry_type(void);

/* The path of a file named relative to the directory of `path`; the caller frees it, NULL after pv_fail. */
char *store_beside(const char *path, const char *name);

/* Finds the pieces of a store whose file is open and whose `params` are known: from /shards, or the file itself; sets
 * pieces, views and objects.  Local.  Errors: PV_ERR_DATA, PV_ERR_NOMEM. */
pv_status store_find_pieces(pv_store *store);
/* Opens their files and columns.  Collective; agreed.  Errors: as pv_store_open. */
pv_status store_open_pieces(pv_store *store, pv_store_mode mode, const pv_storage_opts *storage);
void store_close_pieces(pv_store *store);
/* Local: says clearly what is wrong with a path that cannot be opened as a store's file. */
pv_status store_look_at(const char *path, pv_store_mode mode);
/* Opens a column and checks its type and shape.  *out is -1 on failure. */
pv_status store_open_column(hid_t file, const char *path, store_column column, int64_t views, int64_t objects,
                            int params, hid_t *out);

/* Opens the real targets if there are some.  Local.  Errors: PV_ERR_DATA. */
pv_status store_open_targets(pv_store *store);

/* What a new file of a store holds beside rows: texts for its attributes, and where its objects come from. */
typedef struct store_recipe {
    const char *arch_json, *signal_json, *config, *code_version, *instruction_set;
    const pv_arch *arch;
    const pv_store *old;     /* objects below old->objects are copied from it; NULL for none */
    const pv_signal *signal; /* the others are the signal's first_new, first_new + 1, ... */
    int64_t first_new;
    const pv_storage_opts *storage;
} store_recipe;

/* Local, on rank 0: a whole file for the rows of a box, all missing, under the name `path`, which must not exist;
 * `is_shard`: it says that it is a part.  Errors: PV_ERR_IO, PV_ERR_HDF5; nothing is left behind. */
pv_status store_write_file(const store_recipe *recipe, const char *path, const store_box *box, bool is_shard);
/* The real targets of a box's objects, if the recipe has some; `file` is being made. */
pv_status store_write_targets(const store_recipe *recipe, hid_t file, const store_box *box);
/* As store_write_file, the master file over shards, which replaces a file of that name. */
pv_status store_write_master(const store_recipe *recipe, const char *path, const shard_entry *shards,
                             int count);

#endif
