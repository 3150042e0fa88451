/* Files that appear whole: written under a temporary name (<path>.part), brought to disk, then renamed. */
#ifndef PV_FILE_H
#define PV_FILE_H

#include "base/pv_status.h"

#include <stdint.h>

/* The temporary name; owned by the caller, NULL after pv_fail(PV_ERR_NOMEM).  Local. */
char *pv_file_part(const char *path);

/* Sets disk space aside for the first `bytes` of the file `part`, which is made if there is none: a disk that
 * is too full is known now, not when the space is used.  Where the file system cannot, compares with what is
 * free. Local.  Errors: PV_ERR_IO, with `path` named and, on a full disk, what it takes and what is free;
 * PV_STOPPED. */
pv_status pv_file_reserve(const char *part, const char *path, int64_t bytes);

/* Brings `part` to disk, gives it its name, and brings that to disk too.  Local.  Errors: PV_ERR_IO (path
 * named). */
pv_status pv_file_publish(const char *part, const char *path);

/* Makes the file at `path`, or the one that a link there leads to, hold exactly these bytes; on failure an
 * earlier file of the name is left as it was.  Of the earlier ones `keep` - 1 stay as <path>.1 (the last),
 * .2, ...: they grow older when the new one is on disk.
 * Local.  Errors: PV_ERR_IO (path named), PV_ERR_NOMEM. */
pv_status pv_file_replace(const char *path, int64_t keep, const void *data, int64_t bytes);

/* The name of an earlier file that was kept, <path>.<age>, age 0 being `path` itself; owned by the caller,
 * NULL after pv_fail(PV_ERR_NOMEM).  Local. */
char *pv_file_kept(const char *path, int64_t age);

/* Bytes free to this user on the disk that holds `path`, -1 if unknown.  Local. */
int64_t pv_file_free_space(const char *path);

#endif
