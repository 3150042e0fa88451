/* What others have added to a store's file. */
#ifndef PV_STORE_ADDITIONS_H
#define PV_STORE_ADDITIONS_H

#include "base/pv_status.h"

#include <hdf5.h>

/* Copies the attributes, groups and datasets of the file `path` that `file`, which is to take its place,
 * lacks.
 * Local.  Errors: PV_ERR_HDF5 (what cannot be copied is named). */
pv_status store_keep_additions(const char *path, hid_t file);

#endif
