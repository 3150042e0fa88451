/* The checksum of a model file: over what is read of it, object by object. */
#include "pv_model_checksum.h"
#include "base/pv_checksum.h"
#include "base/pv_mem.h"
#include "parallel/pv_h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what is damaged, sizes may be anything: bytes of an attribute, and what gzip makes of a byte at most. */
enum { NAME_BYTES = 320, MAX_ATTRIBUTE = 1 << 24, MOST_PACKED = 1032 };

static const char *const checked_attributes[] = {
    "config",     "classes",         "inr_w0",   "inr_offset", "inr_activation", "trained_rows",
    "epoch",      "batch",           "loss_sum", "correct",    "stream",         "best_val_accuracy",
    "best_epoch", "optimizer_steps", NULL};
static const char *const checked_groups[] = {"/norm", "/model", "/optimizer", NULL};
static const char *const checked_datasets[] = {"/inr_dims", "/reference", NULL};

/* What is added to a checksum: one thing of a name after the other. */
typedef struct contents {
    hid_t file;
    const char *group; /* that is being looked through */
    uint64_t sum;
    pv_status status;
} contents;

static void add(contents *c, const char *name, const void *data, size_t bytes)
{
    const uint64_t chain[] = {c->sum, pv_checksum(name, strlen(name)), pv_checksum(data, bytes)};
    c->sum = pv_checksum(chain, sizeof chain);
}

/* Adds what reading `bytes` bytes of an object gives, in the type that it has in the file. */
static void add_object(contents *c, const char *name, hid_t object, hid_t type, hsize_t bytes, bool attribute)
{
    char *const data = pv_alloc((int64_t)bytes, 1);
    if (!data)
        c->status = PV_ERR_NOMEM;
    else if ((attribute ? H5Aread(object, type, data)
                        : H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data)) < 0)
        c->status = pv_h5_fail_as(PV_ERR_DATA, "cannot read", name);
    else
        add(c, name, data, (size_t)bytes);
    free(data);
}

/* Numbers and texts of fixed length: what else there is was not written by us. */
static bool is_plain(hid_t type)
{
    const H5T_class_t kind = H5Tget_class(type);
    return kind == H5T_INTEGER || kind == H5T_FLOAT || (kind == H5T_STRING && !H5Tis_variable_str(type));
}

static void add_attribute(contents *c, const char *name)
{
    const hid_t attribute = H5Aopen(c->file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    const hsize_t bytes = H5Aget_storage_size(attribute);
    if (attribute < 0 || !is_plain(type) || bytes > MAX_ATTRIBUTE)
        c->status = pv_fail(PV_ERR_DATA, "'%s' is neither a number nor a text", name);
    else
        add_object(c, name, attribute, type, bytes, true);
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
}

static void add_dataset(contents *c, const char *name)
{
    hsize_t file_bytes = 0;
    const hid_t dataset = H5Dopen2(c->file, name, H5P_DEFAULT);
    if (dataset < 0) {
        c->status = pv_fail(PV_ERR_DATA, "'%s' is no dataset of its own", name);
        return;
    }
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    const hsize_t points = (hsize_t)H5Sget_simple_extent_npoints(space), size = H5Tget_size(type);
    H5Fget_filesize(c->file, &file_bytes);
    /* The product of what is damaged may be more than there are numbers. */
    if (!is_plain(type) || !pv_h5_is_own(dataset) || size < 1 || points > file_bytes * MOST_PACKED / size)
        c->status = pv_fail(PV_ERR_DATA, "'%s' holds other than numbers of its own", name);
    else
        add_object(c, name, dataset, type, points * size, false);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
}

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    contents *const c = context;
    char path[NAME_BYTES];
    (void)group;
    (void)info;
    snprintf(path, sizeof path, "%s/%s", c->group, name);
    add_dataset(c, path);
    return c->status == PV_OK ? 0 : 1;
}

static void add_group(contents *c, const char *name)
{
    const hid_t group = H5Gopen2(c->file, name, H5P_DEFAULT);
    c->group = name;
    if (group < 0 || H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, add_link, c) < 0)
        c->status = pv_fail(PV_ERR_DATA, "'%s' is no group that can be read", name);
    if (group >= 0) H5Gclose(group);
}

pv_status pv_model_checksum(hid_t file, uint64_t *sum)
{
    contents c = {.file = file, .status = PV_OK};
    for (const char *const *name = checked_attributes; c.status == PV_OK && *name; name++)
        if (H5Aexists(file, *name) > 0) add_attribute(&c, *name);
    for (const char *const *name = checked_groups; c.status == PV_OK && *name; name++)
        if (H5Lexists(file, *name, H5P_DEFAULT) > 0) add_group(&c, *name);
    for (const char *const *name = checked_datasets; c.status == PV_OK && *name; name++)
        if (H5Lexists(file, *name, H5P_DEFAULT) > 0) add_dataset(&c, *name);
    *sum = c.sum;
    return c.status;
}
