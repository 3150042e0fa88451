/* Small helpers around HDF5 that turn its failures into pv_status with a message. */
#ifndef PV_H5_H
#define PV_H5_H

#include "parallel/pv_comm.h"
#include "base/pv_status.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

/* Records "<what> '<where>': <HDF5's own innermost words>" as PV_ERR_HDF5.  Local. */
pv_status pv_h5_fail(const char *what, const char *where);
/* Likewise as another status: PV_ERR_DATA where the file is at fault. */
pv_status pv_h5_fail_as(pv_status status, const char *what, const char *where);

/* Called once at start: HDF5 prints nothing, locks no file (its locks need flock, which shared file systems
 * may lack, and parallel access has none; pv_lock.h guards a store), and follows no link out of a file.
 * Local. */
void pv_h5_begin(void);

/* Reads MPI-IO hints "key=value key=value ..."; MPI_INFO_NULL for none, else the caller frees *info.
 * Local.  Errors: PV_ERR_CONFIG (the word is named). */
pv_status pv_h5_hints(const char *text, MPI_Info *info);

/* Opens a file on all ranks of comm, once each has shown that it can.  *file is -1 on failure.
 * Collective.  Errors: PV_ERR_IO, PV_ERR_HDF5 (path named), PV_ERR_CONFIG (hints), agreed. */
pv_status pv_h5_open(const pv_comm *comm, const char *path, bool writing, const char *hints, hid_t *file);

/* Files cannot be closed any more once a rank has failed to write: a closing that flushes fails again, in the
 * process's end too, and leaves the ranks where it does not fail waiting.  They stay open then, and the job
 * must end by MPI_Abort when all has been said.
 * Closes a file on all ranks, unless so.  Collective.  Errors: PV_ERR_HDF5 of this rank; that of a failed
 * write keeps its message. */
pv_status pv_h5_close(const pv_comm *comm, hid_t file, const char *path);
/* Likewise a file that this rank has opened alone.  Local. */
pv_status pv_h5_close_alone(hid_t file, const char *path);
/* A write has failed, or a file is not what it was.  Local. */
void pv_h5_give_up(void);
/* Whether some rank has given up.  Collective. */
bool pv_h5_given_up(const pv_comm *comm);

/* Whether an errno says that a file could not be read, whatever is in it.  Local. */
bool pv_h5_cannot_read(int cause);

/* What seems damaged may be what could not be read: `status`, or PV_ERR_IO for PV_ERR_DATA where errno says
 * so of `path`.  Set errno to 0 before reading.  Local. */
pv_status pv_h5_or_unreadable(pv_status status, const char *path);

/* What a file of ours says it is: the attributes polyview_kind and polyview_version.
 * Errors of the check: PV_ERR_DATA (path named) when it is of another kind or version, or says neither. */
pv_status pv_h5_write_kind(hid_t file, const char *kind, int version);
pv_status pv_h5_check_kind(hid_t file, const char *path, const char *kind, int version);

/* Attributes of an object: UTF-8 strings of fixed length, and 64-bit integers.
 * Collective over the file's communicator when it was opened for parallel access. */
pv_status pv_h5_write_text(hid_t object, const char *name, const char *text);
pv_status pv_h5_write_int(hid_t object, const char *name, int64_t value);
pv_status pv_h5_write_real(hid_t object, const char *name, double value);
/* Owner of *text: the caller.  Fixed- and variable-length strings are read.  Errors: PV_ERR_DATA if it is
 * missing. */
pv_status pv_h5_read_text(hid_t object, const char *name, char **text);
pv_status pv_h5_read_int(hid_t object, const char *name, int64_t *value);
pv_status pv_h5_read_real(hid_t object, const char *name, double *value);

/* Creates a contiguous dataset whose space is allocated now; nothing is written: what a new file holds reads
 * as zeros. */
pv_status pv_h5_create(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t *out);

/* Whether the data of a dataset lies in its own file: a crafted one may name any other, a pipe too. */
bool pv_h5_is_own(hid_t dataset);
/* The rank of a dataset; `dims` are its dimensions, zeros if there are none or more than `most`. */
int pv_h5_dims(hid_t dataset, int most, hsize_t *dims);

/* Writes or reads the box [start, start + count) of a dataset, independently of other ranks.  `name` is for
 * messages. A count of 0 in any dimension is a no-op. */
pv_status pv_h5_write_box(hid_t dataset, const char *name, hid_t type, int rank, const hsize_t *start,
                          const hsize_t *count, const void *data);
pv_status pv_h5_read_box(hid_t dataset, const char *name, hid_t type, int rank, const hsize_t *start,
                         const hsize_t *count, void *data);

#endif
