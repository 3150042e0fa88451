/* Which file holds which rows of an open store, and the order in which rows are written. */
#include "pv_shards.h"
#include "base/pv_mem.h"
#include "parallel/pv_h5.h"
#include "parallel/pv_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

hid_t shard_entry_type(void)
{
    const hid_t name = H5Tcopy(H5T_C_S1), type = H5Tcreate(H5T_COMPOUND, sizeof(shard_entry));
    H5Tset_size(name, SHARD_NAME_BYTES);
    H5Tinsert(type, "file", HOFFSET(shard_entry, name), name);
    H5Tinsert(type, "first_view", HOFFSET(shard_entry, box.first_view), H5T_NATIVE_INT64);
    H5Tinsert(type, "views", HOFFSET(shard_entry, box.views), H5T_NATIVE_INT64);
    H5Tinsert(type, "first_object", HOFFSET(shard_entry, box.first_object), H5T_NATIVE_INT64);
    H5Tinsert(type, "objects", HOFFSET(shard_entry, box.objects), H5T_NATIVE_INT64);
    H5Tclose(name);
    return type;
}

void shards_beside(const char *path, const char *name, char out[PATH_MAX])
{
    const char *const slash = strrchr(path, '/');
    const int length = slash ? (int)(slash - path + 1) : 0;
    if (snprintf(out, PATH_MAX, "%.*s%s", length, path, name) >= PATH_MAX) out[0] = '\0';
}

static pv_status make_shards(shards *set, int count)
{
    set->all = pv_alloc(count, sizeof *set->all);
    if (!set->all) return PV_ERR_NOMEM;
    set->count = count;
    for (int i = 0; i < count; i++) {
        set->all[i].own = (store_file){-1, -1, 0};
        for (int c = 0; c < ROW_COLUMNS; c++)
            set->all[i].columns[c] = -1;
    }
    return PV_OK;
}

/* The store is one file: its extent is that of /params. */
static pv_status find_own_rows(hid_t file, shards *set, store_shape *shape)
{
    hsize_t dims[STORE_MAX_RANK];
    const char *name = store_column_name(COLUMN_PARAMS);
    errno = 0;
    const hid_t params = H5Dopen2(file, name, H5P_DEFAULT);
    if (params < 0 && pv_h5_cannot_read(errno))
        return pv_fail(PV_ERR_IO, "cannot read %s of '%s': %s", name, set->path, strerror(errno));
    if (params < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset %s", set->path, name);
    const int rank = pv_h5_dims(params, STORE_MAX_RANK, dims);
    H5Dclose(params);
    if (rank != STORE_MAX_RANK || dims[0] > INT32_MAX || dims[1] > INT64_MAX / INT32_MAX)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %d dimensions, %llu x %llu", set->path, name,
                       rank, (unsigned long long)dims[0], (unsigned long long)dims[1]);
    shape->views = (int64_t)dims[0];
    shape->objects = (int64_t)dims[1];
    const pv_status st = make_shards(set, 1);
    if (st == PV_OK) set->all[0].box = (store_box){0, shape->views, 0, shape->objects};
    return st;
}

static pv_status read_table(hid_t file, const shards *set, shard_entry **out, int *count)
{
    hsize_t length = 0;
    const hid_t table = H5Dopen2(file, SHARDS_TABLE, H5P_DEFAULT);
    if (table < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is no table", set->path, SHARDS_TABLE);
    const hid_t type = shard_entry_type();
    pv_status st = PV_OK;
    pv_h5_dims(table, 1, &length);
    if (!pv_h5_is_own(table))
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is kept in other files", set->path, SHARDS_TABLE);
    else if (length < 1 || length > SHARDS_MAX)
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %llu entries, expected 1 to %d", set->path,
                     SHARDS_TABLE, (unsigned long long)length, SHARDS_MAX);
    else if (!(*out = pv_alloc((int64_t)length, sizeof **out)))
        st = PV_ERR_NOMEM;
    else if (H5Dread(table, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) < 0)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' is damaged: %s cannot be read as (file, first_view, views, first_object, objects)",
                     set->path, SHARDS_TABLE);
    *count = (int)length;
    H5Tclose(type);
    H5Dclose(table);
    return st;
}

/* A name that stays below the master's directory. */
static bool is_inside(const char *name)
{
    return name[0] != '\0' && name[0] != '/' && !strstr(name, "..");
}

