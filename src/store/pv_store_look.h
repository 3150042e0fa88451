/* A file of an open store: opened on all ranks after a look at it, and watched while it is written to. */
#ifndef PV_STORE_LOOK_H
#define PV_STORE_LOOK_H

#include "store/pv_storage_opts.h"
#include "parallel/pv_comm.h"

#include <hdf5.h>

typedef struct store_file {
    hid_t id;      /* -1: not open */
    int fd;        /* while it is written to: a descriptor of each rank's own; else -1 */
    int64_t bytes; /* its length then */
} store_file;

/* Opens a file, once it is clear that it can be: what is wrong with it is said by a rank that looked alone.
 * Collective.  Errors: PV_ERR_IO (another program writes it, ...), PV_ERR_DATA, PV_ERR_HDF5, agreed. */
pv_status store_file_open(const pv_comm *comm, const char *path, bool writing, const pv_storage_opts *storage,
                          store_file *file);
/* Keeps programs that lock what they write through HDF5 from a file, as long as *fd is open: -1 after a
 * failure.  Local.  Errors: PV_ERR_IO (another program writes it). */
pv_status store_file_hold(const char *path, int *fd);
/* Closes what is open of it, but for a file that is not as it was.  Collective.  Errors: as pv_h5_close. */
pv_status store_file_close(const pv_comm *comm, const char *path, store_file *file);
/* Whether the file is as long as it was: else another program has written to it, and HDF5 would cut it off.
 * Local.  Errors: PV_ERR_IO; files cannot be closed any more (pv_h5.h). */
pv_status store_file_check(const store_file *file, const char *path);
/* Brings what was written to disk, with what other ranks of this node have written.  Local.  Errors:
 * PV_ERR_IO. */
pv_status store_file_sync(const store_file *file, const char *path);

#endif
