/* The columns of a store: their names, types and shapes, and reading and writing a run of their objects. */
#include "pv_store_columns.h"
#include "signal/pv_source.h"
#include "parallel/pv_h5.h"

#include <errno.h>
#include <string.h>

const char *const store_text_names[] = {"arch", "signal", "config", "code_version", "instruction_set"};

hid_t store_name_type(void)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, sizeof(pv_class_name));
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

const char *store_column_name(store_column column)
{
    static const char *const names[COLUMNS] = {
        [COLUMN_PARAMS] = "/params",          [COLUMN_STATUS] = "/view/status",
        [COLUMN_CHECKSUM] = "/view/checksum", [COLUMN_PSNR] = "/view/psnr",
        [COLUMN_STEPS] = "/view/steps",       [COLUMN_LABEL] = "/object/label",
        [COLUMN_SPLIT] = "/object/split",     [COLUMN_SOURCE] = "/object/source",
        [COLUMN_DIGEST] = "/object/digest",   [COLUMN_TARGET] = "/object/target",
        [COLUMN_IOU] = "/view/iou",           [COLUMN_SURFACE_ERROR] = "/view/surface_error",
        [COLUMN_FRAME] = "/object/frame",
    };
    return names[column];
}

hid_t store_column_type(store_column column)
{
    const hid_t types[COLUMNS] = {
        [COLUMN_PARAMS] = H5T_NATIVE_FLOAT,    [COLUMN_STATUS] = H5T_NATIVE_UINT8,
        [COLUMN_CHECKSUM] = H5T_NATIVE_UINT64, [COLUMN_PSNR] = H5T_NATIVE_FLOAT,
        [COLUMN_STEPS] = H5T_NATIVE_UINT32,    [COLUMN_LABEL] = H5T_NATIVE_INT32,
        [COLUMN_SPLIT] = H5T_NATIVE_UINT8,     [COLUMN_SOURCE] = H5T_NATIVE_UINT64,
        [COLUMN_DIGEST] = H5T_NATIVE_UINT64,   [COLUMN_TARGET] = H5T_NATIVE_FLOAT,
        [COLUMN_IOU] = H5T_NATIVE_FLOAT,       [COLUMN_SURFACE_ERROR] = H5T_NATIVE_FLOAT,
        [COLUMN_FRAME] = H5T_NATIVE_FLOAT,
    };
    return types[column];
}

bool store_column_exists(int column, const store_shape *shape)
{
    if (column == COLUMN_IOU || column == COLUMN_SURFACE_ERROR || column == COLUMN_FRAME)
        return shape->frame > 0;
    return column != COLUMN_TARGET || shape->targets > 0;
}

int store_column_dims(store_column column, const store_shape *shape, hsize_t dims[STORE_MAX_RANK])
{
    int rank = 0;
    if (column < ROW_COLUMNS) dims[rank++] = (hsize_t)shape->views;
    dims[rank++] = (hsize_t)shape->objects;
    if (column == COLUMN_PARAMS) dims[rank++] = (hsize_t)shape->params;
    if (column == COLUMN_TARGET) dims[rank++] = (hsize_t)shape->targets;
    if (column == COLUMN_FRAME) dims[rank++] = (hsize_t)shape->frame;
    return rank;
}

size_t store_column_entry(store_column column, const store_shape *shape)
{
    if (!store_column_exists(column, shape)) return 0;
    const int values = column == COLUMN_PARAMS   ? shape->params
                       : column == COLUMN_TARGET ? shape->targets
                       : column == COLUMN_FRAME  ? shape->frame
                                                 : 1;
    return H5Tget_size(store_column_type(column)) * (size_t)values;
}

static pv_status check_shape(hid_t dataset, const char *path, store_column column, const store_shape *shape)
{
    const char *name = store_column_name(column);
    hsize_t dims[STORE_MAX_RANK], want[STORE_MAX_RANK];
    const int rank = pv_h5_dims(dataset, STORE_MAX_RANK, dims);
    const hid_t type = H5Dget_type(dataset);
    const bool alike = H5Tget_class(type) == H5Tget_class(store_column_type(column));
    H5Tclose(type);
    if (!alike) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is of another type", path, name);
    if (!pv_h5_is_own(dataset))
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is kept in other files", path, name);
    if (rank != store_column_dims(column, shape, want))
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %d dimensions", path, name, rank);
    for (int i = 0; i < rank; i++)
        if (dims[i] != want[i])
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: dimension %d of %s is %llu, not %llu", path, i,
                           name, (unsigned long long)dims[i], (unsigned long long)want[i]);
    return PV_OK;
}

pv_status store_column_open(hid_t file, const char *path, store_column column, const store_shape *shape,
                            hid_t *out)
{
    errno = 0;
    *out = H5Dopen2(file, store_column_name(column), H5P_DEFAULT);
    if (*out < 0 && pv_h5_cannot_read(errno))
        return pv_fail(PV_ERR_IO, "cannot read %s of '%s': %s", store_column_name(column), path,
                       strerror(errno));
    if (*out < 0)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset %s", path, store_column_name(column));
    const pv_status st = check_shape(*out, path, column, shape);
    if (st != PV_OK) store_columns_close(1, out);
    return st;
}

void store_columns_close(int count, hid_t columns[])
{
    for (int c = 0; c < count; c++) {
        if (columns[c] >= 0) H5Dclose(columns[c]);
        columns[c] = -1;
    }
}

/* The box of a dataset that some objects of a view take; returns its rank. */
static int box_of(store_column column, const store_shape *shape, int64_t view, int64_t first, int64_t count,
                  hsize_t start[STORE_MAX_RANK], hsize_t size[STORE_MAX_RANK])
{
    store_column_dims(column, &(store_shape){view, first, 0, 0, 0}, start);
    return store_column_dims(column, &(store_shape){1, count, shape->params, shape->targets, shape->frame},
                             size);
}

pv_status store_column_read(hid_t dataset, store_column column, const store_shape *shape, int64_t view,
                            int64_t first, int64_t count, void *data)
{
    hsize_t start[STORE_MAX_RANK], size[STORE_MAX_RANK];
    const int rank = box_of(column, shape, view, first, count, start, size);
    return pv_h5_read_box(dataset, store_column_name(column), store_column_type(column), rank, start, size,
                          data);
}

pv_status store_column_write(hid_t dataset, store_column column, const store_shape *shape, int64_t view,
                             int64_t first, int64_t count, const void *data)
{
    hsize_t start[STORE_MAX_RANK], size[STORE_MAX_RANK];
    const int rank = box_of(column, shape, view, first, count, start, size);
    return pv_h5_write_box(dataset, store_column_name(column), store_column_type(column), rank, start, size,
                           data);
}
