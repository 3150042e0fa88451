/* Crafted HDF5 files: the changes that the bytes of an input ask for. */
#include "craft.h"
#include "fuzz.h"

#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EDITS = 12, TEXT_BYTES = 256, MAX_DIMS = 5, FILL_BYTES = 1 << 16, PATCH_BYTES = 1 << 18 };
#define CRAFT_LINK_OUT "/elsewhere"
enum { SMALL_DIMS = 200, SMALL_EXTENT = 70 };

uint8_t craft_byte(craft_bytes *bytes)
{
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

static unsigned take_short(craft_bytes *bytes)
{
    const unsigned low = craft_byte(bytes);
    return low | (unsigned)craft_byte(bytes) << 8;
}

/* A length, then as many bytes; always ends in a zero. */
static size_t take_text(craft_bytes *bytes, char text[TEXT_BYTES])
{
    const size_t left = (size_t)(bytes->end - bytes->at), asked = craft_byte(bytes);
    const size_t length = asked < left ? asked : left > 0 ? left - 1 : 0;
    memset(text, 0, TEXT_BYTES);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)craft_byte(bytes);
    return length;
}

static hid_t text_type(size_t length, unsigned how)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, how & 1 ? H5T_VARIABLE : length > 0 ? length : 1);
    if (how & 2) H5Tset_cset(type, H5T_CSET_UTF8);
    if (how & 4 && !(how & 1)) H5Tset_strpad(type, how & 8 ? H5T_STR_SPACEPAD : H5T_STR_NULLPAD);
    return type;
}

static hid_t compound_type(unsigned how)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, 16);
    H5Tinsert(type, how & 1 ? "name" : "file", 0, H5T_NATIVE_INT);
    H5Tinsert(type, how & 2 ? "views" : "offset", 8, H5T_NATIVE_INT64);
    return type;
}

/* A type of any kind; the caller closes it. */
static hid_t take_type(craft_bytes *bytes)
{
    const hid_t plain[] = {H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_STD_U8LE,
                           H5T_STD_I8LE,   H5T_STD_I16BE,  H5T_STD_I32LE,  H5T_STD_U32BE,
                           H5T_STD_U64LE,  H5T_STD_I64BE,  H5T_STD_B32LE,  H5T_STD_REF_OBJ};
    enum { PLAIN = sizeof plain / sizeof *plain };
    const unsigned kind = craft_byte(bytes) % (PLAIN + 6), how = craft_byte(bytes);
    const hsize_t three = 3;
    hid_t type;
    switch (kind) {
    case PLAIN:
        return text_type(how >> 4, how);
    case PLAIN + 1:
        return H5Tvlen_create(H5T_NATIVE_INT);
    case PLAIN + 2:
        return compound_type(how);
    case PLAIN + 3:
        return H5Tarray_create2(H5T_NATIVE_FLOAT, 1, &three);
    case PLAIN + 4:
        return H5Tcreate(H5T_OPAQUE, 1 + how);
    case PLAIN + 5:
        type = H5Tenum_create(H5T_NATIVE_INT);
        H5Tenum_insert(type, "ONE", &(int){1});
        return type;
    default:
        return H5Tcopy(plain[kind]);
    }
}

static hsize_t take_extent(craft_bytes *bytes)
{
    const unsigned byte = craft_byte(bytes);
    return byte < SMALL_DIMS ? byte % SMALL_EXTENT : (hsize_t)1 << (byte - SMALL_DIMS);
}

/* A space of any rank, or null, or scalar.  `dims` may hold extents to begin with. */
static hid_t take_space(craft_bytes *bytes, int known, hsize_t dims[MAX_DIMS])
{
    const unsigned how = craft_byte(bytes);
    const int rank = (int)(how % (MAX_DIMS + 1));
    if (how >= 250) return H5Screate(H5S_NULL);
    if (known > 0 && how >= 128) return H5Screate_simple(known, dims, NULL);
    for (int i = 0; i < rank; i++)
        dims[i] = take_extent(bytes);
    return rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
}

/* Types whose memory holds no pointers. */
static int is_flat(hid_t type)
{
    return H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tis_variable_str(type) <= 0 &&
           H5Tdetect_class(type, H5T_REFERENCE) <= 0;
}

static void write_attribute(hid_t file, const char *name, hid_t type, hid_t space, const void *value)
{
    if (H5Aexists(file, name) > 0) H5Adelete(file, name);
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0) return;
    if (value) H5Awrite(attribute, type, value);
    H5Aclose(attribute);
}

