/* PNG files of every kind to pixels, by libpng. */
#include "base/pv_mem.h"
#include "pv_image_codec.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All that a jump out of libpng must leave as it is: nothing of it is kept in registers. */
typedef struct decoder {
    const pv_image_bytes *bytes;
    size_t at;
    pv_image *image;
    png_bytep *rows; /* [height] */
    png_structp png;
    png_infop info;
    pv_status st;
    char words[128]; /* of libpng */
} decoder;

static void stop(png_structp png, png_const_charp words)
{
    decoder *d = png_get_error_ptr(png);
    snprintf(d->words, sizeof d->words, "%s", words);
    png_longjmp(png, 1);
}

/* What libpng warns of is beside the pixels, such as a colour profile that it does not like. */
static void pass_over(png_structp png, png_const_charp words)
{
    (void)png, (void)words;
}

static void give(png_structp png, png_bytep data, size_t count)
{
    decoder *d = png_get_io_ptr(png);
    if (count > d->bytes->count - d->at) png_error(png, "it is truncated");
    memcpy(data, d->bytes->data + d->at, count);
    d->at += count;
}

/* Asks for whole bytes of numbers as they are, without any conversion of colours.  The checksums of chunks
 * were compared before, and so is what their data decompress to. */
static void set_up(decoder *d)
{
    const uint16_t one = 1;
    png_set_user_limits(d->png, PV_IMAGE_MAX_SIDE, PV_IMAGE_MAX_SIDE);
    png_set_crc_action(d->png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
#ifdef PNG_IGNORE_ADLER32
    png_set_option(d->png, PNG_IGNORE_ADLER32, PNG_OPTION_ON);
#endif
    png_set_read_fn(d->png, d, give);
    png_read_info(d->png, d->info);
    png_set_expand(d->png);
    if (d->image->head.white > 255 && *(const uint8_t *)&one == 1) png_set_swap(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
}

static void read_pixels(decoder *d)
{
    const pv_image_head *head = &d->image->head;
    set_up(d);
    const int channels = png_get_channels(d->png, d->info), depth = png_get_bit_depth(d->png, d->info);
    d->image->alpha = channels == (head->colour ? 4 : 2);
    if ((int)png_get_image_height(d->png, d->info) != head->height ||
        (int)png_get_image_width(d->png, d->info) != head->width || depth != (head->white > 255 ? 16 : 8) ||
        channels != (head->colour ? 3 : 1) + d->image->alpha)
        png_error(d->png, "its header does not fit its picture");
    const size_t row = png_get_rowbytes(d->png, d->info);
    d->image->pixels = pv_alloc(head->height, row);
    d->rows = pv_alloc(head->height, sizeof *d->rows);
    d->st = d->image->pixels && d->rows ? PV_OK : PV_ERR_NOMEM;
    if (d->st != PV_OK) return;
    for (int y = 0; y < head->height; y++)
        d->rows[y] = (png_bytep)d->image->pixels + (size_t)y * row;
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
}

/* The one place where jumps end. */
static bool guarded(decoder *d)
{
    if (setjmp(png_jmpbuf(d->png))) return false;
    read_pixels(d);
    return true;
}

pv_status pv_image_decode_png(const pv_image_bytes *bytes, pv_image *image)
{
    decoder d = {.bytes = bytes, .image = image};
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, stop, pass_over);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (!d.info)
        d.st = pv_fail(PV_ERR_NOMEM, "no memory to read '%s'", bytes->name);
    else if (!guarded(&d))
        d.st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s", bytes->name, d.words);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    free(d.rows);
    return d.st;
}
