/* Any bytes given to the decoders of pictures end in pixels that convert, or in a status with a message that
 * names the file.  What looking at a file says is what decoding it gives.  Checksums of PNGs are mended, or
 * no change would come past them. */
#include "fuzz.h"
#include "signal/pv_image_convert.h"
#include "signal/pv_image_read.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SIDE = 64 /* larger pictures take long and show nothing more */ };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

static void convert(const pv_image *image)
{
    const pv_image_head *head = &image->head;
    float *out = malloc(SIDE * SIDE * 4 * sizeof *out);
    fuzz_require(out != NULL, "memory");
    for (int channels = 1; channels <= 4; channels++) {
        const pv_image_wish wishes[] = {{head->height, head->width, channels, 0.5, true},
                                        {1 + head->width / 3, 1 + head->height / 2, channels, 1, true},
                                        {head->height, head->width, channels, 1, false}};
        for (int w = 0; w < (head->white > 255 ? 2 : 3) && channels != 2; w++)
            fuzz_require(pv_image_convert(image, &wishes[w], out) == PV_OK, "pixels convert");
        for (int i = 0; channels != 2 && i < head->height * head->width * channels && head->white > 255; i++)
            fuzz_require(1 + head->width / 3 > SIDE || out[i] >= 0, "values are not below 0");
    }
    free(out);
}

static void mend(uint8_t *data, size_t count)
{
    for (size_t at = 8, length; at + 12 <= count; at += 12 + length) {
        length =
            (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 | (size_t)data[at + 2] << 8 | data[at + 3];
        if (length > count - at - 12) return;
        const uLong sum = crc32(0, data + at + 4, (uInt)length + 4);
        for (int i = 0; i < 4; i++)
            data[at + 8 + length + (size_t)i] = (uint8_t)(sum >> (24 - 8 * i));
    }
}

static void read_picture(const uint8_t *data, size_t count)
{
    const pv_image_bytes bytes = {.name = "fuzzed", .data = data, .count = count, .whole = true};
    const pv_image_bytes beginning = {.name = "fuzzed", .data = data, .count = count, .ends_well = true};
    pv_image_head head;
    pv_image image = {0};
    bool more;
    pv_status st = pv_image_look_at(&beginning, &head, &more);
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a bad beginning is PV_ERR_DATA");
    st = pv_image_look_at(&bytes, &head, &more);
    fuzz_require(!more, "all of the bytes are at hand");
    if (st == PV_OK && (head.height > SIDE || head.width > SIDE)) return;
    if (st == PV_OK) {
        st = pv_image_decode(&bytes, &image);
        fuzz_require(st != PV_OK || (head.height == image.head.height && head.width == image.head.width &&
                                     head.colour == image.head.colour && head.white == image.head.white),
                     "one head");
        if (st == PV_OK) convert(&image);
        pv_image_free(&image);
    }
    fuzz_require(st == PV_OK || st == PV_ERR_DATA, "a bad file is PV_ERR_DATA");
    fuzz_require(st == PV_OK || strstr(pv_fail_message(), "'fuzzed'"), "a message names the file");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    uint8_t *copy = malloc(count > 0 ? count : 1);
    fuzz_require(copy != NULL, "memory");
    memcpy(copy, data, count);
    if (count > 0 && data[0] == 0x89) mend(copy, count);
    read_picture(copy, count);
    free(copy);
    return 0;
}
