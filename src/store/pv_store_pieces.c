/* Which file holds which rows of an open store: its own, or shards named in /shards. */
#include "pv_store_file.h"
#include "base/pv_mem.h"
#include "store/pv_h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

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

char *store_beside(const char *path, const char *name)
{
    const char *const slash = strrchr(path, '/');
    char *out = NULL;
    if (asprintf(&out, "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, name) >= 0) return out;
    pv_fail(PV_ERR_NOMEM, "no memory for a path beside '%s'", path);
    return NULL;
}

static store_piece *new_pieces(int count)
{
    store_piece *pieces = pv_alloc(count, sizeof *pieces);
    for (int i = 0; pieces && i < count; i++) {
        pieces[i].file = -1;
        pieces[i].sync = -1;
        for (int c = 0; c < ROW_COLUMNS; c++)
            pieces[i].columns[c] = -1;
    }
    return pieces;
}

/* The store is one file: its extent is that of /params. */
static pv_status find_own_rows(pv_store *store)
{
    hsize_t dims[STORE_PARAMS_RANK] = {0};
    const char *name = store_column_name(COLUMN_PARAMS);
    const hid_t params = H5Dopen2(store->file, name, H5P_DEFAULT);
    if (params < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: it has no dataset %s", store->path, name);
    const hid_t space = H5Dget_space(params);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank == STORE_PARAMS_RANK) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Dclose(params);
    if (rank != STORE_PARAMS_RANK || dims[0] > INT32_MAX || dims[1] > INT64_MAX / INT32_MAX)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %d dimensions, %llu x %llu", store->path, name,
                       rank, (unsigned long long)dims[0], (unsigned long long)dims[1]);
    store->views = (int64_t)dims[0];
    store->objects = (int64_t)dims[1];
    store->pieces = new_pieces(1);
    if (!store->pieces) return PV_ERR_NOMEM;
    store->piece_count = 1;
    store->pieces[0].box = (store_box){0, store->views, 0, store->objects};
    return PV_OK;
}

static pv_status read_table(const pv_store *store, shard_entry **out, int *count)
{
    hsize_t length = 0;
    const hid_t table = H5Dopen2(store->file, SHARDS_TABLE, H5P_DEFAULT);
    if (table < 0) return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is no table", store->path, SHARDS_TABLE);
    const hid_t space = H5Dget_space(table), type = shard_entry_type();
    pv_status st = PV_OK;
    if (H5Sget_simple_extent_ndims(space) == 1) H5Sget_simple_extent_dims(space, &length, NULL);
    if (!pv_h5_is_own(table))
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is kept in other files", store->path, SHARDS_TABLE);
    else if (length < 1 || length > PV_STORE_MAX_SHARDS)
        st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s has %llu entries, expected 1 to %d", store->path,
                     SHARDS_TABLE, (unsigned long long)length, PV_STORE_MAX_SHARDS);
    else if (!(*out = pv_alloc((int64_t)length, sizeof **out)))
        st = PV_ERR_NOMEM;
    else if (H5Dread(table, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *out) < 0)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' is damaged: %s cannot be read as (file, first_view, views, "
                     "first_object, objects)",
                     store->path, SHARDS_TABLE);
    *count = (int)length;
    H5Tclose(type);
    H5Sclose(space);
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
static pv_status check_tiling(const pv_store *store)
{
    double rows = 0;
    for (int i = 0; i < store->piece_count; i++) {
        rows += (double)store->pieces[i].box.views * (double)store->pieces[i].box.objects;
        for (int j = 0; j < i; j++)
            if (overlap(&store->pieces[i].box, &store->pieces[j].box))
                return pv_fail(PV_ERR_DATA, "'%s' is damaged: its shards %d and %d overlap", store->path, j,
                               i);
    }
    if (rows != (double)store->views * (double)store->objects)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: its shards hold %.0f rows of %.0f", store->path, rows,
                       (double)store->views * (double)store->objects);
    return PV_OK;
}

