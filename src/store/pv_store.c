#include "store/pv_store.h"
#include "pv_store_file.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"
#include "store/pv_h5.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

int store_column_dims(store_column column, int64_t views, int64_t objects, int params,
                      hsize_t dims[STORE_PARAMS_RANK])
{
    const hsize_t all[STORE_PARAMS_RANK] = {(hsize_t)views, (hsize_t)objects, (hsize_t)params};
    const int rank = store_column_rank(column);
    for (int i = 0; i < rank; i++)
        dims[i] = all[rank == STORE_OBJECT_RANK ? i + 1 : i];
    return rank;
}

/* Whether all of a dataset's storage is there, in one piece.  The storage of a virtual one is not its own. */
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

/* HDF5 allocates what is missing of a dataset when a parallel file is opened for writing: for hours if it is large, and
 * a kill would damage the file. */
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

/* Opened by one rank alone, as MPI-IO says less of what is wrong and can write to a file that is cut short. */
static pv_status look_inside(const char *path, pv_store_mode mode)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) return pv_h5_fail_as(PV_ERR_DATA, "cannot open the store", path);
    const pv_status st = mode == PV_STORE_WRITE ? check_laid_out(file, path) : PV_OK;
    H5Fclose(file);
    return st;
}

/* On one rank a node, before everybody opens: a clear word about what the path is.  A path that some nodes
 * lack would leave the others waiting in MPI-IO. */
