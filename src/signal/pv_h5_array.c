/* Arrays in an HDF5 file of a user's. */
#include "pv_h5_array.h"
#include "base/pv_mem.h"
#include "parallel/pv_h5.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CHUNK_CACHE = 1 << 25 /* bytes of unpacked chunks that are kept for the next objects */
};

struct pv_h5_array {
    char *path, *name;
    hid_t file, set, type;
    pv_array_form form;
    void *attribute; /* all its elements; NULL: a data set, of which rows are read
                      as they are asked for */
};

static pv_status open_file(const char *path, hid_t *file)
{
    struct stat about;
    if (stat(path, &about) != 0) return pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return pv_fail(PV_ERR_IO, "'%s' is not a regular file", path);
    *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    return *file < 0 ? pv_h5_fail_as(PV_ERR_DATA, "cannot read as HDF5", path) : PV_OK;
}

/* Booleans are an enumeration to h5py. */
static bool are_flags(hid_t type)
{
    char *names[2] = {NULL};
    bool flags = H5Tget_class(type) == H5T_ENUM && H5Tget_size(type) == 1 && H5Tget_nmembers(type) == 2;
    for (unsigned i = 0; flags && i < 2; i++) {
        names[i] = H5Tget_member_name(type, i);
        flags = names[i] && strcmp(names[i], i == 0 ? "FALSE" : "TRUE") == 0;
    }
    H5free_memory(names[0]);
    H5free_memory(names[1]);
    return flags;
}

/* What the elements are; false: nothing that can be read. */
static bool kind_of(hid_t type, pv_array_kind *kind)
{
    const H5T_class_t class = H5Tget_class(type);
    const bool natural = class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE;
    *kind = class == H5T_STRING                      ? PV_ARRAY_TEXT
            : class == H5T_FLOAT                     ? PV_ARRAY_REAL
            : are_flags(type)                        ? PV_ARRAY_FLAGS
            : natural && H5Tget_precision(type) == 8 ? PV_ARRAY_BYTES
            : natural && H5Tget_size(type) == 2      ? PV_ARRAY_SHORTS
                                                     : PV_ARRAY_WHOLE;
    return class == H5T_STRING || class == H5T_FLOAT || class == H5T_INTEGER || class == H5T_ENUM;
}

/* Type and sizes of the data set or attribute, of data space `space`. */
static pv_status take_form(pv_h5_array *array, hid_t space)
{
    pv_array_form *form = &array->form;
    hsize_t size[PV_ARRAY_MOST_DIMS];
    const int dims = H5Sget_simple_extent_ndims(space);
    int64_t elements = 1;
    if (!kind_of(array->type, &form->kind))
        return pv_fail(PV_ERR_DATA, "'%s': '%s' holds neither numbers nor text", array->path, array->name);
    if (dims < 1 || dims > PV_ARRAY_MOST_DIMS)
        return pv_fail(PV_ERR_DATA, "'%s': '%s' has %d dimensions, expected 1 to %d", array->path,
                       array->name, dims, (int)PV_ARRAY_MOST_DIMS);
    H5Sget_simple_extent_dims(space, size, NULL);
    form->dims = dims;
    for (int d = 0; d < dims; d++) {
        if (size[d] == 0)
            return pv_fail(PV_ERR_DATA, "'%s': '%s' is empty: its size %d of %d is 0", array->path,
                           array->name, d + 1, dims);
        if (size[d] > (hsize_t)(INT64_MAX / 16 / elements))
            return pv_fail(PV_ERR_DATA, "'%s': '%s' has more elements than can be counted", array->path,
                           array->name);
        form->size[d] = (int64_t)size[d];
        elements *= form->size[d];
    }
    form->rows = form->size[0];
    form->row = elements / form->rows;
    return PV_OK;
}

static pv_status lies_elsewhere(const pv_h5_array *array)
{
    return pv_fail(PV_ERR_DATA, "'%s': the data of '%s' lies in other files: copy it into one", array->path,
                   array->name);
}

