/* Crafted HDF5 files: a valid one, changed as the bytes of a fuzz input say.  Attributes get other texts,
 * types and shapes; datasets other types, ranks, extents, layouts, filters and contents; names become groups,
 * links in a circle or links to elsewhere.  HDF5's own structures stay intact: they are HDF5's to defend. */
#ifndef CRAFT_H
#define CRAFT_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of an input that are left; 0 for ever when there are none. */
typedef struct craft_bytes {
    const uint8_t *at, *end;
} craft_bytes;

uint8_t craft_byte(craft_bytes *bytes);

/* What there is to change. */
typedef struct craft_names {
    const char *const *attributes, *const *datasets;
    int attribute_count, dataset_count;
} craft_names;

/* Changes the file at `path` until the bytes are used up, a dozen times at most. */
void craft_file(const char *path, const craft_names *names, craft_bytes *bytes);

/* Tells HDF5 to keep its memory from file to file, which doubles the rate. */
void craft_begin(void);

/* Adds a link to another file, for crafted files to copy; before pv_h5_begin(), which ends such links. */
void craft_add_link_out(const char *path);

/* A file's bytes, read once and put back for every input. */
typedef struct craft_image {
    uint8_t *bytes;
    size_t size;
} craft_image;

craft_image craft_read(const char *path);
void craft_restore(const craft_image *image, const char *path);

/* How many HDF5 identifiers of all kinds are in use: the same before and after, or something is not
 * closed. */
int64_t craft_open_ids(void);

#endif
