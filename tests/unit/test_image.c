/* Pictures are read as they were written, refused where damaged, and brought to other channels and sizes. */
#include "signal/pv_image_convert.h"
#include "signal/pv_image_read.h"
#include "signal/pv_png.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <jpeglib.h>

enum { HEIGHT = 9, WIDTH = 13, MOST = 1 << 20 };
static char directory[] = "/tmp/polyview-image-XXXXXX";
static char path[64], heard[64];
static uint8_t pixels[HEIGHT * WIDTH * 3], content[MOST];

/* What comes to stderr goes to a file: nothing may. */
static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof path, "%s/picture", directory);
    snprintf(heard, sizeof heard, "%s/stderr", directory);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i / 7 + 31 * i);
    return freopen(heard, "w", stderr) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char line[512];
    (void)state;
    fflush(stderr);
    for (FILE *file = fopen(heard, "r"); file && fgets(line, sizeof line, file);)
        printf("# %s", line); /* such as the words of tests that fail */
    unlink(path);
    unlink(heard);
    return rmdir(directory);
}

static void write_content(size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, bytes, file), bytes);
    fclose(file);
}

static size_t read_content(void)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t bytes = fread(content, 1, MOST, file);
    fclose(file);
    return bytes;
}

static void write_jpeg(int channels, J_COLOR_SPACE space, int height, int width)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)height;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        uint8_t line[4 * 2048];
        for (int i = 0; i < width * channels; i++)
            line[i] = (uint8_t)(i / channels * 3 + (int)jpeg.next_scanline * 5 + 40 * (i % channels));
        JSAMPROW row = line;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

/* Looking or else decoding refuses the file, with the path and `words`. */
static void refused(pv_status expected, const char *words)
{
    pv_image_head head;
    pv_image image = {0};
    pv_status st = pv_image_look(path, &head);
    if (st == PV_OK) st = pv_image_read(path, &image);
    pv_image_free(&image);
    assert_int_equal(st, expected);
    if (!strstr(pv_fail_message(), path) || !strstr(pv_fail_message(), words))
        fail_msg("'%s' lacks '%s' or the path", pv_fail_message(), words);
}

static void pictures_read_back_as_written(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        pv_image_head head;
        pv_image image = {0};
        assert_int_equal(pv_png_write(path, HEIGHT, WIDTH, channels, pixels), PV_OK);
        assert_int_equal(pv_image_look(path, &head), PV_OK);
        assert_int_equal(pv_image_read(path, &image), PV_OK);
        assert_true(head.height == image.head.height && head.width == image.head.width &&
                    head.colour == image.head.colour && head.white == image.head.white);
        assert_true(head.height == HEIGHT && head.width == WIDTH && head.colour == (channels == 3) &&
                    head.white == 255 && !image.alpha);
        assert_memory_equal(image.pixels, pixels, (size_t)(HEIGHT * WIDTH * channels));
        pv_image_free(&image);
    }
}

static void a_jpeg_of_the_best_quality_is_nearly_what_was_written(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        pv_image image = {0};
        write_jpeg(channels, channels == 3 ? JCS_RGB : JCS_GRAYSCALE, 20, 30);
        assert_int_equal(pv_image_read(path, &image), PV_OK);
        assert_true(image.head.height == 20 && image.head.width == 30 &&
                    image.head.colour == (channels == 3));
        for (int i = 0; channels == 1 && i < 20 * 30; i++)
            assert_in_range(((uint8_t *)image.pixels)[i] + 3 - (i % 30 * 3 + i / 30 * 5), 0, 6);
        pv_image_free(&image);
    }
}

