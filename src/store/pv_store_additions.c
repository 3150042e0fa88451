/* What others have added to a store's file: copied into the file that takes its place. */
#include "pv_store_additions.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "parallel/pv_h5.h"

#include <stdlib.h>

static bool copy_attribute(hid_t from, hid_t to, const char *name)
{
    const hid_t old = H5Aopen(from, name, H5P_DEFAULT), type = H5Aget_type(old), space = H5Aget_space(old);
    const hssize_t entries = H5Sget_simple_extent_npoints(space);
    void *const data = pv_alloc(entries > 0 ? (int64_t)entries : 0, H5Tget_size(type));
    const hid_t made = data ? H5Acreate2(to, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    const bool read = made >= 0 && H5Aread(old, type, data) >= 0;
    const bool copied = read && H5Awrite(made, type, data) >= 0;
    if (read) H5Dvlen_reclaim(type, space, H5P_DEFAULT, data);
    if (made >= 0) H5Aclose(made);
    free(data);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(old);
    return copied;
}

/* What is iterated over, and where to; the first name that could not be copied. */
typedef struct copying {
    hid_t to;
    char failed[256];
} copying;

static herr_t keep_attribute(hid_t from, const char *name, const H5A_info_t *info, void *context)
{
    copying *const c = context;
    (void)info;
    if (H5Aexists(c->to, name) > 0 || copy_attribute(from, c->to, name)) return 0;
    snprintf(c->failed, sizeof c->failed, "%s", name);
    return -1;
}

static herr_t keep_link(hid_t from, const char *name, const H5L_info_t *info, void *context);

/* What both files have: a group is gone through, of a dataset its attributes count. */
static herr_t keep_within(hid_t from, copying *c, const char *name)
{
    const hid_t old = H5Oopen(from, name, H5P_DEFAULT), new = H5Oopen(c->to, name, H5P_DEFAULT);
    copying within = {.to = new};
    herr_t kept = old < 0 || new < 0 ? -1 : 0;
    if (kept >= 0) kept = H5Aiterate2(old, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, keep_attribute, &within);
    if (kept >= 0 && H5Iget_type(old) == H5I_GROUP && H5Iget_type(new) == H5I_GROUP)
        kept = H5Literate(old, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, keep_link, &within);
    if (kept < 0) snprintf(c->failed, sizeof c->failed, "%s", within.failed[0] ? within.failed : name);
    if (old >= 0) H5Oclose(old);
    if (new >= 0) H5Oclose(new);
    return kept;
}

/* Links that lead elsewhere are the user's to make again: where they lead to may not be there. */
static herr_t keep_link(hid_t from, const char *name, const H5L_info_t *info, void *context)
{
    copying *const c = context;
    if (H5Lexists(c->to, name, H5P_DEFAULT) > 0) return keep_within(from, c, name);
    if (info->type != H5L_TYPE_HARD) {
        pv_log_warn("the link '%s' that was added to the store is not in the grown one", name);
        return 0;
    }
    if (H5Ocopy(from, name, c->to, name, H5P_DEFAULT, H5P_DEFAULT) >= 0) return 0;
    snprintf(c->failed, sizeof c->failed, "%s", name);
    return -1;
}

pv_status store_keep_additions(const char *path, hid_t file)
{
    copying c = {.to = file};
    const hid_t old = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (old < 0) return pv_h5_fail("cannot open", path);
    const bool kept = keep_within(old, &c, "/") >= 0;
    const pv_status st =
        kept ? PV_OK : pv_fail(PV_ERR_HDF5, "'%s': cannot copy '%s', which was added to it", path, c.failed);
    H5Fclose(old);
    return st;
}
