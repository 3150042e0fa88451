/* Columns of numbers in an HDF5 file of their own. */
#include "store/pv_columns.h"
#include "base/pv_file.h"
#include "parallel/pv_h5.h"

#include <stdlib.h>
#include <unistd.h>

/* What a file takes beside its columns. */
enum { OTHER_BYTES = 1 << 14 };

static int rank_of(const pv_column *column)
{
    return column->width > 0 ? 2 : 1;
}

static int64_t bytes_of(const pv_column *columns, int count)
{
    int64_t bytes = OTHER_BYTES;
    for (int c = 0; c < count; c++)
        bytes += columns[c].rows * (columns[c].width > 0 ? columns[c].width : 1) *
                 (int64_t)H5Tget_size(columns[c].type);
    return bytes;
}

/* Rank 0's work: a file with room for everything, so that on a full disk it fails here, and alone. */
static pv_status create_file(const char *path, const char *part, const char *kind, const pv_column *columns,
                             int count)
{
    pv_status st = pv_file_reserve(part, path, bytes_of(columns, count));
    if (st != PV_OK) return st;
    const hid_t file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0) return pv_h5_fail("cannot create", part);
    PV_TRY(pv_file_reserve(part, path, bytes_of(columns, count)));
    PV_TRY(pv_h5_write_text(file, "polyview_kind", kind));
    for (int c = 0; c < count; c++) {
        const hsize_t dims[2] = {(hsize_t)columns[c].rows, (hsize_t)columns[c].width};
        hid_t dataset = -1;
        PV_TRY(pv_h5_create(file, columns[c].name, columns[c].type, rank_of(&columns[c]), dims, &dataset));
        H5Dclose(dataset);
    }
done:;
    const pv_status closed = pv_h5_close_alone(file, part);
    return st == PV_OK ? closed : st;
}

/* Writes this rank's rows of one column. */
static pv_status write_rows(hid_t file, const pv_column *column)
{
    const hsize_t start[2] = {(hsize_t)column->first, 0};
    const hsize_t count[2] = {(hsize_t)column->count, (hsize_t)column->width};
    const hid_t dataset = H5Dopen2(file, column->name, H5P_DEFAULT);
    if (dataset < 0) return pv_h5_fail("cannot open", column->name);
    const pv_status st =
        pv_h5_write_box(dataset, column->name, column->type, rank_of(column), start, count, column->data);
    H5Dclose(dataset);
    return st;
}

pv_status pv_columns_write(const pv_comm *comm, const char *path, const char *kind, const pv_column *columns,
                           int count)
{
    pv_status st;
    hid_t file = -1;
    char *part = pv_file_part(path);
    PV_TRY(pv_same_text(comm, "path of pv_columns_write", path));
    PV_TRY(pv_same(comm, "number of columns of pv_columns_write", &count, sizeof count));
    PV_TRY(pv_agree(comm, part ? PV_OK : PV_ERR_NOMEM));
    PV_TRY(pv_agree(comm, comm->rank == 0 ? create_file(path, part, kind, columns, count) : PV_OK));
    PV_TRY(pv_h5_open(comm, part, true, "", &file));
    for (int c = 0; st == PV_OK && c < count; c++)
        st = write_rows(file, &columns[c]);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_agree(comm, pv_h5_close(comm, file, part)));
    st = pv_agree(comm, comm->rank == 0 ? pv_file_publish(part, path) : PV_OK);
done:
    if (comm->rank == 0 && st != PV_OK && part) unlink(part);
    free(part);
    return st;
}
