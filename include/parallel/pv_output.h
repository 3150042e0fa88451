/* Outputs that a user has named take the place of earlier ones of their kind, and of nothing else: a slip of
 * the keyboard must not cost a store. */
#ifndef PV_OUTPUT_H
#define PV_OUTPUT_H

#include "parallel/pv_comm.h"

/* The kind of a picture; those of HDF5 files are what their attribute polyview_kind says. */
#define PV_OUTPUT_PNG "PNG picture"

/* Whether an output may be written at `path`: nothing is there, or an empty file, or no regular file, or a
 * file of one of `kinds`, a list that ends with NULL.  `key` is the option or the key that names the path.
 * Collective.  Errors: PV_ERR_USAGE (key and path named, and what is there), agreed. */
pv_status pv_output_check(const pv_comm *comm, const char *key, const char *path, const char *const *kinds);

#endif
