/* A file of an open store: the look before it is opened, the lock against other programs, the watch. */
#include "pv_store_look.h"
#include "pv_store_columns.h"
#include "base/pv_meter.h"
#include "parallel/pv_h5.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether all of a dataset's storage is there, whole.  The storage of a virtual one is not its own. */
static bool is_laid_out(hid_t dataset)
{
    H5D_space_status_t allocated = H5D_SPACE_STATUS_ERROR;
    const hid_t space = H5Dget_space(dataset), create = H5Dget_create_plist(dataset);
    const H5D_layout_t layout = H5Pget_layout(create);
    const bool empty = H5Sget_simple_extent_npoints(space) == 0;
    H5Dget_space_status(dataset, &allocated);
    H5Pclose(create);
    H5Sclose(space);
    return layout == H5D_VIRTUAL || layout == H5D_COMPACT ||
           (layout == H5D_CONTIGUOUS && (empty || allocated == H5D_SPACE_STATUS_ALLOCATED));
}

/* HDF5 allocates what is missing of a dataset when a parallel file is opened for writing: for hours if it is
 * large, and a kill would damage the file. */
static pv_status check_laid_out(hid_t file, const char *path)
{
    pv_status st = PV_OK;
    for (int c = 0; st == PV_OK && c <= COLUMNS; c++) {
        const char *name = c < COLUMNS ? store_column_name((store_column)c) : SHARDS_TABLE;
        const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
        if (dataset >= 0 && !is_laid_out(dataset))
            st = pv_fail(PV_ERR_DATA,
                         "'%s' cannot be written to: %s is in chunks, compressed or not allocated (a copy by "
                         "`h5repack -l CONTI -f NONE` can be)",
                         path, name);
        if (dataset >= 0) H5Dclose(dataset);
    }
    return st;
}

/* Opened by one rank alone: MPI-IO says less of what is wrong, and can write to a file that is cut short. */
static pv_status look_inside(const char *path, bool writing)
{
    errno = 0;
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return pv_h5_fail_as(pv_h5_cannot_read(errno) ? PV_ERR_IO : PV_ERR_DATA, "cannot open the store",
                             path);
    const pv_status st = writing ? check_laid_out(file, path) : PV_OK;
    H5Fclose(file);
    return st;
}

static pv_status look_for(const char *path, bool writing)
{
    if (access(path, F_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s': %s", path, strerror(errno));
    if (access(path, writing ? R_OK | W_OK : R_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s' for %s: %s", path,
                       writing ? "writing" : "reading", strerror(errno));
    return PV_OK;
}

static pv_status look_at(const char *path, bool writing)
{
    errno = 0;
    if (H5Fis_hdf5(path) <= 0)
        return pv_h5_cannot_read(errno)
                   ? pv_fail(PV_ERR_IO, "cannot read the store '%s': %s", path, strerror(errno))
                   : pv_fail(PV_ERR_DATA, "'%s' is not a store: it is not an HDF5 file", path);
    return look_inside(path, writing);
}

/* Programs that write through HDF5 take an exclusive lock, and readers a shared one, as this run does; where
 * the file system has no locks the length of the file is watched alone. */
pv_status store_file_hold(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (flock(*fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return PV_OK;
    close(*fd);
    *fd = -1;
    return pv_fail(PV_ERR_IO,
                   "'%s' is open for writing in another program, a notebook perhaps: close it there", path);
}

/* One rank a node holds the file; all remember its length. */
static pv_status begin_watch(const char *path, bool holds, store_file *file)
{
    struct stat now;
    pv_status st = PV_OK;
    if (holds) PV_TRY(store_file_hold(path, &file->fd));
    if (file->fd < 0) file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &now) != 0)
        PV_TRY(pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno)));
    file->bytes = (int64_t)now.st_size;
done:
    return st;
}

/* One rank a node looks: a path that some nodes lack would leave the others waiting in MPI-IO.  The file is
 * held before HDF5 sees it: to close what another program writes would cut it to the length that it had. */
static pv_status prepare(const char *path, bool leads, bool writing, store_file *file)
{
    pv_status st = PV_OK;
    if (leads) PV_TRY(look_for(path, writing));
    if (writing) PV_TRY(begin_watch(path, leads, file));
    if (leads) PV_TRY(look_at(path, writing));
done:
    return st;
}

pv_status store_file_open(const pv_comm *comm, const char *path, bool writing, const pv_storage_opts *storage,
                          store_file *file)
{
    pv_status st;
    *file = (store_file){-1, -1, 0};
    PV_TRY(pv_agree(comm, prepare(path, comm->node_rank == 0, writing, file)));
    PV_TRY(pv_h5_open(comm, path, writing, storage ? storage->hints : "", &file->id));
done:
    if (st != PV_OK && file->fd >= 0) {
        close(file->fd);
        file->fd = -1;
    }
    return st;
}

pv_status store_file_close(const pv_comm *comm, const char *path, store_file *file)
{
    pv_status st = file->fd >= 0 ? store_file_check(file, path) : PV_OK;
    const pv_status closed = file->id >= 0 ? pv_h5_close(comm, file->id, path) : PV_OK;
    if (file->fd >= 0) close(file->fd);
    *file = (store_file){-1, -1, 0};
    return st != PV_OK ? st : closed;
}

pv_status store_file_check(const store_file *file, const char *path)
{
    struct stat now;
    if (fstat(file->fd, &now) == 0 && (int64_t)now.st_size == file->bytes) return PV_OK;
    pv_h5_give_up();
    return pv_fail(PV_ERR_IO,
                   "'%s' has been written to by another program while this run wrote to it (%lld bytes, "
                   "of %lld): this run cannot vouch for it, `polyview verify` and another start can",
                   path, (long long)now.st_size, (long long)file->bytes);
}

pv_status store_file_sync(const store_file *file, const char *path)
{
    pv_meter_begin(PV_METER_FILES);
    const int synced = fdatasync(file->fd);
    pv_meter_end();
    if (synced == 0) return PV_OK;
    pv_h5_give_up();
    return pv_fail(PV_ERR_IO, "cannot bring the rows of '%s' to disk: %s", path, strerror(errno));
}
