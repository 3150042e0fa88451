/* Writing pictures by libpng. */
#include "signal/pv_png.h"
#include "base/pv_mem.h"

#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes and closes `file`. */
static pv_status write_image(FILE *file, const char *path, png_image *image, const uint8_t *pixels)
{
    const bool encoded = png_image_write_to_stdio(image, file, 0, pixels, 0, NULL) != 0;
    const bool failed = ferror(file) != 0;
    const bool flushed = fclose(file) == 0; /* a full disk shows here at the latest */
    if (encoded && flushed) return PV_OK;
    return pv_fail(PV_ERR_IO, "cannot write '%s': %s", path,
                   encoded || failed ? strerror(errno) : image->message);
}

pv_status pv_png_write(const char *path, int height, int width, int channels, const uint8_t *pixels)
{
    if (height < 1 || width < 1 || (channels != 1 && channels != 3 && channels != 4))
        return pv_fail(PV_ERR_INTERNAL, "cannot write '%s': a picture of %d x %d pixels with %d channels",
                       path, height, width, channels);
    pv_status st = PV_OK;
    char *part;
    const size_t part_bytes = strlen(path) + 32;
    PV_ALLOC(part, part_bytes);
    snprintf(part, part_bytes, "%s.%ld.part", path, (long)getpid());
    FILE *file = fopen(part, "wb");
    if (!file) {
        st = pv_fail(PV_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
        goto done;
    }
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 1   ? PNG_FORMAT_GRAY
                                 : channels == 3 ? PNG_FORMAT_RGB
                                                 : PNG_FORMAT_RGBA};
    st = write_image(file, path, &image, pixels);
    if (st == PV_OK && rename(part, path) != 0)
        st = pv_fail(PV_ERR_IO, "cannot rename '%s' to '%s': %s", part, path, strerror(errno));
    if (st != PV_OK) unlink(part);
done:
    free(part);
    return st;
}