static void replace_text(hid_t file, const char *name, craft_bytes *bytes)
{
    char text[TEXT_BYTES], *const pointer = text;
    const unsigned how = craft_byte(bytes);
    const size_t length = take_text(bytes, text);
    const hid_t type = text_type(length, how), space = H5Screate(H5S_SCALAR);
    write_attribute(file, name, type, space, how & 1 ? (const void *)&pointer : text);
    H5Sclose(space);
    H5Tclose(type);
}

/* Changes some bytes of a text that is there. */
static void patch_text(hid_t file, const char *name, craft_bytes *bytes)
{
    char patch[TEXT_BYTES], *text;
    const size_t at = take_short(bytes), length = take_text(bytes, patch);
    if (H5Aexists(file, name) <= 0) return;
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    const size_t size = H5Tget_size(type);
    if (H5Tget_class(type) == H5T_STRING && is_flat(type) && H5Aget_storage_size(attribute) == size &&
        (text = calloc(size + 1, 1))) {
        H5Aread(attribute, type, text);
        for (size_t i = 0; i < length; i++)
            text[(at + i) % size] = patch[i];
        H5Awrite(attribute, type, text);
        free(text);
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

static void replace_value(hid_t file, const char *name, craft_bytes *bytes)
{
    hsize_t dims[MAX_DIMS];
    char value[TEXT_BYTES];
    const hid_t type = take_type(bytes), space = take_space(bytes, 0, dims);
    take_text(bytes, value);
    const hssize_t points = H5Sget_simple_extent_npoints(space);
    const int fits = points >= 0 && points < TEXT_BYTES && H5Tget_size(type) * (size_t)points <= TEXT_BYTES;
    if (fits) write_attribute(file, name, type, space, is_flat(type) ? value : NULL);
    H5Sclose(space);
    H5Tclose(type);
}

/* How a dataset lies in its file, or elsewhere. */
static hid_t take_layout(craft_bytes *bytes, hid_t space)
{
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t dims[MAX_DIMS], chunk[MAX_DIMS];
    const unsigned how = craft_byte(bytes);
    const int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    for (int i = 0; i < rank; i++)
        chunk[i] = dims[i] == 0 ? 1 : dims[i] < 4 + how / 16 ? dims[i] : 4 + how / 16;
    switch (how % 8) {
    case 1:
        H5Pset_layout(create, H5D_COMPACT);
        break;
    case 2:
    case 3:
        if (rank > 0) H5Pset_chunk(create, rank, chunk);
        if (how % 8 == 3) H5Pset_deflate(create, 1);
        if (how & 64) H5Pset_fletcher32(create);
        if (how & 128) H5Pset_shuffle(create);
        break;
    case 4:
        H5Pset_external(create, how & 64 ? "/dev/zero" : "elsewhere.bin", 0, H5F_UNLIMITED);
        break;
    case 5:
        H5Pset_virtual(create, space, how & 64 ? "." : "elsewhere.h5", how & 128 ? "/params" : "/itself",
                       space);
        break;
    default:
        break;
    }
    return create;
}

static void fill(hid_t dataset, hid_t type, hid_t space, craft_bytes *bytes)
{
    char pattern[TEXT_BYTES];
    const size_t length = take_text(bytes, pattern);
    const hssize_t points = H5Sget_simple_extent_npoints(space);
    const size_t size = H5Tget_size(type);
    if (length == 0 || points <= 0 || points > FILL_BYTES || size * (size_t)points > FILL_BYTES ||
        !is_flat(type))
        return;
    char *const data = malloc(size * (size_t)points);
    if (!data) return;
    for (size_t i = 0; i < size * (size_t)points; i++)
        data[i] = pattern[i % length];
    H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    free(data);
}

/* The extents of a dataset that is there; 0: none. */
static int find_dims(hid_t file, const char *name, hsize_t dims[MAX_DIMS])
{
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return 0;
    const hid_t space = H5Dget_space(dataset);
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank > 0 && rank <= MAX_DIMS) H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    H5Dclose(dataset);
    return rank <= MAX_DIMS ? rank : 0;
}

static void replace_dataset(hid_t file, const char *name, craft_bytes *bytes)
{
    hsize_t dims[MAX_DIMS];
    const int known = find_dims(file, name, dims);
    const hid_t type = take_type(bytes), space = take_space(bytes, known, dims);
    const hid_t create = take_layout(bytes, space), link = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(link, 1);
    H5Ldelete(file, name, H5P_DEFAULT);
    const hid_t dataset = H5Dcreate2(file, name, type, space, link, create, H5P_DEFAULT);
    if (dataset >= 0) {
        const int here = H5Pget_layout(create) != H5D_VIRTUAL && H5Pget_external_count(create) == 0;
        if (here) fill(dataset, type, space, bytes);
        H5Dclose(dataset);
    }
    H5Pclose(link);
    H5Pclose(create);
    H5Sclose(space);
    H5Tclose(type);
}

/* Changes some bytes of what a dataset holds. */
static void patch_dataset(hid_t file, const char *name, craft_bytes *bytes)
{
    char patch[TEXT_BYTES];
    const size_t at = take_short(bytes), length = take_text(bytes, patch);
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return;
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset),
                create = H5Dget_create_plist(dataset);
    const hssize_t points = H5Sget_simple_extent_npoints(space);
    const size_t bytes_in_all = points > 0 && points < PATCH_BYTES ? H5Tget_size(type) * (size_t)points : 0;
    char *const data = bytes_in_all > 0 && bytes_in_all < PATCH_BYTES ? calloc(bytes_in_all, 1) : NULL;
    if (data && is_flat(type) && H5Pget_layout(create) != H5D_VIRTUAL && H5Pget_external_count(create) == 0 &&
        H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0) {
        for (size_t i = 0; i < length; i++)
            data[(at + i) % bytes_in_all] = patch[i];
        H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    }
    free(data);
    H5Pclose(create);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
}

