/* An open store: its head, its facts, and its rows and objects. */
#include "store/pv_store.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "pv_shards.h"
#include "parallel/pv_h5.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct pv_store {
    const pv_comm *comm;
    store_file file;
    hid_t columns[COLUMNS]; /* of objects; those of rows are in the shards */
    store_shape shape;
    shards shards;
    pv_signal_about about;
    pv_class_name *class_names; /* [about.classes]; NULL: none */
    pv_arch arch;
    char *path, *texts[PV_STORE_TEXTS];
};

/* Early stores and those of others may lack the last texts. */
static pv_status read_text(pv_store *store, int which)
{
    char **const text = &store->texts[which];
    if (which < PV_STORE_CODE_VERSION || H5Aexists(store->file.id, store_text_names[which]) > 0)
        return pv_h5_read_text(store->file.id, store_text_names[which], text);
    *text = pv_strdup("");
    return *text ? PV_OK : PV_ERR_NOMEM;
}

/* How many real targets an object has: none, where there is no such column. */
static pv_status count_targets(pv_store *store)
{
    const char *name = store_column_name(COLUMN_TARGET);
    hsize_t dims[2];
    if (H5Lexists(store->file.id, name, H5P_DEFAULT) <= 0) return PV_OK;
    const hid_t dataset = H5Dopen2(store->file.id, name, H5P_DEFAULT);
    if (dataset < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s does not open", store->path, name);
    const int rank = pv_h5_dims(dataset, 2, dims);
    H5Dclose(dataset);
    if (rank != 2 || dims[1] < 1 || dims[1] > PV_SIGNAL_MAX_TARGETS)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is not 1 to %d real numbers of each object",
                       store->path, name, PV_SIGNAL_MAX_TARGETS);
    store->shape.targets = (int)dims[1];
    return PV_OK;
}

/* Whether rows are judged by held-out samples: then they have these columns. */
static void find_judgements(pv_store *store)
{
    if (H5Lexists(store->file.id, store_column_name(COLUMN_FRAME), H5P_DEFAULT) > 0)
        store->shape.frame = PV_SOURCE_FRAME;
}

static bool has_digests(const pv_store *store)
{
    return H5Lexists(store->file.id, store_column_name(COLUMN_DIGEST), H5P_DEFAULT) > 0;
}

/* The names of classes, where there are. */
static pv_status read_class_names(pv_store *store)
{
    pv_status st = PV_OK;
    hsize_t start = 0, count = 0;
    if (H5Lexists(store->file.id, CLASS_NAMES_TABLE, H5P_DEFAULT) <= 0) return PV_OK;
    const hid_t dataset = H5Dopen2(store->file.id, CLASS_NAMES_TABLE, H5P_DEFAULT), type = store_name_type();
    const hid_t kept = dataset < 0 ? -1 : H5Dget_type(dataset);
    if (kept < 0 || H5Tget_class(kept) != H5T_STRING || H5Tis_variable_str(kept) > 0 ||
        !pv_h5_is_own(dataset) || pv_h5_dims(dataset, 1, &count) != 1 || count < 1 ||
        count != (hsize_t)store->about.classes)
        PV_TRY(pv_fail(PV_ERR_DATA,
                       "'%s' is damaged: %s is not a string of fixed length for each of the %d classes",
                       store->path, CLASS_NAMES_TABLE, store->about.classes));
    PV_ALLOC(store->class_names, count);
    PV_TRY(pv_h5_read_box(dataset, CLASS_NAMES_TABLE, type, 1, &start, &count, store->class_names));
done:
    if (kept >= 0) H5Tclose(kept);
    H5Tclose(type);
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}

static pv_status read_head(pv_store *store)
{
    pv_status st;
    PV_TRY(pv_h5_check_kind(store->file.id, store->path, "store", STORE_VERSION));
    for (int which = 0; which < PV_STORE_TEXTS; which++)
        PV_TRY(read_text(store, which));
    PV_TRY(pv_arch_from_json(store->texts[PV_STORE_ARCH], store->path, &store->arch));
    store->shape.params = pv_arch_params(&store->arch);
    PV_TRY(pv_signal_from_json(store->texts[PV_STORE_SIGNAL], store->path, &store->about));
    PV_TRY(shards_find(store->file.id, store->path, &store->shards, &store->shape));
    PV_TRY(count_targets(store));
    find_judgements(store);
    for (int c = ROW_COLUMNS; c < COLUMNS; c++)
        if (store_column_exists(c, &store->shape) && (c != COLUMN_DIGEST || has_digests(store)))
            PV_TRY(store_column_open(store->file.id, store->path, (store_column)c, &store->shape,
                                     &store->columns[c]));
    PV_TRY(read_class_names(store));
done:
    return st;
}