static void a_large_file_is_looked_at_by_its_ends(void **state)
{
    enum { SIDE = 400 };
    uint8_t *noise = malloc(SIDE * SIDE * 3);
    pv_image_head head;
    (void)state;
    for (uint32_t i = 0, word = 1; i < SIDE * SIDE * 3; i++, word = word * 1664525 + 1013904223)
        noise[i] = (uint8_t)(word >> 24);
    assert_int_equal(pv_png_write(path, SIDE, SIDE, 3, noise), PV_OK);
    const size_t bytes = read_content();
    assert_true(bytes > 300000);
    assert_int_equal(pv_image_look(path, &head), PV_OK);
    content[bytes] = 'x'; /* more behind the end does no harm */
    write_content(bytes + 1);
    assert_int_equal(pv_image_look(path, &head), PV_OK);
    write_content(bytes - 1);
    assert_int_equal(pv_image_look(path, &head), PV_ERR_DATA);
    assert_non_null(strstr(pv_fail_message(), "is truncated"));
    content[bytes / 2] ^= 1;
    write_content(bytes);
    assert_int_equal(pv_image_look(path, &head), PV_OK); /* which is seen when it is decoded */
    refused(PV_ERR_DATA, "is damaged");
    free(noise);
}

static void truncation_at_any_byte_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            assert_int_equal(pv_png_write(path, HEIGHT, WIDTH, 3, pixels), PV_OK);
        else
            write_jpeg(3, JCS_RGB, HEIGHT, WIDTH);
        for (size_t length = read_content() - 1; length > 8; length--) {
            write_content(length);
            refused(PV_ERR_DATA, "is truncated");
        }
    }
    write_content(0);
    refused(PV_ERR_DATA, "is empty");
}

static void a_damaged_byte_is_refused_or_does_no_harm(void **state)
{
    int refusals = 0;
    (void)state;
    assert_int_equal(pv_png_write(path, HEIGHT, WIDTH, 3, pixels), PV_OK);
    const size_t bytes = read_content();
    for (size_t at = 0; at < bytes; at++) {
        pv_image image = {0};
        content[at] ^= 0x10;
        write_content(bytes);
        if (pv_image_read(path, &image) == PV_OK)
            assert_memory_equal(image.pixels, pixels, sizeof pixels);
        else
            refusals++;
        pv_image_free(&image);
        content[at] ^= 0x10;
    }
    assert_in_range(refusals, HEIGHT * WIDTH, bytes);
}

static void what_is_no_picture_is_named(void **state)
{
    (void)state;
    static const uint8_t huge[33] = {0x89, 'P', 'N', 'G',  '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D',
                                     'R',  0,   0,   0x80, 0,    0,    0,    0,    1, 8, 2, 0,  0,   0};
    memcpy(content, "no picture", 10);
    write_content(10);
    refused(PV_ERR_DATA, "is neither a PNG nor a JPEG");
    memcpy(content, huge, sizeof huge);
    write_content(sizeof huge);
    refused(PV_ERR_DATA, "says it has 1 x 32768 pixels, expected 1 to 16384 a side");
    content[18] = 0x40, content[22] = 0x40; /* 16384 x 16384 */
    write_content(sizeof huge);
    refused(PV_ERR_DATA, "67108864 in all");
    memset(content + 16, 0, 8);
    write_content(sizeof huge);
    refused(PV_ERR_DATA, "says it has 0 x 0 pixels");
    write_jpeg(4, JCS_CMYK, HEIGHT, WIDTH);
    refused(PV_ERR_DATA, "is a JPEG in CMYK, for print: save it as RGB or grey");
    unlink(path);
    refused(PV_ERR_IO, "No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    refused(PV_ERR_IO, "not a regular file");
    assert_int_equal(rmdir(path), 0);
}

/* The average over a pixel by brute force: as many points a side as divide both sizes. */
static double average(const uint8_t *picture, int channels, const pv_image_wish *wish, int y, int x, int c)
{
    double sum = 0;
    for (int i = y * HEIGHT; i < (y + 1) * HEIGHT; i++)
        for (int j = x * WIDTH; j < (x + 1) * WIDTH; j++)
            sum += picture[((i / wish->height) * WIDTH + j / wish->width) * channels + c];
    return sum / (HEIGHT * WIDTH * 255.0);
}

static void another_size_is_the_average_over_each_pixel(void **state)
{
    (void)state;
    static const int sizes[][2] = {{3, 13}, {9, 26}, {4, 5}, {20, 31}, {1, 1}, {9, 1}, {10, 12}};
    for (int channels = 1; channels <= 3; channels += 2)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const pv_image_wish wish = {sizes[s][0], sizes[s][1], channels, 0, true};
            const pv_image image = {{HEIGHT, WIDTH, channels == 3, 255}, false, pixels};
            float *out = malloc((size_t)(wish.height * wish.width * channels) * sizeof *out), *at = out;
            assert_int_equal(pv_image_convert(&image, &wish, out), PV_OK);
            for (int y = 0; y < wish.height; y++)
                for (int x = 0; x < wish.width; x++)
                    for (int c = 0; c < channels; c++)
                        if (fabs(*at++ - average(pixels, channels, &wish, y, x, c)) > 1e-7)
                            fail_msg("%d x %d: pixel %d %d is %g", wish.height, wish.width, y, x, at[-1]);
            free(out);
        }
}