static void relink(hid_t file, const char *name, const char *other, craft_bytes *bytes)
{
    const unsigned how = craft_byte(bytes);
    hid_t group = -1;
    if (how % 8 != 7) H5Ldelete(file, name, H5P_DEFAULT);
    switch (how % 8) {
    case 1:
        H5Lcreate_soft(other, file, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 2:
        H5Lcopy(file, CRAFT_LINK_OUT, file, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 3:
        H5Lcreate_hard(file, other, file, name, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 4:
        group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (group >= 0) H5Gclose(group);
        break;
    case 7:
        H5Lcreate_hard(file, other, file, how & 64 ? "/model/one_more" : "/one_more", H5P_DEFAULT,
                       H5P_DEFAULT);
        break;
    default:
        break;
    }
}

static void edit(hid_t file, const craft_names *names, craft_bytes *bytes)
{
    const unsigned what = craft_byte(bytes) % 8;
    const char *attribute = names->attributes[craft_byte(bytes) % names->attribute_count];
    const char *dataset = names->datasets[craft_byte(bytes) % names->dataset_count];
    switch (what) {
    case 0:
        replace_text(file, attribute, bytes);
        break;
    case 1:
        patch_text(file, attribute, bytes);
        break;
    case 2:
        replace_value(file, attribute, bytes);
        break;
    case 3:
        H5Adelete(file, attribute);
        break;
    case 4:
    case 5:
        replace_dataset(file, dataset, bytes);
        break;
    case 6:
        patch_dataset(file, dataset, bytes);
        break;
    default:
        relink(file, dataset, names->datasets[craft_byte(bytes) % names->dataset_count], bytes);
    }
}

void craft_file(const char *path, const craft_names *names, craft_bytes *bytes)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    fuzz_require(file >= 0, "a valid file can be opened to be changed");
    for (int i = 0; i < EDITS && bytes->at < bytes->end; i++)
        edit(file, names, bytes);
    H5Fclose(file);
    H5Eclear2(H5E_DEFAULT);
}

void craft_add_link_out(const char *path)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    H5Lcreate_external("elsewhere.h5", "/params", file, CRAFT_LINK_OUT, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
}

void craft_begin(void)
{
    H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
}

craft_image craft_read(const char *path)
{
    craft_image image = {0};
    struct stat info;
    const int fd = open(path, O_RDONLY);
    if (fd >= 0 && fstat(fd, &info) == 0) {
        image.size = (size_t)info.st_size;
        image.bytes = malloc(image.size);
        fuzz_require(image.bytes && read(fd, image.bytes, image.size) == (ssize_t)image.size,
                     "a valid file can be read");
        close(fd);
    }
    fuzz_require(image.size > 0, "a valid file can be made");
    return image;
}

void craft_restore(const craft_image *image, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fuzz_require(fd >= 0 && write(fd, image->bytes, image->size) == (ssize_t)image->size,
                 "a valid file can be put back");
    close(fd);
}

int64_t craft_open_ids(void)
{
    const H5I_type_t kinds[] = {H5I_FILE,    H5I_GROUP, H5I_DATATYPE,   H5I_DATASPACE,
                                H5I_DATASET, H5I_ATTR,  H5I_GENPROP_LST};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        hsize_t count = 0;
        if (H5Inmembers(kinds[i], &count) >= 0) total += (int64_t)count;
    }
    return total;
}