static pv_status take_entries(pv_store *store, shard_entry *entries, int count)
{
    store->pieces = new_pieces(count);
    if (!store->pieces) return PV_ERR_NOMEM;
    store->piece_count = count;
    for (int i = 0; i < count; i++) {
        const store_box *box = &entries[i].box;
        entries[i].name[SHARD_NAME_BYTES - 1] = '\0';
        if (!is_inside(entries[i].name) || !is_sane(box))
            return pv_fail(PV_ERR_DATA,
                           "'%s' is damaged: shard %d is views %lld + %lld of objects %lld + %lld in '%s'",
                           store->path, i, (long long)box->first_view, (long long)box->views,
                           (long long)box->first_object, (long long)box->objects, entries[i].name);
        store->pieces[i].box = *box;
        store->pieces[i].name = pv_strdup(entries[i].name);
        if (!store->pieces[i].name) return PV_ERR_NOMEM;
        if (box->first_view + box->views > store->views) store->views = box->first_view + box->views;
        if (box->first_object + box->objects > store->objects)
            store->objects = box->first_object + box->objects;
    }
    return check_tiling(store);
}

pv_status store_find_pieces(pv_store *store)
{
    shard_entry *entries = NULL;
    int count = 0;
    if (H5Lexists(store->file, SHARDS_TABLE, H5P_DEFAULT) <= 0) return find_own_rows(store);
    pv_status st = read_table(store, &entries, &count);
    if (st == PV_OK) st = take_entries(store, entries, count);
    free(entries);
    return st;
}

static pv_status open_columns(pv_store *store, store_piece *piece, const char *path, bool sync)
{
    const hid_t file = piece->file >= 0 ? piece->file : store->file;
    pv_status st = PV_OK;
    for (int c = 0; st == PV_OK && c < ROW_COLUMNS; c++)
        st = store_open_column(file, path, (store_column)c, piece->box.views, piece->box.objects,
                               store->params, &piece->columns[c]);
    if (st == PV_OK && sync && (piece->sync = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        st = pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    return st;
}

static pv_status open_piece(pv_store *store, store_piece *piece, pv_store_mode mode,
                            const pv_storage_opts *storage)
{
    const pv_comm *comm = store->comm;
    const bool writing = mode == PV_STORE_WRITE;
    pv_status st;
    char *path = piece->name ? store_beside(store->path, piece->name) : pv_strdup(store->path);
    PV_TRY(pv_agree(comm, path ? PV_OK : PV_ERR_NOMEM));
    if (piece->name) {
        PV_TRY(pv_agree(comm, comm->node_rank == 0 ? store_look_at(path, mode) : PV_OK));
        PV_TRY(pv_h5_open(comm, path, writing, storage ? storage->hints : "", &piece->file));
    }
    PV_TRY(pv_agree(comm, open_columns(store, piece, path, writing && storage && storage->sync)));
done:
    free(path);
    return st;
}

/* Makes room for the descriptors of all pieces: the usual limit of 1024 open files may be raised by anyone. */
static pv_status allow_files(const pv_store *store, bool sync)
{
    enum { OTHERS = 64 }; /* MPI's, HDF5's, the signal's */
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)store->piece_count * (sync ? 2 : 1) + OTHERS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return PV_OK;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted)
        return pv_fail(PV_ERR_IO,
                       "'%s' has %d shards: %llu files would be open at a time, and this system allows %llu "
                       "(ulimit -Hn)",
                       store->path, store->piece_count, (unsigned long long)wanted,
                       (unsigned long long)limit.rlim_max);
    limit.rlim_cur = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? PV_OK
                                                 : pv_fail(PV_ERR_IO, "cannot allow %llu open files: %s",
                                                           (unsigned long long)wanted, strerror(errno));
}

pv_status store_open_pieces(pv_store *store, pv_store_mode mode, const pv_storage_opts *storage)
{
    const bool sync = mode == PV_STORE_WRITE && storage && storage->sync;
    pv_status st = pv_agree(store->comm, allow_files(store, sync));
    for (int i = 0; st == PV_OK && i < store->piece_count; i++)
        st = open_piece(store, &store->pieces[i], mode, storage);
    return st;
}

void store_close_pieces(pv_store *store)
{
    for (int i = 0; i < store->piece_count; i++) {
        store_piece *const piece = &store->pieces[i];
        for (int c = 0; c < ROW_COLUMNS; c++)
            if (piece->columns[c] >= 0) H5Dclose(piece->columns[c]);
        if (piece->file >= 0) H5Fclose(piece->file);
        if (piece->sync >= 0) close(piece->sync);
        free(piece->name);
    }
    free(store->pieces);
    store->pieces = NULL;
    store->piece_count = 0;
}