/* Collective where files are open. */
static pv_status free_store(pv_store *store)
{
    if (!store) return PV_OK;
    pv_status st = shards_close(store->comm, &store->shards);
    store_columns_close(COLUMNS, store->columns);
    free(store->class_names);
    const pv_status closed = store_file_close(store->comm, store->path, &store->file);
    free(store->path);
    for (int which = 0; which < PV_STORE_TEXTS; which++)
        free(store->texts[which]);
    free(store);
    return st == PV_OK ? closed : st;
}

static pv_status new_store(const pv_comm *comm, const char *path, pv_store **out)
{
    *out = pv_alloc(1, sizeof **out);
    if (!*out) return PV_ERR_NOMEM;
    (*out)->comm = comm;
    (*out)->file = (store_file){-1, -1, 0};
    for (int column = 0; column < COLUMNS; column++)
        (*out)->columns[column] = -1;
    (*out)->path = pv_strdup(path);
    return (*out)->path ? PV_OK : PV_ERR_NOMEM;
}

/* A shard written to as if it were the whole would get the rows of other views and objects. */
static pv_status check_whole(const pv_store *store, bool writing)
{
    if (!writing || H5Aexists(store->file.id, "first_view") <= 0) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' is a shard of a larger store: open that one to write", store->path);
}

pv_status pv_store_open(const pv_comm *comm, const char *path, pv_store_mode mode,
                        const pv_storage_opts *storage, pv_store **out)
{
    const bool writing = mode == PV_STORE_WRITE;
    pv_store *store = NULL;
    pv_status st;
    *out = NULL;
    PV_TRY(pv_same_text(comm, "path of pv_store_open", path));
    PV_TRY(pv_same(comm, "mode of pv_store_open", &mode, sizeof mode));
    PV_TRY(pv_agree(comm, new_store(comm, path, &store)));
    PV_TRY(store_file_open(comm, path, writing, storage, &store->file));
    errno = 0;
    PV_TRY(pv_agree(comm, pv_h5_or_unreadable(read_head(store), path)));
    PV_TRY(pv_agree(comm, check_whole(store, writing)));
    PV_TRY(shards_open(comm, &store->file, &store->shape, writing, storage, &store->shards));
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
    return pv_agree(comm, free_store(store));
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
    for (int i = 0; st == PV_OK && i < store->shards.count; i++) {
        const char *const name = store->shards.all[i].name;
        if (!name) continue;
        char path[PATH_MAX];
        shards_beside(store->path, name, path);
        st = add_bytes(path, length, on_disk);
    }
    return st;
}

int64_t pv_store_views(const pv_store *store)
{
    return store->shape.views;
}

int64_t pv_store_objects(const pv_store *store)
{
    return store->shape.objects;
}

int pv_store_shards(const pv_store *store)
{
    return store->shards.all[0].name ? store->shards.count : 0;
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
    return store->shape.params;
}

const struct shards *pv_store_shard_set(const pv_store *store)
{
    return &store->shards;
}

const char *pv_store_text(const pv_store *store, pv_store_texts which)
{
    return store->texts[which];
}

const pv_signal_about *pv_store_signal(const pv_store *store)
{
    return &store->about;
}

const pv_class_name *pv_store_class_names(const pv_store *store)
{
    return store->class_names;
}

int pv_store_targets(const pv_store *store)
{
    return store->shape.targets;
}

bool pv_store_is_judged(const pv_store *store)
{
    return store->shape.frame > 0;
}

static pv_status read_rows(const pv_store *store, store_column column, int64_t view, int64_t first,
                           int64_t count, void *data)
{
    return shards_read(&store->shards, &store->shape, column, view, first, count, data);
}

pv_status pv_store_read_objects(const pv_store *store, int column, int64_t first, int64_t count, void *data)
{
    if (store->columns[column] < 0) return PV_OK;
    return store_column_read(store->columns[column], (store_column)column, &store->shape, 0, first, count,
                             data);
}

pv_status pv_store_read_status(const pv_store *store, int64_t view, int64_t first, int64_t count,
                               uint8_t *status)
{
    return read_rows(store, COLUMN_STATUS, view, first, count, status);
}

