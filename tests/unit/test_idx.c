/* IDX files, plain and gzipped: what is read, and what is refused. */
#include "signal/pv_idx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>

#define FASHION_MNIST "/usr/share/datasets/fashion-mnist"

enum { ROOM = 1 << 19 };

static char directory[] = "/tmp/polyview-idx-XXXXXX";
static char path[64];
static uint8_t content[ROOM]; /* of the file of a test, uncompressed */

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

static void put_big_endian(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* A well-formed file in `content`: returns its length.  Element i is i mod 251, a label i mod 10. */
static size_t compose(pv_idx_kind kind, uint32_t count, uint32_t height, uint32_t width)
{
    const size_t head = kind == PV_IDX_IMAGES ? 16 : 8;
    const size_t data = kind == PV_IDX_IMAGES ? (size_t)count * height * width : count;
    assert_true(head + data < ROOM);
    put_big_endian(content, 0x800 | (uint32_t)kind);
    put_big_endian(content + 4, count);
    if (kind == PV_IDX_IMAGES) {
        put_big_endian(content + 8, height);
        put_big_endian(content + 12, width);
    }
    for (size_t i = 0; i < data; i++)
        content[head + i] = (uint8_t)(i % (kind == PV_IDX_IMAGES ? 251 : 10));
    return head + data;
}

static void write_plain(size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, bytes, file), bytes);
    fclose(file);
}

/* Appends content[from .. to) as one gzip member; mode "wb" starts the file anew. */
static void write_gzip(const char *mode, size_t from, size_t to)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    assert_int_equal(gzwrite(file, content + from, (unsigned)(to - from)), (int)(to - from));
    gzclose(file);
}

static size_t file_bytes(void)
{
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    return (size_t)about.st_size;
}

/* Changes one byte of the file on disk. */
static void damage(size_t at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ 0xff, file);
    fclose(file);
}

static pv_status read_whole(pv_idx_kind kind, const pv_idx_range *ranges, int n)
{
    pv_idx *idx;
    pv_idx_dims dims;
    pv_status st = pv_idx_open(path, kind, &idx, &dims);
    if (st == PV_OK) st = pv_idx_read(idx, ranges, n);
    pv_idx_close(idx);
    return st;
}

/* The file is refused with `expected`, by a message that has its path and `words`. */
static void refused(pv_idx_kind kind, pv_status expected, const char *words)
{
    assert_int_equal(read_whole(kind, NULL, 0), expected);
    if (!strstr(pv_fail_message(), path) || !strstr(pv_fail_message(), words))
        fail_msg("'%s' lacks '%s' or the path", pv_fail_message(), words);
}

static void ranges_hold_the_items_asked_for(bool gzip)
{
    enum { COUNT = 200, SIDES = 40 * 31 };
    const size_t bytes = compose(PV_IDX_IMAGES, COUNT, 40, 31);
    gzip ? write_gzip("wb", 0, bytes) : write_plain(bytes);
    pv_idx *idx;
    pv_idx_dims dims;
    assert_int_equal(pv_idx_open(path, PV_IDX_IMAGES, &idx, &dims), PV_OK);
    assert_int_equal(dims.count, COUNT);
    assert_int_equal(dims.height, 40);
    assert_int_equal(dims.width, 31);
    uint8_t *late = malloc(150 * SIDES), *early = malloc(3 * SIDES);
    const pv_idx_range ranges[] = {{50, 150, late}, {1, 3, early}, {200, 0, NULL}};
    assert_int_equal(pv_idx_read(idx, ranges, 3), PV_OK);
    assert_memory_equal(late, content + 16 + 50 * SIDES, 150 * SIDES);
    assert_memory_equal(early, content + 16 + SIDES, 3 * SIDES);
    pv_idx_close(idx);
    free(late);
    free(early);
}

static void plain_and_gzip_ranges_hold_the_items_asked_for(void **state)
{
    (void)state;
    ranges_hold_the_items_asked_for(false);
    ranges_hold_the_items_asked_for(true);
}

