#include "store/pv_store.h"
#include "pv_store_file.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "store/pv_h5.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *store_column_name(store_column column)
{
    static const char *const names[COLUMNS] = {
        "/params",     "/view/status",  "/view/checksum", "/view/psnr",
        "/view/steps", "/object/label", "/object/split",  "/object/source",
    };
    return names[column];
}

hid_t store_column_type(store_column column)
{
    switch (column) {
    case COLUMN_PARAMS:
    case COLUMN_PSNR:
        return H5T_NATIVE_FLOAT;
    case COLUMN_CHECKSUM:
    case COLUMN_SOURCE:
        return H5T_NATIVE_UINT64;
    case COLUMN_STEPS:
        return H5T_NATIVE_UINT32;
    case COLUMN_LABEL:
        return H5T_NATIVE_INT32;
    default:
        return H5T_NATIVE_UINT8;
    }
}

int store_column_rank(store_column column)
{
    return column == COLUMN_PARAMS  ? STORE_PARAMS_RANK
           : column <= COLUMN_STEPS ? STORE_VIEW_RANK
                                    : STORE_OBJECT_RANK;
}

/* On one rank a node, before everybody opens: a clear word about what the path is.  A path that some nodes
 * lack would leave the others waiting in MPI-IO. */
static pv_status look_at(const char *path, pv_store_mode mode)
{
    if (access(path, F_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s': %s", path, strerror(errno));
    if (access(path, mode == PV_STORE_WRITE ? R_OK | W_OK : R_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s' for %s: %s", path,
                       mode == PV_STORE_WRITE ? "writing" : "reading", strerror(errno));
    if (H5Fis_hdf5(path) <= 0)
        return pv_fail(PV_ERR_DATA, "'%s' is not a store: it is not an HDF5 file", path);
    return PV_OK;
}

static pv_status check_kind(const pv_store *store)
{
    char *kind = NULL;
    int64_t version = 0;
    if (pv_h5_read_text(store->file, "polyview_kind", &kind) != PV_OK || strcmp(kind, "store") != 0) {
        const pv_status st = pv_fail(PV_ERR_DATA, "'%s' is not a store: its attribute polyview_kind is %s",
                                     store->path, kind ? kind : "missing");
        free(kind);
        return st;
    }
    free(kind);
    if (pv_h5_read_int(store->file, "polyview_version", &version) != PV_OK || version != PV_STORE_VERSION)
        return pv_fail(PV_ERR_DATA, "'%s' has format version %lld; this program reads version %d",
                       store->path, (long long)version, PV_STORE_VERSION);
    return PV_OK;
}

static pv_status parse_arch(pv_store *store, const char *text)
{
    json_t *root = json_loads(text, 0, NULL), *dims = json_object_get(root, "dims");
    pv_arch *arch = &store->arch;
    pv_status st = PV_OK;
    const size_t count = json_array_size(dims);
    if (count < 2 || count > PV_SIREN_MAX_LAYERS + 1 || !json_is_number(json_object_get(root, "w0")) ||
        !json_is_number(json_object_get(root, "offset")))
        st = pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' is not an INR architecture: %.200s",
                     store->path, text);
    arch->layers = (int)count - 1;
    for (size_t i = 0; st == PV_OK && i < count; i++) {
        const json_int_t width = json_integer_value(json_array_get(dims, i));
        if (width < 1 || width > PV_SIREN_MAX_WIDTH)
            st = pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' has a layer of width %lld", store->path,
                         (long long)width);
        arch->dims[i] = (int)width;
    }
    arch->w0 = (float)json_number_value(json_object_get(root, "w0"));
    arch->offset = (float)json_number_value(json_object_get(root, "offset"));
    json_decref(root);
    if (st == PV_OK) store->params = pv_arch_params(arch);
    return st;
}

static int json_int(const json_t *object, const char *key)
{
    const json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 && value < INT32_MAX ? (int)value : 0;
}

static pv_status parse_signal(pv_store *store)
{
    json_t *root = json_loads(store->signal_json, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return pv_fail(PV_ERR_DATA, "'%s': the attribute 'signal' is not a JSON object", store->path);
    }
    store->height = json_int(root, "height");
    store->width = json_int(root, "width");
    store->channels = json_int(root, "channels");
    store->classes = json_int(root, "classes");
    json_decref(root);
    return PV_OK;
}

/* Opens a column and checks that its shape fits the others. */
static pv_status open_column(pv_store *store, store_column column)
{
    const char *name = store_column_name(column);
    hsize_t dims[STORE_PARAMS_RANK] = {0};
    if ((store->columns[column] = H5Dopen2(store->file, name, H5P_DEFAULT)) < 0)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset %s", store->path, name);
    const hid_t type = H5Dget_type(store->columns[column]), space = H5Dget_space(store->columns[column]);
    const bool alike = H5Tget_class(type) == H5Tget_class(store_column_type(column));
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank > 0 && rank <= STORE_PARAMS_RANK) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Tclose(type);
    if (!alike) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is of another type", store->path, name);
    if (rank != store_column_rank(column))
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %d dimensions", store->path, name, rank);
    if (column == COLUMN_PARAMS) {
        store->views = (int64_t)dims[0];
        store->objects = (int64_t)dims[1];
    }
    const hsize_t want[STORE_PARAMS_RANK] = {(hsize_t)store->views, (hsize_t)store->objects,
                                             (hsize_t)store->params};
    const hsize_t *expected = rank == STORE_OBJECT_RANK ? want + 1 : want;
    for (int i = 0; i < rank; i++)
        if (dims[i] != expected[i])
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: dimension %d of %s is %llu, not %llu", store->path,
                           i, name, (unsigned long long)dims[i], (unsigned long long)expected[i]);
    return PV_OK;
}

