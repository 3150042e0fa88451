/* What a path that a user wrote really is.  Two names of one file resolve to one path, which is what is
 * locked, extended, replaced and named in messages; only hard links, names of equal right, stay what they
 * are. */
#ifndef PV_PATH_H
#define PV_PATH_H

#include "base/pv_status.h"

/* Makes a path absolute, with the values of a leading "~/", of $NAME and of ${NAME} in it, as a shell has
 * them; "$$" is a dollar sign.  A path that exists as it is written is taken as it is written.
 * Owner    the caller frees *out; NULL on failure
 * Local.   Errors: PV_ERR_CONFIG (a variable that is not set, "~name", a brace that is not closed), PV_ERR_IO
 * (no working directory), PV_ERR_NOMEM */
pv_status pv_path_absolute(const char *path, char **out);

/* Likewise, and follows every link, the last ones also where nothing stands at their end: a file that is made
 * there is made where the link points, and the link stays.
 * Owner    the caller frees *out; NULL on failure
 * Local.   Errors: as pv_path_absolute; PV_ERR_IO (a directory that does not exist is named; links in a
 * circle) */
pv_status pv_path_resolve(const char *path, char **out);

/* The same without variables: a path of the program's own, which is taken as it stands. */
pv_status pv_path_follow(const char *path, char **out);

#endif
