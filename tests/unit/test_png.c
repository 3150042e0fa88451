/* PNG files are written whole, and read back as written. */
#include "base/pv_status.h"
#include "signal/pv_png.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <png.h>

static char directory[] = "/tmp/polyview-png-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof path, "%s/picture.png", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

/* The pixels of the file, in its own format; the caller frees. */
static uint8_t *read_back(png_image *image)
{
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(image, path));
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(*image));
    assert_true(png_image_finish_read(image, NULL, pixels, 0, NULL));
    return pixels;
}

static void a_picture_reads_back_as_written(int height, int width, int channels, png_uint_32 format)
{
    const size_t bytes = (size_t)height * (size_t)width * (size_t)channels;
    uint8_t *pixels = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)(37 * i + i / 256);
    assert_int_equal(pv_png_write(path, height, width, channels, pixels), PV_OK);
    png_image image;
    uint8_t *read = read_back(&image);
    assert_int_equal(image.height, height);
    assert_int_equal(image.width, width);
    assert_int_equal(image.format, format);
    assert_memory_equal(read, pixels, bytes);
    free(read);
    free(pixels);
}

static void grey_pictures_read_back_as_written(void **state)
{
    (void)state;
    a_picture_reads_back_as_written(28, 31, 1, PNG_FORMAT_GRAY);
    a_picture_reads_back_as_written(1, 1, 1, PNG_FORMAT_GRAY);
}

static void colour_pictures_replace_what_was_there(void **state)
{
    (void)state;
    a_picture_reads_back_as_written(17, 300, 3, PNG_FORMAT_RGB);
    a_picture_reads_back_as_written(5, 4, 3, PNG_FORMAT_RGB);
    a_picture_reads_back_as_written(7, 9, 4, PNG_FORMAT_RGBA);
}

static void no_temporary_file_stays(void **state)
{
    (void)state;
    const uint8_t pixel = 200;
    char pattern[64], blocked[64];
    assert_int_equal(pv_png_write(path, 1, 1, 1, &pixel), PV_OK);
    /* A directory of that name: the picture is written, the rename fails. */
    snprintf(blocked, sizeof blocked, "%s/blocked", directory);
    assert_int_equal(mkdir(blocked, 0700), 0);
    assert_int_equal(pv_png_write(blocked, 1, 1, 1, &pixel), PV_ERR_IO);
    assert_non_null(strstr(pv_fail_message(), blocked));
    assert_int_equal(rmdir(blocked), 0);
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*", directory);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    globfree(&found);
}

static void an_unwritable_path_is_named(void **state)
{
    (void)state;
    const uint8_t pixel = 0;
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/absent/picture.png", directory);
    assert_int_equal(pv_png_write(nowhere, 1, 1, 1, &pixel), PV_ERR_IO);
    assert_non_null(strstr(pv_fail_message(), nowhere));
}

static void a_shape_that_is_no_picture_is_refused(void **state)
{
    (void)state;
    const uint8_t pixels[4] = {0};
    assert_int_equal(pv_png_write(path, 0, 1, 1, pixels), PV_ERR_INTERNAL);
    assert_int_equal(pv_png_write(path, 1, -1, 1, pixels), PV_ERR_INTERNAL);
    assert_int_equal(pv_png_write(path, 1, 1, 2, pixels), PV_ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grey_pictures_read_back_as_written),
        cmocka_unit_test(colour_pictures_replace_what_was_there),
        cmocka_unit_test(no_temporary_file_stays),
        cmocka_unit_test(an_unwritable_path_is_named),
        cmocka_unit_test(a_shape_that_is_no_picture_is_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
