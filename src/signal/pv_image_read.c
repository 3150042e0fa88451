/* Which files are pictures, and whether all of one is there. */
#include "pv_image_read.h"
#include "base/pv_mem.h"
#include "pv_image_codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BEGINNING = 65536, MOST_BYTES = 1 << 30 };

static const uint8_t PNG_START[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
static const uint8_t PNG_END[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
static const uint8_t JPEG_START[3] = {0xff, 0xd8, 0xff}, JPEG_END[2] = {0xff, 0xd9};

static bool begins(const pv_image_bytes *bytes, const uint8_t *with, size_t count)
{
    return bytes->count >= count && memcmp(bytes->data, with, count) == 0;
}

static uint32_t big_endian(const uint8_t *at, int bytes)
{
    uint32_t number = 0;
    for (int i = 0; i < bytes; i++)
        number = number << 8 | at[i];
    return number;
}

static pv_status truncated(const pv_image_bytes *bytes)
{
    return pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends within its picture", bytes->name);
}

static pv_status check_size(const pv_image_bytes *bytes, uint32_t height, uint32_t width, pv_image_head *head)
{
    if (height < 1 || width < 1 || height > PV_IMAGE_MAX_SIDE || width > PV_IMAGE_MAX_SIDE ||
        height * width > PV_IMAGE_MAX_PIXELS)
        return pv_fail(PV_ERR_DATA, "'%s' says it has %u x %u pixels, expected 1 to %d a side and %d in all",
                       bytes->name, height, width, PV_IMAGE_MAX_SIDE, PV_IMAGE_MAX_PIXELS);
    head->height = (int)height;
    head->width = (int)width;
    return PV_OK;
}

/* ---- PNG: a signature, then chunks of a length, a type, data and a checksum ---- */

/* Walks over the chunks at hand. */
static pv_status check_chunks(const pv_image_bytes *bytes)
{
    enum { AROUND = 12, CRITICAL = 0x20 /* is not set in a type without which there is no picture */ };
    size_t at = sizeof PNG_START;
    while (bytes->count - at >= AROUND) {
        const uint8_t *chunk = bytes->data + at;
        const uint32_t length = big_endian(chunk, 4);
        if (length > bytes->count - at - AROUND) break;
        const uint32_t sum = big_endian(chunk + 8 + length, 4);
        if (!(chunk[4] & CRITICAL) && crc32(0, chunk + 4, length + 4) != sum)
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: the checksum at byte %zu is not that of its data",
                           bytes->name, at + 8 + length);
        if (memcmp(chunk + 4, PNG_END + 4, 4) == 0) return PV_OK;
        at += AROUND + length;
    }
    return truncated(bytes);
}

static pv_status look_at_png(const pv_image_bytes *bytes, pv_image_head *head)
{
    enum { IHDR_LENGTH = 13, LOOKED = 8 + 8 + IHDR_LENGTH, PALETTE = 3, COLOUR = 2 };
    const uint8_t *at = bytes->data + sizeof PNG_START;
    if (bytes->count < LOOKED) return truncated(bytes);
    if (big_endian(at, 4) != IHDR_LENGTH || memcmp(at + 4, "IHDR", 4) != 0)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: it does not begin as a PNG does", bytes->name);
    head->colour = (at[17] & COLOUR) != 0;
    head->white = at[16] == 16 ? 65535 : 255;
    const pv_status st = check_size(bytes, big_endian(at + 12, 4), big_endian(at + 8, 4), head);
    return st != PV_OK || !bytes->whole ? st : check_chunks(bytes);
}

/* ---- JPEG: segments of a marker, a length and data; after a scan's one entropy-coded data ---- */

/* Takes the size from the frame's header. */
static pv_status look_at_frame(const pv_image_bytes *bytes, const uint8_t *at, pv_image_head *head)
{
    const int components = at[9];
    if (components == 4)
        return pv_fail(PV_ERR_DATA, "'%s' is a JPEG in CMYK, for print: save it as RGB or grey", bytes->name);
    if (at[4] != 8) return pv_fail(PV_ERR_DATA, "'%s' is a JPEG of %d bits, expected 8", bytes->name, at[4]);
    head->colour = components != 1;
    head->white = 255;
    return check_size(bytes, big_endian(at + 5, 2), big_endian(at + 7, 2), head);
}

static pv_status look_at_jpeg(const pv_image_bytes *bytes, pv_image_head *head, bool *more)
{
    enum { FRAME_BYTES = 10 };
    bool framed = false;
    size_t at = 2;
    pv_status st = PV_OK;
    *more = false;
    while (bytes->count - at >= FRAME_BYTES && st == PV_OK) {
        const uint8_t *segment = bytes->data + at, kind = segment[1];
        const bool is_frame = kind >= 0xc0 && kind <= 0xcf && kind != 0xc4 && kind != 0xc8 && kind != 0xcc;
        const uint32_t length = big_endian(segment + 2, 2);
        if (segment[0] != 0xff || length < 2)
            return pv_fail(PV_ERR_DATA, "'%s' is damaged: no segment of a JPEG begins at byte %zu",
                           bytes->name, at);
        if (kind == 0xff) { /* fills */
            at++;
            continue;
        }
        if (is_frame) st = look_at_frame(bytes, segment, head);
        framed = framed || is_frame;
        if (kind == 0xda && framed && bytes->ends_well) return st;
        if (kind == 0xda || length + 2 > bytes->count - at) break;
        at += length + 2;
    }
    if (st != PV_OK) return st;
    *more = !bytes->whole;
    if (!*more && (!framed || !memmem(bytes->data + at, bytes->count - at, JPEG_END, sizeof JPEG_END)))
        st = truncated(bytes);
    return st;
}

/* ---- files ---- */

pv_status pv_image_look_at(const pv_image_bytes *bytes, pv_image_head *head, bool *more)
{
    *head = (pv_image_head){0};
    *more = false;
    if (bytes->count == 0) return pv_fail(PV_ERR_DATA, "'%s' is empty", bytes->name);
    if (begins(bytes, JPEG_START, sizeof JPEG_START)) return look_at_jpeg(bytes, head, more);
    if (!begins(bytes, PNG_START, sizeof PNG_START))
        return pv_fail(PV_ERR_DATA, "'%s' is neither a PNG nor a JPEG", bytes->name);
    *more = !bytes->whole && !bytes->ends_well;
    return look_at_png(bytes, head);
}

pv_status pv_image_decode(const pv_image_bytes *bytes, pv_image *image)
{
    bool more;
    const pv_status st = pv_image_look_at(bytes, &image->head, &more);
    if (st != PV_OK) return st;
    return begins(bytes, PNG_START, sizeof PNG_START) ? pv_image_decode_png(bytes, image)
                                                      : pv_image_decode_jpeg(bytes, image);
}

static bool read_at(int file, uint8_t *data, size_t count, off_t at)
{
    while (count > 0) {
        const ssize_t got = pread(file, data, count, at);
        if (got < 0 && errno == EINTR) continue;
        if (got == 0) errno = EIO; /* it became shorter meanwhile */
        if (got <= 0) return false;
        data += got;
        at += got;
        count -= (size_t)got;
    }
    return true;
}

/* Reads at most `most` bytes of a file.  Owner: the caller frees *data. */
static pv_status load(const char *path, int64_t most, uint8_t **data, pv_image_bytes *bytes)
{
    uint8_t last[sizeof PNG_END];
    struct stat about;
    pv_status st = PV_OK;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *data = NULL;
    if (file < 0 || fstat(file, &about) != 0) {
        st = pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(about.st_mode)) PV_TRY(pv_fail(PV_ERR_IO, "'%s' is not a regular file", path));
    if (about.st_size > MOST_BYTES)
        PV_TRY(
            pv_fail(PV_ERR_DATA, "'%s' has %lld bytes, more than a picture", path, (long long)about.st_size));
    *bytes = (pv_image_bytes){.name = path,
                              .count = (size_t)(about.st_size < most ? about.st_size : most),
                              .whole = about.st_size <= most};
    if (!(bytes->data = *data = malloc(bytes->count + 1)))
        PV_TRY(pv_fail(PV_ERR_NOMEM, "no memory for the %zu bytes of '%s'", bytes->count, path));
    if (!read_at(file, *data, bytes->count, 0) ||
        (!bytes->whole && !read_at(file, last, sizeof last, about.st_size - (off_t)sizeof last)))
        PV_TRY(pv_fail(PV_ERR_IO, "cannot read '%s': %s", path, strerror(errno)));
    bytes->ends_well =
        !bytes->whole && (memcmp(last, PNG_END, sizeof last) == 0 ||
                          memcmp(last + sizeof last - sizeof JPEG_END, JPEG_END, sizeof JPEG_END) == 0);
done:
    if (file >= 0) close(file);
    return st;
}

pv_status pv_image_look(const char *path, pv_image_head *head)
{
    bool more = false;
    pv_status st;
    for (int64_t most = BEGINNING;; most = MOST_BYTES) {
        pv_image_bytes bytes;
        uint8_t *data;
        st = load(path, most, &data, &bytes);
        if (st == PV_OK) st = pv_image_look_at(&bytes, head, &more);
        free(data);
        if (st != PV_OK || !more) return st;
    }
}

pv_status pv_image_read(const char *path, pv_image *image)
{
    pv_image_bytes bytes;
    uint8_t *data;
    pv_status st = load(path, MOST_BYTES, &data, &bytes);
    if (st == PV_OK) st = pv_image_decode(&bytes, image);
    free(data);
    return st;
}

void pv_image_free(pv_image *image)
{
    free(image->pixels);
    *image = (pv_image){0};
}