static void channels_are_those_wished_for(void **state)
{
    (void)state;
    const uint8_t rgba[8] = {255, 0, 0, 255, 0, 0, 100, 51}, greys[2] = {17, 204};
    const uint16_t deep[2] = {65535, 300};
    const pv_image coloured = {{1, 2, true, 255}, true, (void *)(uintptr_t)rgba};
    const pv_image grey = {{1, 2, false, 255}, false, (void *)(uintptr_t)greys};
    const pv_image deep_grey = {{1, 2, false, 65535}, false, (void *)(uintptr_t)deep};
    uint8_t out[8];
    float values[2];
    assert_int_equal(pv_image_convert(&coloured, &(pv_image_wish){1, 2, 4, 1, false}, out), PV_OK);
    assert_memory_equal(out, rgba, 8);
    assert_int_equal(pv_image_convert(&coloured, &(pv_image_wish){1, 2, 3, 1, false}, out), PV_OK);
    assert_memory_equal(out, ((uint8_t[]){255, 0, 0, 204, 204, 224}), 6);
    assert_int_equal(pv_image_convert(&coloured, &(pv_image_wish){1, 2, 3, 0, false}, out), PV_OK);
    assert_memory_equal(out, ((uint8_t[]){255, 0, 0, 0, 0, 20}), 6);
    assert_int_equal(pv_image_convert(&coloured, &(pv_image_wish){1, 2, 1, 0, false}, out), PV_OK);
    assert_memory_equal(out, ((uint8_t[]){76, 2}), 2);
    assert_int_equal(pv_image_convert(&grey, &(pv_image_wish){1, 2, 4, 0, false}, out), PV_OK);
    assert_memory_equal(out, ((uint8_t[]){17, 17, 17, 255, 204, 204, 204, 255}), 8);
    assert_int_equal(pv_image_convert(&deep_grey, &(pv_image_wish){1, 2, 1, 0, true}, values), PV_OK);
    assert_true(values[0] == 1 && values[1] == 300.0F / 65535.0F);
}

static void nothing_was_said_to_the_terminal(void **state)
{
    struct stat about;
    (void)state;
    fflush(stderr);
    assert_int_equal(stat(heard, &about), 0);
    assert_int_equal(about.st_size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_read_back_as_written),
        cmocka_unit_test(a_jpeg_of_the_best_quality_is_nearly_what_was_written),
        cmocka_unit_test(a_large_file_is_looked_at_by_its_ends),
        cmocka_unit_test(truncation_at_any_byte_is_refused),
        cmocka_unit_test(a_damaged_byte_is_refused_or_does_no_harm),
        cmocka_unit_test(what_is_no_picture_is_named),
        cmocka_unit_test(another_size_is_the_average_over_each_pixel),
        cmocka_unit_test(channels_are_those_wished_for),
        cmocka_unit_test(nothing_was_said_to_the_terminal),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