pv_status store_look_at(const char *path, pv_store_mode mode)
{
    if (access(path, F_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s': %s", path, strerror(errno));
    if (access(path, mode == PV_STORE_WRITE ? R_OK | W_OK : R_OK) != 0)
        return pv_fail(PV_ERR_IO, "cannot open the store '%s' for %s: %s", path,
                       mode == PV_STORE_WRITE ? "writing" : "reading", strerror(errno));
    if (H5Fis_hdf5(path) <= 0)
        return pv_fail(PV_ERR_DATA, "'%s' is not a store: it is not an HDF5 file", path);
    return look_inside(path, mode);
}

static pv_status parse_arch(pv_store *store, const char *text)
{
    json_t *root = json_loads(text, 0, NULL), *dims = json_object_get(root, "dims");
    pv_arch *arch = &store->arch;
    pv_status st = PV_OK;
    const size_t count = json_array_size(dims);
    if (count < 2 || count > PV_INR_MAX_LAYERS + 1 || !json_is_number(json_object_get(root, "w0")) ||
        !json_is_number(json_object_get(root, "offset")))
        st = pv_fail(PV_ERR_DATA, "'%s': the attribute 'arch' is not an INR architecture: %.200s",
                     store->path, text);
    arch->layers = (int)count - 1;
    for (size_t i = 0; st == PV_OK && i < count; i++) {
        const json_int_t width = json_integer_value(json_array_get(dims, i));
        if (width < 1 || width > PV_INR_MAX_WIDTH)
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

static pv_status check_shape(hid_t dataset, const char *path, store_column column, const hsize_t *want)
{
    const char *name = store_column_name(column);
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    const bool alike = H5Tget_class(type) == H5Tget_class(store_column_type(column));
    const int rank = H5Sget_simple_extent_ndims(space);
    hsize_t dims[STORE_PARAMS_RANK] = {0};
    if (rank > 0 && rank <= STORE_PARAMS_RANK) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Tclose(type);
    if (!alike) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is of another type", path, name);
    if (!pv_h5_is_own(dataset))
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is kept in other files", path, name);
    if (rank != store_column_rank(column))
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %d dimensions", path, name, rank);
    for (int i = 0; i < rank; i++)
        if (dims[i] != want[i])
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: dimension %d of %s is %llu, not %llu", path, i,
                           name, (unsigned long long)dims[i], (unsigned long long)want[i]);
    return PV_OK;
}

pv_status store_open_column(hid_t file, const char *path, store_column column, int64_t views, int64_t objects,
                            int params, hid_t *out)
{
    hsize_t want[STORE_PARAMS_RANK];
    store_column_dims(column, views, objects, params, want);
    *out = H5Dopen2(file, store_column_name(column), H5P_DEFAULT);
    if (*out < 0)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset %s", path, store_column_name(column));
    const pv_status st = check_shape(*out, path, column, want);
    if (st != PV_OK) {
        H5Dclose(*out);
        *out = -1;
    }
    return st;
}

/* A text that early stores and those of others may lack. */
static pv_status read_remark(const pv_store *store, const char *name, char **text)
{
    if (H5Aexists(store->file, name) > 0) return pv_h5_read_text(store->file, name, text);
    *text = pv_strdup("");
    return *text ? PV_OK : PV_ERR_NOMEM;
}

static pv_status read_head(pv_store *store)
{
    pv_status st;
    PV_TRY(pv_h5_check_kind(store->file, store->path, "store", PV_STORE_VERSION));
    PV_TRY(pv_h5_read_text(store->file, "arch", &store->arch_json));
    PV_TRY(parse_arch(store, store->arch_json));
    PV_TRY(pv_h5_read_text(store->file, "config", &store->config));
    PV_TRY(pv_h5_read_text(store->file, "signal", &store->signal_json));
    PV_TRY(parse_signal(store));
    PV_TRY(read_remark(store, "code_version", &store->code_version));
    PV_TRY(read_remark(store, "instruction_set", &store->instruction_set));
    PV_TRY(store_find_pieces(store));
    for (int c = ROW_COLUMNS; c < COLUMNS; c++)
        PV_TRY(store_open_column(store->file, store->path, (store_column)c, store->views, store->objects,
                                 store->params, &store->columns[c]));
    PV_TRY(store_open_targets(store));
done:
    return st;
}

static void free_store(pv_store *store)
{
    if (!store) return;
    store_close_pieces(store);
    for (int column = 0; column < COLUMNS; column++)
        if (store->columns[column] >= 0) H5Dclose(store->columns[column]);
    if (store->target >= 0) H5Dclose(store->target);
    if (store->file >= 0) H5Fclose(store->file);
    free(store->path);
    free(store->arch_json);
    free(store->config);
    free(store->signal_json);
    free(store->code_version);
    free(store->instruction_set);
    free(store);
}

static pv_status new_store(const pv_comm *comm, const char *path, pv_store **out)
{
    *out = pv_alloc(1, sizeof **out);
    if (!*out) return PV_ERR_NOMEM;
    (*out)->comm = comm;
    (*out)->file = (*out)->target = -1;
    for (int column = 0; column < COLUMNS; column++)
        (*out)->columns[column] = -1;
    (*out)->path = pv_strdup(path);
    return (*out)->path ? PV_OK : PV_ERR_NOMEM;
}

/* A shard written to as if it were the whole would get the rows of other views and objects. */
static pv_status check_whole(const pv_store *store, pv_store_mode mode)
{
    if (mode == PV_STORE_READ || H5Aexists(store->file, "first_view") <= 0) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' is a shard of a larger store: open that one to write", store->path);
}

pv_status pv_store_open(const pv_comm *comm, const char *path, pv_store_mode mode,
                        const pv_storage_opts *storage, pv_store **out)
{
    pv_store *store = NULL;
    pv_status st;
    *out = NULL;
    PV_TRY(pv_agree(comm, new_store(comm, path, &store)));
    PV_TRY(pv_agree(comm, comm->node_rank == 0 ? store_look_at(path, mode) : PV_OK));
    PV_TRY(pv_h5_open(comm, path, mode == PV_STORE_WRITE, storage ? storage->hints : "", &store->file));
    PV_TRY(pv_agree(comm, read_head(store)));
    PV_TRY(pv_agree(comm, check_whole(store, mode)));
    PV_TRY(store_open_pieces(store, mode, storage));
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
        if (store->columns[column] >= 0) H5Dclose(store->columns[column]);
        store->columns[column] = -1;
    }
    if (store->target >= 0) H5Dclose(store->target);
    store->target = -1;
    store_close_pieces(store);
    pv_meter_begin(PV_METER_FILES);
    const pv_status st = H5Fclose(file) < 0 ? pv_h5_fail("cannot close the store", store->path) : PV_OK;
    pv_meter_end();
    free_store(store);
    return pv_agree(comm, st);
}

static pv_status add_bytes(const char *path, int64_t *length, int64_t *on_disk)
{
    enum { BLOCK = 512 };
    struct stat file;
    if (stat(path, &file) != 0) return pv_fail(PV_ERR_IO, "cannot look at '%s': %s", path, strerror(errno));
    *length += (int64_t)file.st_size;
    *on_disk += (int64_t)file.st_blocks * BLOCK;
    return PV_OK;
}

pv_status pv_store_bytes(const pv_store *store, int64_t *length, int64_t *on_disk)
{
    *length = *on_disk = 0;
    pv_status st = add_bytes(store->path, length, on_disk);
    for (int i = 0; st == PV_OK && i < store->piece_count; i++) {
        if (!store->pieces[i].name) continue;
        char *path = store_beside(store->path, store->pieces[i].name);
        st = path ? add_bytes(path, length, on_disk) : PV_ERR_NOMEM;
        free(path);
    }
    return st;
}

int64_t pv_store_views(const pv_store *store)
{
    return store->views;
}

int64_t pv_store_objects(const pv_store *store)
{
    return store->objects;
}

int pv_store_shards(const pv_store *store)
{
    return store->pieces[0].name ? store->piece_count : 0;
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

const char *pv_store_code_version(const pv_store *store)
{
    return store->code_version;
}

const char *pv_store_instruction_set(const pv_store *store)
{
    return store->instruction_set;
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

/* `count` objects from `first` of a view, in the numbers of one piece; how far from the start of the request. */
typedef struct part {
    int64_t view, first, count, offset;
} part;

/* What of a request lies in a piece; false: nothing. */
static bool part_of(const store_piece *piece, int64_t view, int64_t first, int64_t count, part *out)
{
    const store_box *box = &piece->box;
    const int64_t start = first > box->first_object ? first : box->first_object;
    const int64_t box_end = box->first_object + box->objects,
                  end = first + count < box_end ? first + count : box_end;
    *out = (part){view - box->first_view, start - box->first_object, end - start, start - first};
    return view >= box->first_view && view < box->first_view + box->views && start < end;
}

/* The hyperslab of a column that a part is. */
static int slab_of(store_column column, const part *p, int params, hsize_t start[STORE_PARAMS_RANK],
                   hsize_t size[STORE_PARAMS_RANK])
{
    store_column_dims(column, p->view, p->first, 0, start);
    return store_column_dims(column, 1, p->count, params, size);
}

/* Bytes of a column's entry for one object. */
static size_t entry_bytes(const pv_store *store, store_column column)
{
    return H5Tget_size(store_column_type(column)) * (column == COLUMN_PARAMS ? (size_t)store->params : 1);
}

static pv_status move_part(const pv_store *store, hid_t dataset, store_column column, const part *p,
                           void *into, const void *from)
{
    hsize_t start[STORE_PARAMS_RANK], size[STORE_PARAMS_RANK];
    const int rank = slab_of(column, p, store->params, start, size);
    const size_t offset = (size_t)p->offset * entry_bytes(store, column);
    const char *name = store_column_name(column);
    const hid_t type = store_column_type(column);
    if (into) return pv_h5_read_box(dataset, name, type, rank, start, size, (char *)into + offset);
    // cppcheck-suppress nullPointerArithmetic ; one of the two is given
    return pv_h5_write_box(dataset, name, type, rank, start, size, (const char *)from + offset);
}

static pv_status read_column(const pv_store *store, store_column column, int64_t view, int64_t first,
                             int64_t count, void *data)
{
    pv_status st = PV_OK;
    part p = {view, first, count, 0};
    if (store_column_rank(column) == STORE_OBJECT_RANK)
        return move_part(store, store->columns[column], column, &p, data, NULL);
    for (int i = 0; st == PV_OK && i < store->piece_count; i++)
        if (part_of(&store->pieces[i], view, first, count, &p))
            st = move_part(store, store->pieces[i].columns[column], column, &p, data, NULL);
    return st;
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

/* Brings what was written to a piece to disk, with what other ranks of this node have written. */
static pv_status sync_piece(const pv_store *store, const store_piece *piece)
{
    if (piece->sync < 0) return PV_OK;
    pv_meter_begin(PV_METER_FILES);
    const int synced = fdatasync(piece->sync);
    pv_meter_end();
    if (synced == 0) return PV_OK;
    return pv_fail(PV_ERR_IO, "cannot bring the rows of '%s' to disk: %s", store->path, strerror(errno));
}

pv_status pv_store_write_rows(pv_store *store, int64_t view, int64_t first, int64_t count, const float *rows,
                              const float *psnr, const uint32_t *steps, const uint8_t *status)
{
    pv_status st = PV_OK;
    part p;
    uint64_t *checksums = NULL;
    PV_ALLOC(checksums, count);
    pv_checksum_rows(rows, sizeof *rows * (size_t)store->params, count, checksums);
    const void *const data[ROW_COLUMNS] = {[COLUMN_PARAMS] = rows,
                                           [COLUMN_CHECKSUM] = checksums,
                                           [COLUMN_PSNR] = psnr,
                                           [COLUMN_STEPS] = steps,
                                           [COLUMN_STATUS] = status};
    /* The order that makes a torn write harmless: the status last. */
    const store_column order[] = {COLUMN_PARAMS, COLUMN_CHECKSUM, COLUMN_PSNR, COLUMN_STEPS};
    for (int i = 0; i < store->piece_count; i++) {
        const store_piece *piece = &store->pieces[i];
        if (!part_of(piece, view, first, count, &p)) continue;
        for (size_t c = 0; c < sizeof order / sizeof *order; c++)
            PV_TRY(move_part(store, piece->columns[order[c]], order[c], &p, NULL, data[order[c]]));
        PV_TRY(sync_piece(store, piece));
        PV_TRY(move_part(store, piece->columns[COLUMN_STATUS], COLUMN_STATUS, &p, NULL, status));
    }
done:
    free(checksums);
    return st;
}

pv_status pv_store_discard(pv_store *store, int64_t view, int64_t object)
{
    const uint8_t missing = PV_ROW_MISSING;
    part p;
    pv_status st = PV_OK;
    for (int i = 0; st == PV_OK && i < store->piece_count; i++)
        if (part_of(&store->pieces[i], view, object, 1, &p))
            st = move_part(store, store->pieces[i].columns[COLUMN_STATUS], COLUMN_STATUS, &p, NULL, &missing);
    return st;
}
