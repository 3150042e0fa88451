#include "store/pv_store.h"
#include "pv_store_file.h"
#include "base/pv_cpu.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "base/pv_version.h"
#include "store/pv_h5.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Objects whose columns one write carries: bounds the memory whatever the number of objects. */
enum { OBJECT_BLOCK = 65536 };
/* What a file takes beside its columns and its config: attributes, layout, HDF5's own. */
enum { OTHER_BYTES = 1 << 16 };

static char *arch_json(const pv_arch *arch, const char *variant)
{
    json_t *dims = json_array();
    for (int i = 0; i <= arch->layers; i++)
        json_array_append_new(dims, json_integer(arch->dims[i]));
    json_t *root = json_pack("{s:o, s:f, s:f, s:s, s:s}", "dims", dims, "w0", (double)arch->w0, "offset",
                             (double)arch->offset, "activation", "sin(w0 (W h + b))", "init", variant);
    char *text = json_dumps(root, JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
}

static char *signal_json(const pv_signal *signal, const char *signal_path)
{
    json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:s}", "source", "idx", "path", signal_path,
                             "height", pv_signal_height(signal), "width", pv_signal_width(signal), "channels",
                             pv_signal_channels(signal), "classes", pv_signal_classes(signal), "coordinates",
                             "(x, y), linspace(-1, 1) a side, x along a row and fastest");
    char *text = json_dumps(root, 0);
    json_decref(root);
    return text;
}

static pv_status write_attributes(hid_t file, const pv_signal *signal, const char *signal_path,
                                  const pv_arch *arch, const char *variant, const char *config_yaml)
{
    char *arch_text = arch_json(arch, variant), *signal_text = signal_json(signal, signal_path);
    pv_status st;
    if (!arch_text || !signal_text) {
        st = pv_fail(PV_ERR_CONFIG, "the signal's path is not valid UTF-8: '%s'", signal_path);
        goto done;
    }
    PV_TRY(pv_h5_write_text(file, "polyview_kind", "store"));
    PV_TRY(pv_h5_write_int(file, "polyview_version", PV_STORE_VERSION));
    PV_TRY(pv_h5_write_text(file, "arch", arch_text));
    PV_TRY(pv_h5_write_text(file, "signal", signal_text));
    PV_TRY(pv_h5_write_text(file, "config", config_yaml));
    PV_TRY(pv_h5_write_text(file, "code_version", pv_version()));
    PV_TRY(pv_h5_write_text(file, "instruction_set", pv_isa_name(pv_cpu_isa())));
done:
    free(arch_text);
    free(signal_text);
    return st;
}

/* /layout: where each tensor lies in a row, as a table of (name, offset, rows, cols). */
static pv_status write_layout(hid_t file, const pv_arch *arch)
{
    pv_arch_tensor tensors[2 * PV_SIREN_MAX_LAYERS];
    const hsize_t count = (hsize_t)pv_arch_layout(arch, tensors), start = 0;
    const hid_t name = H5Tcopy(H5T_C_S1), type = H5Tcreate(H5T_COMPOUND, sizeof(pv_arch_tensor));
    hid_t dataset = -1;
    H5Tset_size(name, sizeof tensors[0].name);
    H5Tinsert(type, "name", HOFFSET(pv_arch_tensor, name), name);
    H5Tinsert(type, "offset", HOFFSET(pv_arch_tensor, offset), H5T_NATIVE_INT);
    H5Tinsert(type, "rows", HOFFSET(pv_arch_tensor, rows), H5T_NATIVE_INT);
    H5Tinsert(type, "cols", HOFFSET(pv_arch_tensor, cols), H5T_NATIVE_INT);
    pv_status st = pv_h5_create(file, "/layout", type, 1, &count, 0, &dataset);
    if (st == PV_OK) st = pv_h5_write_box(dataset, "/layout", type, 1, &start, &count, tensors);
    if (dataset >= 0) H5Dclose(dataset);
    H5Tclose(type);
    H5Tclose(name);
    return st;
}

