/* Writing the files of a store: a file with rows, all missing, and the master over shards. */
#include "pv_store_files.h"
#include "pv_store_additions.h"
#include "pv_store_objects.h"
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "parallel/pv_h5.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a file takes beside its columns and its config: attributes, layout, HDF5's own. */
enum { OTHER_BYTES = 1 << 16 };

static pv_status write_attributes(hid_t file, const store_recipe *recipe)
{
    pv_status st = pv_h5_write_kind(file, "store", STORE_VERSION);
    for (int which = 0; st == PV_OK && which < PV_STORE_TEXTS; which++)
        st = pv_h5_write_text(file, store_text_names[which], recipe->texts[which]);
    return st;
}

/* A one-dimensional dataset that is written whole. */
static pv_status write_table(hid_t file, const char *name, hid_t type, int count, const void *entries)
{
    const hsize_t start = 0, length = (hsize_t)count;
    hid_t dataset = -1;
    pv_status st = pv_h5_create(file, name, type, 1, &length, &dataset);
    if (st == PV_OK) st = pv_h5_write_box(dataset, name, type, 1, &start, &length, entries);
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}

/* /layout: where each tensor lies in a row, as a table of (name, offset, rows, cols). */
static pv_status write_layout(hid_t file, const pv_arch *arch)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    const hid_t name = H5Tcopy(H5T_C_S1), type = H5Tcreate(H5T_COMPOUND, sizeof(pv_arch_tensor));
    H5Tset_size(name, sizeof tensors[0].name);
    H5Tinsert(type, "name", HOFFSET(pv_arch_tensor, name), name);
    H5Tinsert(type, "offset", HOFFSET(pv_arch_tensor, offset), H5T_NATIVE_INT);
    H5Tinsert(type, "rows", HOFFSET(pv_arch_tensor, rows), H5T_NATIVE_INT);
    H5Tinsert(type, "cols", HOFFSET(pv_arch_tensor, cols), H5T_NATIVE_INT);
    const pv_status st = write_table(file, "/layout", type, pv_arch_layout(arch, tensors), tensors);
    H5Tclose(type);
    H5Tclose(name);
    return st;
}

/* The classes of a recipe, and their names; NULL where they have none.  A store that grows keeps its own. */
static const pv_class_name *classes_of(const store_recipe *recipe, int *count)
{
    const pv_store *old = recipe->old;
    *count = old ? pv_store_signal(old)->classes : pv_signal_classes(recipe->signal);
    return old ? pv_store_class_names(old) : pv_signal_class_names(recipe->signal);
}

static pv_status write_class_names(hid_t file, const store_recipe *recipe)
{
    int count;
    const pv_class_name *names = classes_of(recipe, &count);
    if (!names) return PV_OK;
    const hid_t type = store_name_type();
    const pv_status st = write_table(file, CLASS_NAMES_TABLE, type, count, names);
    H5Tclose(type);
    return st;
}

/* What a file with the rows of a box holds. */
static store_shape shape_of(const store_recipe *recipe, const store_box *box)
{
    const pv_store *old = recipe->old; /* one that grows by views alone has no signal at hand */
    const bool judged = old ? pv_store_is_judged(old) : pv_signal_form(recipe->signal)->heldout > 0;
    const int targets = old ? pv_store_targets(old) : pv_signal_form(recipe->signal)->targets;
    return (store_shape){box->views, box->objects, pv_arch_params(recipe->arch), targets,
                         judged ? PV_SOURCE_FRAME : 0};
}

/* Creates the columns from `first` on. */
static pv_status create_columns(hid_t file, int first, const store_shape *shape)
{
    pv_status st = PV_OK;
    for (int c = first; st == PV_OK && c < COLUMNS; c++) {
        hsize_t dims[STORE_MAX_RANK];
        hid_t dataset = -1;
        const store_column column = (store_column)c;
        const int rank = store_column_dims(column, shape, dims);
        const hid_t type = store_column_type(column);
        if (store_column_exists(c, shape))
            st = pv_h5_create(file, store_column_name(column), type, rank, dims, &dataset);
        if (dataset >= 0) H5Dclose(dataset);
    }
    return st;
}

