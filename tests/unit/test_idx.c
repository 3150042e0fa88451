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
    put_big_endian(content, kind == PV_IDX_IMAGES ? 0x803 : 0x801);
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

static double *given; /* what was read, item by item; NULL: it is not kept */
static size_t numbers_of_item;

static pv_status keep(void *context, int64_t item, const double *numbers)
{
    (void)context;
    if (given) memcpy(given + (size_t)item * numbers_of_item, numbers, numbers_of_item * sizeof *numbers);
    return PV_OK;
}

static pv_status read_whole(pv_idx_kind kind, pv_idx_dims *dims)
{
    pv_idx *idx;
    pv_status st = pv_idx_open(path, kind, &idx, dims);
    numbers_of_item = (size_t)dims->height * (size_t)dims->width;
    if (st == PV_OK) st = pv_idx_read(idx, keep, NULL);
    pv_idx_close(idx);
    return st;
}

/* The file is refused with `expected`, by a message that has its path and `words`. */
static void refused(pv_idx_kind kind, pv_status expected, const char *words)
{
    pv_idx_dims dims = {0};
    assert_int_equal(read_whole(kind, &dims), expected);
    if (!strstr(pv_fail_message(), path) || !strstr(pv_fail_message(), words))
        fail_msg("'%s' lacks '%s' or the path", pv_fail_message(), words);
}

static void plain_and_gzip_files_give_their_items(void **state)
{
    (void)state;
    enum { COUNT = 200, SIDES = 40 * 31 };
    for (int gzip = 0; gzip < 2; gzip++) {
        pv_idx_dims dims = {0};
        const size_t bytes = compose(PV_IDX_IMAGES, COUNT, 40, 31);
        gzip ? write_gzip("wb", 0, bytes) : write_plain(bytes);
        given = malloc(COUNT * SIDES * sizeof *given);
        assert_int_equal(read_whole(PV_IDX_IMAGES, &dims), PV_OK);
        assert_true(dims.count == COUNT && dims.height == 40 && dims.width == 31 && dims.bytes && dims.whole);
        for (int i = 0; i < COUNT * SIDES; i++)
            assert_true(given[i] == content[16 + i]);
        free(given);
        given = NULL;
    }
}

static void gzip_of_several_members_is_one_file_and_zeros_may_follow(void **state)
{
    (void)state;
    const size_t bytes = compose(PV_IDX_LABELS, 1000, 0, 0);
    pv_idx_dims dims = {0};
    double labels[1000];
    write_gzip("wb", 0, 5);
    write_gzip("ab", 5, 700);
    write_gzip("ab", 700, bytes);
    given = labels;
    for (int padded = 0; padded < 2; padded++) {
        assert_int_equal(read_whole(PV_IDX_LABELS, &dims), PV_OK);
        for (int i = 0; i < 1000; i++)
            assert_true(labels[i] == content[8 + i]);
        memset(labels, 0, sizeof labels);
        FILE *file = fopen(path, "ab");
        assert_non_null(file);
        for (int i = 0; i < 513; i++)
            fputc(0, file);
        fclose(file);
    }
    given = NULL;
}

/* A big-endian file of 2 x 3 numbers: labels of 3, or as images 1 x 3. */
static void write_numbers(int type, int dimensions, int bytes, const uint64_t bits[6])
{
    const uint32_t sizes[2][3] = {{2, 3, 0}, {2, 1, 3}};
    size_t at = 4;
    memcpy(content, (uint8_t[]){0, 0, (uint8_t)type, (uint8_t)dimensions}, 4);
    for (int d = 0; d < dimensions; d++, at += 4)
        put_big_endian(content + at, sizes[dimensions == 3][d]);
    for (int i = 0; i < 6; i++)
        for (int b = bytes - 1; b >= 0; b--)
            content[at++] = (uint8_t)(bits[i] >> 8 * b);
    write_plain(at);
}

static void every_type_of_element_is_read(void **state)
{
    (void)state;
    static const double single = 0.1F,
                        values[][6] = {
                            {0, 1, 2, 128, 254, 255},       {0, 1, 127, -128, -1, -2},
                            {0, 1, 32767, -32768, -1, 300}, {0, 1, 2147483647.0, -2147483648.0, -1, 70000},
                            {0, 1, 0.5, -0.5, 0.1F, 1e30F}, {0, 1, 0.5, -0.5, 0.1, 1e300},
                        };
    static const struct {
        int type, bytes;
    } types[] = {{0x08, 1}, {0x09, 1}, {0x0b, 2}, {0x0c, 4}, {0x0d, 4}, {0x0e, 8}};
    assert_true(values[4][4] == single);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        double numbers[6];
        uint64_t bits[6];
        pv_idx_dims dims = {0};
        for (int i = 0; i < 6; i++) {
            const float narrow = (float)(t == 4 ? values[t][i] : 0);
            uint32_t word;
            memcpy(&word, &narrow, sizeof word);
            bits[i] = t == 4 ? word : (uint64_t)(int64_t)(t == 5 ? 0 : values[t][i]);
            if (t == 5) memcpy(&bits[i], &values[t][i], sizeof bits[i]);
        }
        given = numbers;
        write_numbers(types[t].type, 3, types[t].bytes, bits);
        assert_int_equal(read_whole(PV_IDX_IMAGES, &dims), PV_OK);
        assert_true(dims.count == 2 && dims.height == 1 && dims.width == 3);
        assert_true(dims.bytes == (t == 0) && dims.whole == (t < 4));
        assert_memory_equal(numbers, values[t], sizeof numbers);
        write_numbers(types[t].type, 2, types[t].bytes, bits);
        if (t < 4) {
            memset(numbers, 0, sizeof numbers);
            assert_int_equal(read_whole(PV_IDX_LABELS, &dims), PV_OK);
            assert_true(dims.count == 2 && dims.width == 3);
            assert_memory_equal(numbers, values[t], sizeof numbers);
        } else {
            refused(PV_IDX_LABELS, PV_ERR_DATA, "expected whole numbers");
        }
    }
    given = NULL;
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
    content[2] = 0x0a;
    write_plain(bytes);
    refused(PV_IDX_IMAGES, PV_ERR_DATA, "unknown type 0x0a");
    content[2] = 8;
    write_plain(bytes);
    refused(PV_IDX_LABELS, PV_ERR_DATA, "3 dimensions, expected 1 or 2 (labels)");
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
    for (int zeros = 0; zeros < 3; zeros++) { /* behind so many zeros */
        write_gzip("wb", 0, bytes);
        FILE *file = fopen(path, "ab");
        assert_non_null(file);
        fwrite(&"\0\0x"[2 - zeros], 1, (size_t)zeros + 1, file);
        fclose(file);
        refused(PV_IDX_IMAGES, PV_ERR_DATA, "has trailing bytes after its gzip stream");
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_and_gzip_files_give_their_items),
        cmocka_unit_test(gzip_of_several_members_is_one_file_and_zeros_may_follow),
        cmocka_unit_test(every_type_of_element_is_read),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_wrong_magic_number_is_refused),
        cmocka_unit_test(impossible_dimensions_are_refused),
        cmocka_unit_test(truncation_at_any_byte_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(a_damaged_gzip_stream_is_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