/* Labels, splits and sources of all objects. */
static pv_status write_objects(const hid_t columns[COLUMNS], const pv_signal *signal)
{
    pv_status st = PV_OK;
    int32_t *labels = NULL;
    uint8_t *splits = NULL;
    uint64_t *sources = NULL;
    const int64_t objects = pv_signal_objects(signal);
    PV_ALLOC(labels, OBJECT_BLOCK);
    PV_ALLOC(splits, OBJECT_BLOCK);
    PV_ALLOC(sources, OBJECT_BLOCK);
    for (int64_t first = 0; first < objects; first += OBJECT_BLOCK) {
        const int64_t block = objects - first < OBJECT_BLOCK ? objects - first : OBJECT_BLOCK;
        for (int64_t i = 0; i < block; i++) {
            labels[i] = pv_signal_label(signal, first + i);
            splits[i] = pv_signal_split(signal, first + i);
            sources[i] = pv_signal_source_id(signal, first + i);
        }
        const void *data[] = {labels, splits, sources};
        const hsize_t start = (hsize_t)first, count = (hsize_t)block;
        for (int c = COLUMN_LABEL; c <= COLUMN_SOURCE; c++)
            PV_TRY(pv_h5_write_box(columns[c], store_column_name((store_column)c),
                                   store_column_type((store_column)c), STORE_OBJECT_RANK, &start, &count,
                                   data[c - COLUMN_LABEL]));
    }
done:
    free(labels);
    free(splits);
    free(sources);
    return st;
}

static pv_status create_columns(hid_t file, int64_t views, int64_t objects, int params,
                                hid_t columns[COLUMNS])
{
    const hsize_t dims[STORE_PARAMS_RANK] = {(hsize_t)views, (hsize_t)objects, (hsize_t)params};
    for (int c = 0; c < COLUMNS; c++) {
        const store_column column = (store_column)c;
        const int rank = store_column_rank(column);
        const pv_status st =
            pv_h5_create(file, store_column_name(column), store_column_type(column), rank,
                         rank == STORE_OBJECT_RANK ? dims + 1 : dims, column != COLUMN_PARAMS, &columns[c]);
        if (st != PV_OK) return st;
    }
    return PV_OK;
}

/* No less than the file will take: the columns, and room for everything else. */
static int64_t file_bytes(int64_t views, int64_t objects, int params, const char *config_yaml)
{
    int64_t row = 0, object = 0;
    for (int c = 0; c < COLUMNS; c++) {
        const int64_t bytes = (int64_t)H5Tget_size(store_column_type((store_column)c));
        if (c == COLUMN_PARAMS)
            row += bytes * params;
        else if (store_column_rank((store_column)c) == STORE_VIEW_RANK)
            row += bytes;
        else
            object += bytes;
    }
    return views * objects * row + objects * object + (int64_t)strlen(config_yaml) + OTHER_BYTES;
}

/* Rank 0's work: the whole file but for the rows, under the name `part`. */
static pv_status create_file(const char *path, const char *part, const pv_signal *signal,
                             const char *signal_path, const pv_arch *arch, const char *variant, int64_t views,
                             const char *config_yaml)
{
    pv_status st;
    const int64_t objects = pv_signal_objects(signal);
    const int64_t bytes = file_bytes(views, objects, pv_arch_params(arch), config_yaml);
    hid_t file = -1, columns[COLUMNS];
    for (int c = 0; c < COLUMNS; c++)
        columns[c] = -1;
    /* Once to know, and once for good: HDF5 empties the file that it creates, and cannot go on on a full
     * disk. */
    PV_TRY(pv_file_reserve(part, path, bytes));
    file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0) PV_TRY(pv_h5_fail("cannot create the store", part));
    PV_TRY(pv_file_reserve(part, path, bytes));
    PV_TRY(write_attributes(file, signal, signal_path, arch, variant, config_yaml));
    PV_TRY(create_columns(file, views, objects, pv_arch_params(arch), columns));
    PV_TRY(write_layout(file, arch));
    PV_TRY(write_objects(columns, signal));
done:
    for (int c = 0; c < COLUMNS; c++)
        if (columns[c] >= 0) H5Dclose(columns[c]);
    if (file >= 0 && H5Fclose(file) < 0 && st == PV_OK) st = pv_h5_fail("cannot close the new store", part);
    return st;
}

pv_status pv_store_create(const pv_comm *comm, const char *path, const pv_signal *signal,
                          const char *signal_path, const pv_arch *arch, const char *variant, int64_t views,
                          const char *config_yaml)
{
    pv_status st = PV_OK;
    if (comm->rank == 0) {
        char *part = pv_file_part(path);
        if (!part)
            st = PV_ERR_NOMEM;
        else if (access(path, F_OK) == 0)
            st = pv_fail(PV_ERR_IO, "'%s' exists already", path);
        else if ((st = create_file(path, part, signal, signal_path, arch, variant, views, config_yaml)) !=
                     PV_OK ||
                 (st = pv_file_publish(part, path)) != PV_OK)
            unlink(part);
        free(part);
    }
    return pv_agree(comm, st);
}