/* A column of the master: every shard's dataset at its place. */
static pv_status create_virtual(hid_t file, store_column column, const store_shape *whole,
                                const shard_entry *entries, int count)
{
    hsize_t dims[STORE_MAX_RANK], size[STORE_MAX_RANK], start[STORE_MAX_RANK];
    const char *name = store_column_name(column);
    const int rank = store_column_dims(column, whole, dims);
    const hid_t space = H5Screate_simple(rank, dims, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t link = H5Pcreate(H5P_LINK_CREATE);
    herr_t bad = 0;
    for (int i = 0; bad >= 0 && i < count; i++) {
        const store_box *box = &entries[i].box;
        if (box->objects == 0) continue;
        store_column_dims(column, &(store_shape){box->first_view, box->first_object, 0, 0, 0}, start);
        store_column_dims(column, &(store_shape){box->views, box->objects, whole->params, 0, 0}, size);
        const hid_t source = H5Screate_simple(rank, size, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL);
        bad = H5Pset_virtual(create, space, entries[i].name, name, source);
        H5Sclose(source);
    }
    H5Sselect_all(space);
    H5Pset_create_intermediate_group(link, 1);
    const hid_t dataset =
        bad < 0 ? -1 : H5Dcreate2(file, name, store_column_type(column), space, link, create, H5P_DEFAULT);
    const pv_status st = dataset < 0 ? pv_h5_fail("cannot create the virtual dataset", name) : PV_OK;
    if (dataset >= 0) H5Dclose(dataset);
    H5Pclose(link);
    H5Pclose(create);
    H5Sclose(space);
    return st;
}

/* No less than a file will take: its columns, and room for everything else. */
static int64_t file_bytes(const store_recipe *recipe, const store_shape *shape)
{
    int classes;
    int64_t bytes = (int64_t)strlen(recipe->texts[PV_STORE_CONFIG]) + OTHER_BYTES;
    if (classes_of(recipe, &classes)) bytes += classes * (int64_t)sizeof(pv_class_name);
    for (int c = 0; c < COLUMNS; c++)
        bytes += (c < ROW_COLUMNS ? shape->views : 1) * shape->objects *
                 (int64_t)store_column_entry((store_column)c, shape);
    return bytes;
}

/* On a parallel file system hints about striping count when a file comes to be. */
static pv_status create_with_hints(const char *part, const char *hints)
{
    MPI_Info info;
    MPI_File file;
    const pv_status st = pv_h5_hints(hints, &info);
    if (st != PV_OK || info == MPI_INFO_NULL) return st;
    unlink(part);
    const int failed = MPI_File_open(MPI_COMM_SELF, part, MPI_MODE_CREATE | MPI_MODE_WRONLY, info, &file);
    if (!failed) MPI_File_close(&file);
    MPI_Info_free(&info);
    return failed ? pv_fail(PV_ERR_IO, "cannot write '%s' with storage.hints '%s'", part, hints) : PV_OK;
}

/* Makes the empty file `part`, with room for `bytes`: once to know, and once for good, as HDF5 empties the
 * file that it creates, and cannot go on on a full disk. */
static pv_status begin_file(const pv_storage_opts *storage, const char *path, const char *part, int64_t bytes,
                            hid_t *file)
{
    pv_status st;
    PV_TRY(create_with_hints(part, storage->hints));
    if (storage->reserve) PV_TRY(pv_file_reserve(part, path, bytes));
    *file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (*file >= 0 && storage->reserve) PV_TRY(pv_file_reserve(part, path, bytes));
done:
    return st;
}

/* Whether rank 0 writes all of a file: that others join in takes longer. */
static bool is_small(const store_box *box)
{
    return box->objects <= STORE_OBJECT_BLOCK;
}

/* What is in the file, in the order of its making. */
static pv_status write_contents(const store_recipe *recipe, hid_t file, const char *part,
                                const store_box *box, const shard_entry *entries, int count)
{
    const store_shape shape = shape_of(recipe, box);
    const hid_t type = shard_entry_type();
    pv_status st;
    PV_TRY(write_attributes(file, recipe));
    if (recipe->sharded && !entries) {
        PV_TRY(pv_h5_write_int(file, "first_view", box->first_view));
        PV_TRY(pv_h5_write_int(file, "first_object", box->first_object));
    }
    for (int c = 0; entries && c < ROW_COLUMNS; c++)
        if (store_column_exists(c, &shape))
            PV_TRY(create_virtual(file, (store_column)c, &shape, entries, count));
    PV_TRY(create_columns(file, entries ? ROW_COLUMNS : 0, &shape));
    PV_TRY(write_layout(file, recipe->arch));
    PV_TRY(write_class_names(file, recipe));
    if (entries) PV_TRY(write_table(file, SHARDS_TABLE, type, count, entries));
    if (is_small(box)) PV_TRY(store_write_few(recipe, file, part, &shape, box->first_object));
    if (entries && recipe->old) st = store_keep_additions(pv_store_path(recipe->old), file);
done:
    H5Tclose(type);
    return st;
}

/* Rank 0's work: all of the file `part`, but for its objects where they are many. */
static pv_status lay_out(const store_recipe *recipe, const char *path, const char *part, const store_box *box,
                         const shard_entry *entries, int count)
{
    const store_shape shape = shape_of(recipe, box);
    hid_t file = -1;
    pv_status st;
    if (entries)
        file = H5Fcreate(part, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    else
        PV_TRY(begin_file(recipe->storage, path, part, file_bytes(recipe, &shape), &file));
    if (file < 0) PV_TRY(pv_h5_fail("cannot create the store", part));
    st = write_contents(recipe, file, part, box, entries, count);
done:
    if (file >= 0) {
        const pv_status closed = pv_h5_close_alone(file, part);
        if (st == PV_OK) st = closed;
    }
    return st;
}

/* Likewise, and gives it its name. */
static pv_status write_alone(const store_recipe *recipe, const char *path, const char *part,
                             const store_box *box, const shard_entry *entries, int count)
{
    const pv_status st = lay_out(recipe, path, part, box, entries, count);
    return st == PV_OK ? pv_file_publish(part, path) : st;
}

/* Rank 0 lays out, all write, rank 0 publishes. */
static pv_status write_together(const pv_comm *comm, const store_recipe *recipe, const char *path,
                                const char *part, const store_box *box, const shard_entry *entries, int count,
                                store_making *making)
{
    const bool leads = comm->rank == 0;
    const store_shape shape = shape_of(recipe, box);
    pv_status st;
    PV_TRY(pv_agree(comm, leads ? lay_out(recipe, path, part, box, entries, count) : PV_OK));
    PV_TRY(store_write_objects(comm, recipe, part, &shape, box->first_object, making));
    st = pv_agree(comm, leads ? pv_file_publish(part, path) : PV_OK);
done:
    return st;
}

pv_status store_write_file(const pv_comm *comm, const store_recipe *recipe, const char *path,
                           const store_box *box, const shard_entry *entries, int count, store_making *making)
{
    const bool leads = comm->rank == 0, one_of_many = recipe->sharded && !entries;
    char *part = pv_file_part(path);
    pv_status st = part ? PV_OK : PV_ERR_NOMEM;
    if (!is_small(box)) {
        PV_TRY(pv_agree(comm, st));
        st = write_together(comm, recipe, path, part, box, entries, count, making);
    } else {
        /* once the store has its name, it is made: nobody has a say any more */
        if (st == PV_OK && leads) st = write_alone(recipe, path, part, box, entries, count);
        if (st == PV_OK && one_of_many) st = pv_stop_check();
        st = pv_agree(comm, st);
        making->written += box->objects;
    }
    pv_progress_update(&making->progress, making->written);
done:
    if (leads && part && st != PV_OK) unlink(part);
    free(part);
    return st;
}