static pv_status read_head(pv_store *store)
{
    char *arch = NULL;
    pv_status st;
    PV_TRY(check_kind(store));
    PV_TRY(pv_h5_read_text(store->file, "arch", &arch));
    PV_TRY(parse_arch(store, arch));
    PV_TRY(pv_h5_read_text(store->file, "config", &store->config));
    PV_TRY(pv_h5_read_text(store->file, "signal", &store->signal_json));
    PV_TRY(parse_signal(store));
    for (int column = 0; column < COLUMNS; column++)
        PV_TRY(open_column(store, (store_column)column));
done:
    free(arch);
    return st;
}

static void free_store(pv_store *store)
{
    if (!store) return;
    for (int column = 0; column < COLUMNS; column++)
        if (store->columns[column] >= 0) H5Dclose(store->columns[column]);
    if (store->file >= 0) H5Fclose(store->file);
    free(store->path);
    free(store->config);
    free(store->signal_json);
    free(store);
}

static pv_status new_store(const pv_comm *comm, const char *path, pv_store **out)
{
    *out = pv_alloc(1, sizeof **out);
    if (!*out) return PV_ERR_NOMEM;
    (*out)->comm = comm;
    (*out)->file = -1;
    for (int column = 0; column < COLUMNS; column++)
        (*out)->columns[column] = -1;
    (*out)->path = pv_strdup(path);
    return (*out)->path ? PV_OK : PV_ERR_NOMEM;
}

pv_status pv_store_open(const pv_comm *comm, const char *path, pv_store_mode mode, pv_store **out)
{
    pv_store *store = NULL;
    pv_status st;
    *out = NULL;
    PV_TRY(pv_agree(comm, new_store(comm, path, &store)));
    PV_TRY(pv_agree(comm, comm->node_rank == 0 ? look_at(path, mode) : PV_OK));
    const hid_t file_access = pv_h5_access(comm);
    store->file = H5Fopen(path, mode == PV_STORE_WRITE ? H5F_ACC_RDWR : H5F_ACC_RDONLY, file_access);
    st = store->file < 0 ? pv_h5_fail("cannot open the store", path) : PV_OK;
    H5Pclose(file_access);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_agree(comm, read_head(store)));
    *out = store;
    return PV_OK;
done:
    free_store(store);
    return st;
}

pv_status pv_store_close(pv_store *store)
{
    if (!store) return PV_OK;
    const pv_comm *comm = store->comm;
    const hid_t file = store->file;
    store->file = -1;
    for (int column = 0; column < COLUMNS; column++) {
        H5Dclose(store->columns[column]);
        store->columns[column] = -1;
    }
    const pv_status st = H5Fclose(file) < 0 ? pv_h5_fail("cannot close the store", store->path) : PV_OK;
    free_store(store);
    return pv_agree(comm, st);
}

int64_t pv_store_views(const pv_store *store)
{
    return store->views;
}

int64_t pv_store_objects(const pv_store *store)
{
    return store->objects;
}

const char *pv_store_path(const pv_store *store)
{
    return store->path;
}

const pv_arch *pv_store_arch(const pv_store *store)
{
    return &store->arch;
}

