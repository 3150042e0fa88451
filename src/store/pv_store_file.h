/* What the files of the store room share: names, types and the open file. */
#ifndef PV_STORE_FILE_H
#define PV_STORE_FILE_H

#include "store/pv_store.h"

#include <hdf5.h>

enum { PV_STORE_VERSION = 1 };

/* The columns of a store, in the order they are created. */
typedef enum store_column {
    COLUMN_PARAMS,
    COLUMN_STATUS,
    COLUMN_CHECKSUM,
    COLUMN_PSNR,
    COLUMN_STEPS,
    COLUMN_LABEL,
    COLUMN_SPLIT,
    COLUMN_SOURCE,
    COLUMNS
} store_column;

/* [view][object][P], [view][object], [object] */
enum { STORE_PARAMS_RANK = 3, STORE_VIEW_RANK = 2, STORE_OBJECT_RANK = 1 };

const char *store_column_name(store_column column);
hid_t store_column_type(store_column column);
int store_column_rank(store_column column);

struct pv_store {
    const pv_comm *comm;
    hid_t file;
    hid_t columns[COLUMNS];
    int64_t views, objects;
    int params, classes, height, width, channels;
    pv_arch arch;
    char *path, *config, *signal_json;
};

#endif