static bool overlap(const store_box *a, const store_box *b)
{
    return a->first_view < b->first_view + b->views && b->first_view < a->first_view + a->views &&
           a->first_object < b->first_object + b->objects && b->first_object < a->first_object + a->objects;
}

static bool is_sane(const store_box *box)
{
    const int64_t most = INT64_MAX / INT32_MAX / 4;
    return box->first_view >= 0 && box->views > 0 && box->views <= INT32_MAX &&
           box->first_view <= INT32_MAX - box->views && box->first_object >= 0 && box->first_object < most &&
           box->objects >= 0 && box->objects < most;
}

/* The boxes must tile the store: none overlaps another, and their rows are as many as the store's. */
static pv_status check_tiling(const shards *set, const store_shape *shape)
{
    double rows = 0;
    for (int i = 0; i < set->count; i++) {
        rows += (double)set->all[i].box.views * (double)set->all[i].box.objects;
        for (int j = 0; j < i; j++)
            if (overlap(&set->all[i].box, &set->all[j].box))
                return pv_fail(PV_ERR_DATA, "'%s' is damaged: its shards %d and %d overlap", set->path, j, i);
    }
    if (rows != (double)shape->views * (double)shape->objects)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: its shards hold %.0f rows of %.0f", set->path, rows,
                       (double)shape->views * (double)shape->objects);
    return PV_OK;
}

static pv_status take_entries(shards *set, store_shape *shape, shard_entry *entries, int count)
{
    pv_status st = make_shards(set, count);
    if (st != PV_OK) return st;
    shape->views = shape->objects = 0;
    for (int i = 0; i < count; i++) {
        const store_box *box = &entries[i].box;
        entries[i].name[SHARD_NAME_BYTES - 1] = '\0';
        if (!is_inside(entries[i].name) || !is_sane(box))
            return pv_fail(PV_ERR_DATA,
                           "'%s' is damaged: shard %d is views %lld + %lld of objects %lld + %lld in '%s'",
                           set->path, i, (long long)box->first_view, (long long)box->views,
                           (long long)box->first_object, (long long)box->objects, entries[i].name);
        set->all[i].box = *box;
        set->all[i].name = pv_strdup(entries[i].name);
        if (!set->all[i].name) return PV_ERR_NOMEM;
        if (box->first_view + box->views > shape->views) shape->views = box->first_view + box->views;
        if (box->first_object + box->objects > shape->objects)
            shape->objects = box->first_object + box->objects;
    }
    return check_tiling(set, shape);
}

pv_status shards_find(hid_t file, const char *path, shards *found, store_shape *shape)
{
    shard_entry *entries = NULL;
    int count = 0;
    *found = (shards){.path = path};
    if (H5Lexists(file, SHARDS_TABLE, H5P_DEFAULT) <= 0) return find_own_rows(file, found, shape);
    pv_status st = read_table(file, found, &entries, &count);
    if (st == PV_OK) st = take_entries(found, shape, entries, count);
    free(entries);
    return st;
}

static pv_status open_columns(const store_shape *whole, const char *path, shard *one)
{
    store_shape shape = *whole;
    shape.views = one->box.views;
    shape.objects = one->box.objects;
    pv_status st = PV_OK;
    for (int c = 0; st == PV_OK && c < ROW_COLUMNS; c++)
        if (store_column_exists(c, &shape))
            st = store_column_open(one->file->id, path, (store_column)c, &shape, &one->columns[c]);
    return st;
}

/* The path of a shard's file. */
static const char *path_of(const shards *set, const shard *one, char path[PATH_MAX])
{
    if (!one->name) return set->path;
    shards_beside(set->path, one->name, path);
    return path;
}

static pv_status open_shard(const pv_comm *comm, const store_file *own, const shards *set,
                            const store_shape *whole, bool writing, const pv_storage_opts *storage,
                            shard *one)
{
    char named[PATH_MAX];
    const char *const path = path_of(set, one, named);
    pv_status st;
    one->file = one->name ? &one->own : own;
    if (one->name) PV_TRY(store_file_open(comm, path, writing, storage, &one->own));
    PV_TRY(pv_agree(comm, open_columns(whole, path, one)));
done:
    return st;
}