int pv_store_params(const pv_store *store)
{
    return store->params;
}

const char *pv_store_config(const pv_store *store)
{
    return store->config;
}

const char *pv_store_signal_json(const pv_store *store)
{
    return store->signal_json;
}

int pv_store_classes(const pv_store *store)
{
    return store->classes;
}

void pv_store_image_shape(const pv_store *store, int *height, int *width, int *channels)
{
    *height = store->height;
    *width = store->width;
    *channels = store->channels;
}

/* The part of a column that belongs to `count` objects from `first` of a view. */
static int box_of(const pv_store *store, store_column column, int64_t view, int64_t first, int64_t count,
                  hsize_t start[STORE_PARAMS_RANK], hsize_t size[STORE_PARAMS_RANK])
{
    const int rank = store_column_rank(column);
    const hsize_t starts[STORE_PARAMS_RANK] = {(hsize_t)view, (hsize_t)first, 0};
    const hsize_t sizes[STORE_PARAMS_RANK] = {1, (hsize_t)count, (hsize_t)store->params};
    for (int i = 0; i < rank; i++) {
        start[i] = starts[rank == STORE_OBJECT_RANK ? i + 1 : i];
        size[i] = sizes[rank == STORE_OBJECT_RANK ? i + 1 : i];
    }
    return rank;
}

static pv_status read_column(const pv_store *store, store_column column, int64_t view, int64_t first,
                             int64_t count, void *data)
{
    hsize_t start[STORE_PARAMS_RANK], size[STORE_PARAMS_RANK];
    const int rank = box_of(store, column, view, first, count, start, size);
    return pv_h5_read_box(store->columns[column], store_column_name(column), store_column_type(column), rank,
                          start, size, data);
}

static pv_status write_column(pv_store *store, store_column column, int64_t view, int64_t first,
                              int64_t count, const void *data)
{
    hsize_t start[STORE_PARAMS_RANK], size[STORE_PARAMS_RANK];
    const int rank = box_of(store, column, view, first, count, start, size);
    return pv_h5_write_box(store->columns[column], store_column_name(column), store_column_type(column), rank,
                           start, size, data);
}

pv_status pv_store_read_status(const pv_store *store, int64_t view, int64_t first, int64_t count,
                               uint8_t *status)
{
    return read_column(store, COLUMN_STATUS, view, first, count, status);
}

pv_status pv_store_read_rows(const pv_store *store, int64_t view, int64_t first, int64_t count, float *rows)
{
    return read_column(store, COLUMN_PARAMS, view, first, count, rows);
}

pv_status pv_store_read_checksums(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                  uint64_t *checksums)
{
    return read_column(store, COLUMN_CHECKSUM, view, first, count, checksums);
}

pv_status pv_store_read_psnr(const pv_store *store, int64_t view, int64_t first, int64_t count, float *psnr)
{
    return read_column(store, COLUMN_PSNR, view, first, count, psnr);
}

pv_status pv_store_read_labels(const pv_store *store, int64_t first, int64_t count, int32_t *labels)
{
    return read_column(store, COLUMN_LABEL, 0, first, count, labels);
}

pv_status pv_store_read_splits(const pv_store *store, int64_t first, int64_t count, uint8_t *splits)
{
    return read_column(store, COLUMN_SPLIT, 0, first, count, splits);
}

pv_status pv_store_read_sources(const pv_store *store, int64_t first, int64_t count, uint64_t *sources)
{
    return read_column(store, COLUMN_SOURCE, 0, first, count, sources);
}

pv_status pv_store_write_rows(pv_store *store, int64_t view, int64_t first, int64_t count, const float *rows,
                              const float *psnr, const uint32_t *steps, const uint8_t *status)
{
    pv_status st;
    uint64_t *checksums = NULL;
    PV_ALLOC(checksums, count);
    for (int64_t i = 0; i < count; i++)
        checksums[i] = pv_checksum(rows + i * store->params, sizeof *rows * (size_t)store->params);
    PV_TRY(write_column(store, COLUMN_PARAMS, view, first, count, rows));
    PV_TRY(write_column(store, COLUMN_CHECKSUM, view, first, count, checksums));
    PV_TRY(write_column(store, COLUMN_PSNR, view, first, count, psnr));
    PV_TRY(write_column(store, COLUMN_STEPS, view, first, count, steps));
    PV_TRY(write_column(store, COLUMN_STATUS, view, first, count, status));
done:
    free(checksums);
    return st;
}
