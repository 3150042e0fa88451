/* What a new file of a store says of its objects, written by all ranks. */
#ifndef PV_STORE_OBJECTS_H
#define PV_STORE_OBJECTS_H

#include "pv_store_recipe.h"

/* Objects whose columns one write carries: bounds the memory whatever the number of objects. */
enum { STORE_OBJECT_BLOCK = 1 << 18 };

/* Writes the columns of objects of an open file whose objects are no more than a block: of the store's
 * objects from `first` on.  Local.  Errors: PV_ERR_HDF5, PV_ERR_NOMEM, those of the signal. */
pv_status store_write_few(const store_recipe *recipe, hid_t file, const char *path, const store_shape *shape,
                          int64_t first);

/* Likewise of a file of any number, which is laid out and closed, each rank those of a share.  Brings to disk
 * what other nodes than rank 0's write, and of that node all but the last.
 * Collective.  Errors: PV_STOPPED, PV_ERR_IO, as above, agreed. */
pv_status store_write_objects(const pv_comm *comm, const store_recipe *recipe, const char *path,
                              const store_shape *shape, int64_t first, store_making *making);

#endif
