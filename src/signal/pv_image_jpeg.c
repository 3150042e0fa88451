/* JPEG files in grey or colour to pixels, by libjpeg-turbo. */
#include "base/pv_mem.h"
#include "pv_image_codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

/* A picture of more scans takes longer than its bytes are worth. */
enum { MOST_SCANS = 500 };

/* All that a jump out of libjpeg must leave as it is; a jpeg_error_mgr is known by its address. */
typedef struct decoder {
    struct jpeg_error_mgr errors;
    jmp_buf jump;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_progress_mgr progress;
    const pv_image_bytes *bytes;
    pv_image *image;
    pv_status st;
    char words[JMSG_LENGTH_MAX]; /* of libjpeg */
} decoder;

static void stop(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;
    jpeg->err->format_message(jpeg, d->words);
    longjmp(d->jump, 1);
}

/* Notes go by, and so do warnings of what is beside the pixels; a warning of lost pixels is an error. */
static void hear(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;
    const bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
                          code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
    if (level < 0 && !harmless) stop(jpeg);
}

static void keep_silent(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void count_scans(j_common_ptr jpeg)
{
    decoder *d = jpeg->client_data;
    if (d->jpeg.input_scan_number <= MOST_SCANS) return;
    snprintf(d->words, sizeof d->words, "more than %d scans", MOST_SCANS);
    longjmp(d->jump, 1);
}

static void read_pixels(decoder *d)
{
    const pv_image_head *head = &d->image->head;
    const int channels = head->colour ? 3 : 1;
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.progress = &d->progress;
    jpeg_mem_src(&d->jpeg, d->bytes->data, d->bytes->count);
    jpeg_read_header(&d->jpeg, TRUE);
    d->jpeg.out_color_space = head->colour ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_start_decompress(&d->jpeg);
    if ((int)d->jpeg.output_height != head->height || (int)d->jpeg.output_width != head->width)
        ERREXIT(&d->jpeg, JERR_BAD_LENGTH);
    const size_t row = (size_t)head->width * (size_t)channels;
    d->image->pixels = pv_alloc(head->height, row);
    if (!d->image->pixels) {
        d->st = PV_ERR_NOMEM;
        return;
    }
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        JSAMPROW at = (JSAMPROW)d->image->pixels + d->jpeg.output_scanline * row;
        jpeg_read_scanlines(&d->jpeg, &at, 1);
    }
    jpeg_finish_decompress(&d->jpeg);
}

/* The one place where jumps end. */
static bool guarded(decoder *d)
{
    if (setjmp(d->jump)) return false;
    read_pixels(d);
    return true;
}

pv_status pv_image_decode_jpeg(const pv_image_bytes *bytes, pv_image *image)
{
    decoder d = {.bytes = bytes, .image = image, .progress.progress_monitor = count_scans};
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = stop;
    d.errors.emit_message = hear;
    d.errors.output_message = keep_silent;
    d.jpeg.client_data = &d;
    if (!guarded(&d)) d.st = pv_fail(PV_ERR_DATA, "'%s' is damaged: %s", bytes->name, d.words);
    jpeg_destroy_decompress(&d.jpeg);
    return d.st;
}
