/* One writer a store, or a model that is trained: the lock file <path>.lock, which says who holds it and
 * shows by its age that they live.
 *
 * The file is made by link(), which is atomic on shared file systems too, and needs no flock.  While it is
 * held, a thread of rank 0 renews its time every few seconds, whatever the job is doing; the thread calls
 * neither MPI nor HDF5.  A lock is dead when its process is gone (seen from the same host), or when nobody
 * has renewed it for PV_LOCK_LIMIT_S; it is taken over with a warning.  A lock of another host is waited for
 * as long as nobody renews it: its age alone does not say that its holder is dead, as clocks differ. */
#ifndef PV_LOCK_H
#define PV_LOCK_H

#include "parallel/pv_comm.h"

#define PV_LOCK_BEAT_S   5      /* how often the holder renews */
#define PV_LOCK_LIMIT_S  120.0  /* how old a lock of another host may be */
#define PV_LOCK_WATCH_S  15.0   /* how long one as old is watched: its holder's clock may be behind */
#define PV_LOCK_CLOCKS_S 3600.0 /* clocks of hosts differ by less */

typedef struct pv_lock pv_lock;

/* Takes the lock of the file `path` for the whole job; rank 0 does the work.
 * Owner    pv_lock_release
 * Collective.  Errors: PV_ERR_IO, agreed: somebody holds it (host, process, job and since when are named), or
 * the directory cannot be written; PV_STOPPED while waiting; as pv_comm_check_launch. */
pv_status pv_lock_take(const pv_comm *comm, const char *path, pv_lock **out);

/* Whether every rank sees the lock of `path` that rank 0 holds: a path may be one file here and another
 * there, on disks of the nodes' own.  Collective.  Errors: PV_ERR_IO, agreed. */
pv_status pv_lock_check_shared(const pv_comm *comm, const char *path);

/* Whether the lock was still ours when it was last renewed; cheap enough for every few milliseconds.  PV_OK
 * on NULL, and on ranks other than 0.  Local.  Errors: PV_ERR_IO when it is not: another run took us for
 * dead, or the directory is gone; stop writing. */
pv_status pv_lock_check(pv_lock *lock);

/* Likewise, as of now: what was written under the lock is in files of their names only if this is PV_OK.
 * Collective.  Errors: PV_ERR_IO, agreed. */
pv_status pv_lock_confirm(const pv_comm *comm, pv_lock *lock);

/* Gives the lock back.  Local; NULL is a no-op. */
void pv_lock_release(pv_lock *lock);

#endif