static void gzip_of_several_members_is_one_file(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_LABELS, 1000, 0, 0);
    uint8_t labels[1000];
    const pv_idx_range all = {0, 1000, labels};
    write_gzip("wb", 0, 5);
    write_gzip("ab", 5, 700);
    write_gzip("ab", 700, bytes);
    assert_int_equal(read_whole(PV_IDX_LABELS, &all, 1), PV_OK);
    assert_memory_equal(labels, content + 8, 1000);
}

static void a_range_outside_the_file_is_refused(void **state)
{
    (void)state;
    write_plain(compose(PV_IDX_LABELS, 10, 0, 0));
    uint8_t labels[16];
    const pv_idx_range outside[] = {{5, 6, labels}, {-1, 2, labels}, {INT64_MAX, 2, labels}, {11, 0, labels}};
    for (int i = 0; i < 4; i++)
        assert_int_equal(read_whole(PV_IDX_LABELS, &outside[i], 1), PV_ERR_INTERNAL);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    unlink(path);
    refused(PV_IDX_LABELS, PV_ERR_IO, "No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    refused(PV_IDX_LABELS, PV_ERR_IO, "not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    refused(PV_IDX_LABELS, PV_ERR_IO, "not a regular file");
    unlink(path);
}

static void a_wrong_magic_number_is_refused(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_IMAGES, 2, 3, 3);
    content[0] = 0x89;
    write_plain(bytes);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "bytes 89 00, expected 00 00");
    content[0] = 0;
    content[2] = 0x0d;
    write_plain(bytes);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "type 0x0d, expected 0x08");
    content[2] = 8;
    write_plain(bytes);
    refused(PV_IDX_LABELS, PV_ERR_DATA, "3 dimensions, expected 1 (labels)");
    write_plain(compose(PV_IDX_LABELS, 20, 0, 0));
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "1 dimensions, expected 3 (images)");
}

static void impossible_dimensions_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t count, height, width;
        const char *words;
    } cases[] = {
        {0, 3, 3, "declares 0 images"},
        {2, 0, 3, "0 rows, expected 1 to 4096"},
        {2, 3, 0, "0 columns, expected 1 to 4096"},
        {2, 4097, 3, "4097 rows"},
        {2, 3, UINT32_MAX, "4294967295 columns"},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, "4294967295 rows"},
        {UINT32_MAX, 4096, 4096, "is truncated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gzip = 0; gzip < 2; gzip++) {
            const size_t bytes = compose(PV_IDX_IMAGES, 2, 3, 3);
            put_big_endian(content + 4, cases[i].count);
            put_big_endian(content + 8, cases[i].height);
            put_big_endian(content + 12, cases[i].width);
            gzip ? write_gzip("wb", 0, bytes) : write_plain(bytes);
            refused(PV_IDX_IMAGES, PV_ERR_DATA, cases[i].words);
        }
}

static void truncation_at_any_byte_is_refused(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_IMAGES, 3, 4, 5);
    for (size_t length = 0; length < bytes; length++) {
        write_plain(length);
        refused(PV_IDX_IMAGES, PV_ERR_DATA, "is truncated");
        write_gzip("wb", 0, length);
        refused(PV_IDX_IMAGES, PV_ERR_DATA, "is truncated");
    }
    write_gzip("wb", 0, bytes);
    for (size_t length = file_bytes() - 1; length > 0; length--) {
        assert_int_equal(truncate(path, (off_t)length), 0);
        refused(PV_IDX_IMAGES, PV_ERR_DATA, "is truncated");
    }
}

static void trailing_bytes_are_refused(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_IMAGES, 3, 4, 5);
    content[bytes] = 0;
    write_plain(bytes + 1);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "has trailing bytes");
    write_gzip("wb", 0, bytes + 1);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "has trailing bytes");
    write_gzip("wb", 0, bytes);
    write_gzip("ab", bytes, bytes + 1);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "has trailing bytes");
    write_gzip("wb", 0, bytes);
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    fputc(0, file);
    fclose(file);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "has trailing bytes after its gzip stream");
}

