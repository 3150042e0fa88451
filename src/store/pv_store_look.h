/* A look at a file of a store before the ranks open it together. */
#ifndef PV_STORE_LOOK_H
#define PV_STORE_LOOK_H

#include "base/pv_status.h"

#include <stdbool.h>

/* Says clearly what is wrong with a path that cannot be opened as a file of a store.  On one rank a node: a
 * path that some nodes lack would leave the others waiting in MPI-IO.
 * Local.  Errors: PV_ERR_IO, PV_ERR_DATA. */
pv_status store_look_at(const char *path, bool writing);

#endif