pv_status pv_store_read_rows(const pv_store *store, int64_t view, int64_t first, int64_t count, float *rows)
{
    return read_rows(store, COLUMN_PARAMS, view, first, count, rows);
}

pv_status pv_store_read_checksums(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                  uint64_t *checksums)
{
    return read_rows(store, COLUMN_CHECKSUM, view, first, count, checksums);
}

pv_status pv_store_read_psnr(const pv_store *store, int64_t view, int64_t first, int64_t count, float *psnr)
{
    return read_rows(store, COLUMN_PSNR, view, first, count, psnr);
}

pv_status pv_store_read_judgements(const pv_store *store, int64_t view, int64_t first, int64_t count,
                                   float *iou, float *surface_error)
{
    const pv_status st = read_rows(store, COLUMN_IOU, view, first, count, iou);
    return st == PV_OK ? read_rows(store, COLUMN_SURFACE_ERROR, view, first, count, surface_error) : st;
}

pv_status pv_store_read_labels(const pv_store *store, int64_t first, int64_t count, int32_t *labels)
{
    return pv_store_read_objects(store, COLUMN_LABEL, first, count, labels);
}

pv_status pv_store_read_splits(const pv_store *store, int64_t first, int64_t count, uint8_t *splits)
{
    return pv_store_read_objects(store, COLUMN_SPLIT, first, count, splits);
}

pv_status pv_store_read_sources(const pv_store *store, int64_t first, int64_t count, uint64_t *sources)
{
    return pv_store_read_objects(store, COLUMN_SOURCE, first, count, sources);
}

pv_status pv_store_read_targets(const pv_store *store, int64_t first, int64_t count, float *targets)
{
    return pv_store_read_objects(store, COLUMN_TARGET, first, count, targets);
}

bool pv_store_has_digests(const pv_store *store)
{
    return store->columns[COLUMN_DIGEST] >= 0;
}

pv_status pv_store_read_digests(const pv_store *store, int64_t first, int64_t count, uint64_t *digests)
{
    memset(digests, 0, sizeof *digests * (size_t)count);
    return pv_store_read_objects(store, COLUMN_DIGEST, first, count, digests);
}

/* Of objects, in the file that keeps the objects. */
static pv_status write_objects(pv_store *store, store_column column, int64_t first, int64_t count,
                               const void *data)
{
    pv_status st = store_file_check(&store->file, store->path);
    if (st == PV_OK)
        st = store_column_write(store->columns[column], column, &store->shape, 0, first, count, data);
    if (st == PV_OK && store->shards.sync && pv_store_shards(store) > 0)
        st = store_file_sync(&store->file, store->path);
    return st;
}

pv_status pv_store_write_digests(pv_store *store, int64_t first, int64_t count, const uint64_t *digests)
{
    return pv_store_has_digests(store) ? write_objects(store, COLUMN_DIGEST, first, count, digests) : PV_OK;
}

pv_status pv_store_write_frames(pv_store *store, int64_t first, int64_t count, const float *frames)
{
    return write_objects(store, COLUMN_FRAME, first, count, frames);
}

pv_status pv_store_write_judgements(pv_store *store, int64_t view, int64_t first, int64_t count,
                                    const float *iou, const float *surface_error)
{
    return shards_write(
        &store->shards, &store->shape, view, first, count,
        (const void *[ROW_COLUMNS]){[COLUMN_IOU] = iou, [COLUMN_SURFACE_ERROR] = surface_error});
}

pv_status pv_store_write_rows(pv_store *store, int64_t view, int64_t first, int64_t count, const float *rows,
                              const float *psnr, const uint32_t *steps, const uint8_t *status)
{
    pv_status st;
    uint64_t *checksums = NULL;
    PV_ALLOC(checksums, count);
    pv_checksum_rows(rows, sizeof *rows * (size_t)store->shape.params, count, checksums);
    st = shards_write(&store->shards, &store->shape, view, first, count,
                      (const void *[ROW_COLUMNS]){[COLUMN_PARAMS] = rows,
                                                  [COLUMN_CHECKSUM] = checksums,
                                                  [COLUMN_PSNR] = psnr,
                                                  [COLUMN_STEPS] = steps,
                                                  [COLUMN_STATUS] = status});
done:
    free(checksums);
    return st;
}

pv_status pv_store_discard(pv_store *store, int64_t view, int64_t object)
{
    const uint8_t missing = PV_ROW_MISSING;
    return shards_write(&store->shards, &store->shape, view, object, 1,
                        (const void *[ROW_COLUMNS]){[COLUMN_STATUS] = &missing});
}