static pv_status cannot_open(const pv_h5_array *array)
{
    char what[320];
    H5L_info_t link;
    snprintf(what, sizeof what, "cannot open the data set '%s' of", array->name);
    const pv_status st = pv_h5_fail_as(PV_ERR_DATA, what, array->path); /* before HDF5 forgets its reason */
    if (H5Lget_info(array->file, array->name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_EXTERNAL)
        return lies_elsewhere(array);
    return st;
}

static pv_status open_set(pv_h5_array *array)
{
    const hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, CHUNK_CACHE, H5D_CHUNK_CACHE_W0_DEFAULT);
    array->set = H5Dopen2(array->file, array->name, access);
    pv_status st = array->set < 0 ? cannot_open(array) : PV_OK;
    H5Pclose(access);
    if (st != PV_OK) return st;
    array->type = H5Dget_type(array->set);
    const hid_t space = H5Dget_space(array->set);
    st = take_form(array, space);
    H5Sclose(space);
    if (st == PV_OK && !pv_h5_is_own(array->set)) st = lies_elsewhere(array);
    if (st == PV_OK && H5Dget_storage_size(array->set) == 0)
        st = pv_fail(PV_ERR_DATA, "'%s': '%s' was made but never written", array->path, array->name);
    return st;
}

static pv_status open_attribute(pv_h5_array *array, hid_t object)
{
    pv_status st;
    const hid_t attribute = H5Aopen(object, array->name, H5P_DEFAULT), space = H5Aget_space(attribute);
    array->type = H5Aget_type(attribute);
    PV_TRY(take_form(array, space));
    if (array->form.kind != PV_ARRAY_TEXT || array->form.dims != 1)
        PV_TRY(
            pv_fail(PV_ERR_DATA, "'%s': the attribute '%s' is no list of texts", array->path, array->name));
    array->attribute = pv_alloc(array->form.rows, H5Tget_size(array->type));
    if (!array->attribute) PV_TRY(PV_ERR_NOMEM);
    if (H5Aread(attribute, array->type, array->attribute) < 0)
        st = pv_h5_fail_as(PV_ERR_DATA, "cannot read an attribute of", array->path);
done:
    H5Sclose(space);
    H5Aclose(attribute);
    return st;
}

/* Opens the attribute, if one of the two has it. */
static pv_status look_for_attribute(pv_h5_array *array, const char *beside)
{
    pv_status st = PV_OK;
    if (beside && H5Lexists(array->file, beside, H5P_DEFAULT) > 0) {
        const hid_t object = H5Oopen(array->file, beside, H5P_DEFAULT);
        if (object >= 0 && H5Aexists(object, array->name) > 0) st = open_attribute(array, object);
        if (object >= 0) H5Oclose(object);
    }
    if (st == PV_OK && !array->attribute && H5Aexists(array->file, array->name) > 0)
        st = open_attribute(array, array->file);
    return st;
}

pv_status pv_h5_array_open(const char *path, const char *name, const char *beside, pv_h5_array **out,
                           pv_array_form *form)
{
    pv_h5_array *array;
    pv_status st;
    *out = NULL;
    PV_ALLOC(array, 1);
    array->file = array->set = array->type = -1;
    array->path = pv_strdup(path);
    array->name = pv_strdup(name);
    PV_TRY(array->path && array->name ? PV_OK : PV_ERR_NOMEM);
    PV_TRY(open_file(path, &array->file));
    if (H5Lexists(array->file, name, H5P_DEFAULT) > 0)
        PV_TRY(open_set(array));
    else
        PV_TRY(look_for_attribute(array, beside));
    if (array->set >= 0 || array->attribute) {
        *form = array->form;
        *out = array;
        array = NULL;
    }
done:
    pv_h5_array_close(array);
    H5Eclear2(H5E_DEFAULT);
    return st;
}