/* Makes room for the descriptors of all shards: anyone may raise the usual limit of 1024 open files. */
static pv_status allow_files(const shards *set, bool writing)
{
    enum { OTHERS = 64 }; /* MPI's, HDF5's, the signal's */
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)set->count * (writing ? 2 : 1) + OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return PV_OK;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted)
        return pv_fail(PV_ERR_IO,
                       "'%s' has %d shards: %llu files would be open at a time, and this system allows %llu "
                       "(ulimit -Hn)",
                       set->path, set->count, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? PV_OK
                                                 : pv_fail(PV_ERR_IO, "cannot allow %llu open files: %s",
                                                           (unsigned long long)wanted, strerror(errno));
}

pv_status shards_open(const pv_comm *comm, const store_file *own, const store_shape *shape, bool writing,
                      const pv_storage_opts *storage, shards *found)
{
    pv_status st = pv_agree(comm, allow_files(found, writing));
    found->sync = writing && storage && storage->sync;
    for (int i = 0; st == PV_OK && i < found->count; i++) {
        st = open_shard(comm, own, found, shape, writing, storage, &found->all[i]);
        if (st == PV_OK) st = pv_walk_on(comm);
    }
    return st;
}

pv_status shards_close(const pv_comm *comm, shards *found)
{
    pv_status st = PV_OK;
    char named[PATH_MAX];
    for (int i = 0; i < found->count; i++) {
        shard *const one = &found->all[i];
        store_columns_close(ROW_COLUMNS, one->columns);
        const pv_status closed = store_file_close(comm, path_of(found, one, named), &one->own);
        if (st == PV_OK) st = closed;
        free(one->name);
    }
    free(found->all);
    *found = (shards){0};
    return st;
}

/* What of a request lies in a shard, in the shard's numbers, and how far from the request's start. */
typedef struct extract {
    int64_t view, first, count, offset;
} extract;

/* False: nothing. */
static bool extract_of(const shard *one, int64_t view, int64_t first, int64_t count, extract *out)
{
    const store_box *box = &one->box;
    const int64_t start = first > box->first_object ? first : box->first_object;
    const int64_t box_end = box->first_object + box->objects;
    const int64_t end = first + count < box_end ? first + count : box_end;
    *out = (extract){view - box->first_view, start - box->first_object, end - start, start - first};
    return view >= box->first_view && view < box->first_view + box->views && start < end;
}

pv_status shards_read(const shards *from, const store_shape *shape, store_column column, int64_t view,
                      int64_t first, int64_t count, void *data)
{
    const size_t entry = store_column_entry(column, shape);
    pv_status st = PV_OK;
    extract x;
    for (int i = 0; st == PV_OK && i < from->count; i++)
        if (extract_of(&from->all[i], view, first, count, &x))
            st = store_column_read(from->all[i].columns[column], column, shape, x.view, x.first, x.count,
                                   (char *)data + (size_t)x.offset * entry);
    return st;
}

/* The order that makes a torn write harmless: the status last, when all else is on disk. */
static pv_status write_extract(const shards *set, const shard *one, const store_shape *shape,
                               const extract *x, const void *const data[ROW_COLUMNS])
{
    static const store_column order[] = {COLUMN_PARAMS, COLUMN_CHECKSUM,      COLUMN_PSNR,  COLUMN_STEPS,
                                         COLUMN_IOU,    COLUMN_SURFACE_ERROR, COLUMN_STATUS};
    char named[PATH_MAX];
    const char *const path = path_of(set, one, named);
    pv_status st = store_file_check(one->file, path);
    for (size_t c = 0; st == PV_OK && c < sizeof order / sizeof *order; c++) {
        const store_column column = order[c];
        if (!data[column]) continue;
        if (column == COLUMN_STATUS && data[COLUMN_PARAMS] && set->sync)
            st = store_file_sync(one->file, path);
        if (st != PV_OK) break;
        st = store_column_write(one->columns[column], column, shape, x->view, x->first, x->count,
                                (const char *)data[column] +
                                    (size_t)x->offset * store_column_entry(column, shape));
    }
    return st;
}

pv_status shards_write(const shards *to, const store_shape *shape, int64_t view, int64_t first, int64_t count,
                       const void *const data[ROW_COLUMNS])
{
    pv_status st = PV_OK;
    extract x;
    for (int i = 0; st == PV_OK && i < to->count; i++)
        if (extract_of(&to->all[i], view, first, count, &x))
            st = write_extract(to, &to->all[i], shape, &x, data);
    return st;
}
