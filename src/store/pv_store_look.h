/* Opening a file of a store on all ranks, after a look at it. */
#ifndef PV_STORE_LOOK_H
#define PV_STORE_LOOK_H

#include "store/pv_storage_opts.h"
#include "parallel/pv_comm.h"

#include <hdf5.h>

/* Opens a file, once it is clear that it can be: what is wrong with it is said by a rank that looked alone.
 * *file is -1 on failure.  Collective.  Errors: PV_ERR_IO, PV_ERR_DATA, PV_ERR_HDF5, agreed. */
pv_status store_file_open(const pv_comm *comm, const char *path, bool writing, const pv_storage_opts *storage,
                          hid_t *file);

#endif
