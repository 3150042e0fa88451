/* /object/target: real numbers that say what an object is, where its signal has some. */
#include "pv_store_file.h"
#include "store/pv_h5.h"

#define TARGETS "/object/target"

enum { TARGETS_RANK = 2 };

pv_status store_open_targets(pv_store *store)
{
    hsize_t dims[TARGETS_RANK] = {0, 0};
    if (H5Lexists(store->file, TARGETS, H5P_DEFAULT) <= 0) return PV_OK;
    store->target = H5Dopen2(store->file, TARGETS, H5P_DEFAULT);
    if (store->target < 0)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s does not open", store->path, TARGETS);
    const hid_t space = H5Dget_space(store->target), type = H5Dget_type(store->target);
    const int rank = H5Sget_simple_extent_ndims(space);
    const bool real = H5Tget_class(type) == H5T_FLOAT;
    if (rank == TARGETS_RANK) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Tclose(type);
    if (!real || dims[0] != (hsize_t)store->objects || dims[1] < 1 || dims[1] > PV_SIGNAL_MAX_TARGETS)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: %s is not 1 to %d real numbers of each of %lld objects",
                       store->path, TARGETS, PV_SIGNAL_MAX_TARGETS, (long long)store->objects);
    store->targets = (int)dims[1];
    return PV_OK;
}

int pv_store_targets(const pv_store *store)
{
    return store->targets;
}

pv_status pv_store_read_targets(const pv_store *store, int64_t first, int64_t count, float *targets)
{
    const hsize_t start[TARGETS_RANK] = {(hsize_t)first, 0};
    const hsize_t size[TARGETS_RANK] = {(hsize_t)count, (hsize_t)store->targets};
    return pv_h5_read_box(store->target, TARGETS, H5T_NATIVE_FLOAT, TARGETS_RANK, start, size, targets);
}

/* Of one object: what the old store says, or the signal. */
static pv_status targets_of(const store_recipe *recipe, int64_t object, float *targets)
{
    const int64_t kept = recipe->old ? recipe->old->objects : 0;
    if (recipe->old && object < kept) return pv_store_read_targets(recipe->old, object, 1, targets);
    pv_signal_target(recipe->signal, recipe->first_new + object - kept, targets);
    return PV_OK;
}

pv_status store_write_targets(const store_recipe *recipe, hid_t file, const store_box *box)
{
    const int targets = recipe->old ? recipe->old->targets : pv_signal_targets(recipe->signal);
    const hsize_t dims[TARGETS_RANK] = {(hsize_t)box->objects, (hsize_t)targets};
    hid_t dataset = -1;
    pv_status st;
    if (targets == 0) return PV_OK;
    PV_TRY(pv_h5_create(file, TARGETS, H5T_NATIVE_FLOAT, TARGETS_RANK, dims, &dataset));
    for (int64_t i = 0; i < box->objects; i++) {
        const hsize_t start[TARGETS_RANK] = {(hsize_t)i, 0}, size[TARGETS_RANK] = {1, (hsize_t)targets};
        float values[PV_SIGNAL_MAX_TARGETS];
        PV_TRY(targets_of(recipe, box->first_object + i, values));
        PV_TRY(pv_h5_write_box(dataset, TARGETS, H5T_NATIVE_FLOAT, TARGETS_RANK, start, size, values));
    }
done:
    if (dataset >= 0) H5Dclose(dataset);
    return st;
}
