/* Opening a file of a store on all ranks, after a look at it. */
#include "pv_store_look.h"
#include "pv_store_columns.h"
#include "store/pv_h5.h"

#include <errno.h>
#include <string.h>
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
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) return pv_h5_fail_as(PV_ERR_DATA, "cannot open the store", path);
    const pv_status st = writing ? check_laid_out(file, path) : PV_OK;
    H5Fclose(file);
    return st;
}

/* On one rank a node: a path that some nodes lack would leave the others waiting in MPI-IO. */
static pv_status look_at(const char *path, bool writing)
{
    if (access(path, F_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s': %s", path, strerror(errno));
    if (access(path, writing ? R_OK | W_OK : R_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s' for %s: %s", path,
                       writing ? "writing" : "reading", strerror(errno));
    if (H5Fis_hdf5(path) <= 0)
        return pv_fail(PV_ERR_DATA, "'%s' is not a store: it is not an HDF5 file", path);
    return look_inside(path, writing);
}

pv_status store_file_open(const pv_comm *comm, const char *path, bool writing, const pv_storage_opts *storage,
                          hid_t *file)
{
    *file = -1;
    const pv_status st = pv_agree(comm, comm->node_rank == 0 ? look_at(path, writing) : PV_OK);
    return st == PV_OK ? pv_h5_open(comm, path, writing, storage ? storage->hints : "", file) : st;
}