void pv_h5_array_close(pv_h5_array *array)
{
    if (!array) return;
    if (array->attribute && H5Tis_variable_str(array->type) > 0)
        for (int64_t i = 0; i < array->form.rows; i++)
            H5free_memory(((char **)array->attribute)[i]);
    free(array->attribute);
    if (array->type >= 0) H5Tclose(array->type);
    if (array->set >= 0) H5Dclose(array->set);
    if (array->file >= 0) H5Fclose(array->file);
    free(array->path);
    free(array->name);
    free(array);
}

/* Rows in the memory type `type`. */
static pv_status read_rows(const pv_h5_array *array, hid_t type, int64_t first, int64_t count, void *to)
{
    hsize_t start[PV_ARRAY_MOST_DIMS] = {(hsize_t)first}, size[PV_ARRAY_MOST_DIMS];
    for (int d = 0; d < array->form.dims; d++)
        size[d] = (hsize_t)array->form.size[d];
    size[0] = (hsize_t)count;
    return pv_h5_read_box(array->set, array->name, type, array->form.dims, start, size, to);
}

pv_status pv_h5_array_numbers(const pv_h5_array *array, int64_t first, int64_t count, double *numbers)
{
    return read_rows(array, H5T_NATIVE_DOUBLE, first, count, numbers);
}

/* Copies one text of HDF5's; `held` is its element, of a variable-length string a pointer. */
static pv_status take_text(const pv_h5_array *array, int64_t row, const char *held, char *text, size_t size)
{
    const bool variable = H5Tis_variable_str(array->type) > 0;
    const char *from = variable ? *(char *const *)(const void *)held : held;
    size_t length = !from ? 0 : variable ? strlen(from) : strnlen(from, H5Tget_size(array->type));
    while (H5Tget_strpad(array->type) == H5T_STR_SPACEPAD && length > 0 && from[length - 1] == ' ')
        length--;
    text[0] = '\0';
    if (length >= size)
        return pv_fail(PV_ERR_DATA, "'%s': '%s' row %lld is a name of more than %zu bytes", array->path,
                       array->name, (long long)row, size - 1);
    if (length > 0) memcpy(text, from, length);
    text[length] = '\0';
    return PV_OK;
}

pv_status pv_h5_array_text(const pv_h5_array *array, int64_t row, char *text, size_t size)
{
    const size_t bytes = H5Tget_size(array->type);
    char *held = array->attribute;
    if (held) return take_text(array, row, held + (size_t)row * bytes, text, size);
    if (!(held = pv_alloc(1, bytes))) return PV_ERR_NOMEM;
    pv_status st = read_rows(array, array->type, row, 1, held);
    if (st == PV_OK) st = take_text(array, row, held, text, size);
    if (H5Tis_variable_str(array->type) > 0) H5free_memory(*(char **)(void *)held);
    free(held);
    return st;
}

/* Where a list of names is written. */
typedef struct name_list {
    char *text;
    size_t size, used;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *context)
{
    name_list *list = context;
    H5O_info_t object;
    const bool is_group = info->type == H5L_TYPE_HARD &&
                          H5Oget_info_by_name(group, name, &object, H5P_DEFAULT) >= 0 &&
                          object.type == H5O_TYPE_GROUP;
    const int length = snprintf(list->text + list->used, list->size - list->used, "%s%s%s",
                                list->used > 0 ? ", " : "", name, is_group ? "/" : "");
    if ((size_t)length >= list->size - list->used) {
        list->text[list->used] = '\0';
        return 1;
    }
    list->used += (size_t)length;
    return 0;
}

void pv_h5_array_names(const char *path, char *text, size_t size)
{
    name_list list = {text, size, 0};
    hid_t file = -1;
    text[0] = '\0';
    if (open_file(path, &file) != PV_OK) return;
    H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &list);
    H5Eclear2(H5E_DEFAULT);
    H5Fclose(file);
}