static void a_damaged_gzip_stream_is_refused(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_IMAGES, 100, 28, 28);
    write_gzip("wb", 0, bytes);
    const size_t packed = file_bytes();
    damage(packed - 8);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "incorrect data check");
    write_gzip("wb", 0, bytes);
    damage(packed - 1);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "incorrect length check");
    write_gzip("wb", 0, bytes);
    damage(1);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "gzip stream has an error");
    for (size_t at = 10; at < packed; at++) {
        write_gzip("wb", 0, bytes);
        damage(at);
        refused(PV_IDX_IMAGES, PV_ERR_DATA, "");
    }
}

static void a_label_out_of_range_is_named_with_its_row(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_LABELS, 200000, 0, 0);
    content[8 + 123456] = 10;
    write_plain(bytes);
    refused(PV_IDX_LABELS, PV_ERR_DATA, "row 123456: label 10 is out of range, expected 0 to 9");
}

/* One file pair of the installed dataset: `count` objects, the same number of each class. */
static void check_real(const char *part, int64_t count)
{
    char name[128];
    pv_idx *idx;
    pv_idx_dims dims;
    uint8_t *labels = malloc((size_t)count), *pixels = malloc((size_t)count * 784);
    const pv_idx_range label_range = {0, count, labels}, image_range = {0, count, pixels};
    snprintf(name, sizeof name, FASHION_MNIST "/%s-labels-idx1-ubyte.gz", part);
    assert_int_equal(pv_idx_open(name, PV_IDX_LABELS, &idx, &dims), PV_OK);
    assert_int_equal(dims.count, count);
    assert_int_equal(pv_idx_read(idx, &label_range, 1), PV_OK);
    pv_idx_close(idx);
    snprintf(name, sizeof name, FASHION_MNIST "/%s-images-idx3-ubyte.gz", part);
    assert_int_equal(pv_idx_open(name, PV_IDX_IMAGES, &idx, &dims), PV_OK);
    assert_int_equal(dims.count, count);
    assert_int_equal(dims.height * dims.width, 784);
    assert_int_equal(pv_idx_read(idx, &image_range, 1), PV_OK);
    pv_idx_close(idx);
    int64_t classes[PV_IDX_CLASSES] = {0}, whites = 0, blacks = 0;
    for (int64_t i = 0; i < count; i++)
        classes[labels[i]]++;
    for (int c = 0; c < PV_IDX_CLASSES; c++)
        assert_int_equal(classes[c], count / PV_IDX_CLASSES);
    for (int64_t i = 0; i < count * 784; i++) {
        whites += pixels[i] == 255;
        blacks += pixels[i] == 0;
    }
    assert_true(whites > 0 && blacks > count * 784 / 4);
    free(labels);
    free(pixels);
}

static void fashion_mnist_has_70000_objects_in_10_even_classes(void **state)
{
    (void)state;
    if (access(FASHION_MNIST "/train-images-idx3-ubyte.gz", R_OK) != 0) {
        print_message("# " FASHION_MNIST " is not installed\n");
        skip();
    }
    check_real("train", 60000);
    check_real("t10k", 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_gzip_ranges_hold_the_items_asked_for),
        cmocka_unit_test(gzip_of_several_members_is_one_file),
        cmocka_unit_test(a_range_outside_the_file_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_wrong_magic_number_is_refused),
        cmocka_unit_test(impossible_dimensions_are_refused),
        cmocka_unit_test(truncation_at_any_byte_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(a_damaged_gzip_stream_is_refused),
        cmocka_unit_test(a_label_out_of_range_is_named_with_its_row),
        cmocka_unit_test(fashion_mnist_has_70000_objects_in_10_even_classes),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
