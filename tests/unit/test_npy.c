/* .npy files, written here byte for byte: what is read, and what is refused. */
#include "signal/pv_npy.h"

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

static char directory[] = "/tmp/polyview-npy-XXXXXX";
static char path[64];

static int make_directory(void **state)
{
    (void)state;
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof path, "%s/a.npy", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory);
}

/* A file of a version with that header, padded as numpy does, and those bytes of data. */
static void compose(int version, const char *header, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    const size_t sized = version == 1 ? 2 : 4, length = strlen(header);
    const size_t padded = (8 + sized + length + 1 + 63) / 64 * 64 - 8 - sized;
    assert_non_null(file);
    fprintf(file, "\x93NUMPY%c%c", version, 0);
    for (size_t i = 0; i < sized; i++)
        fputc((int)(padded >> 8 * i & 255), file);
    fprintf(file, "%s%*s\n", header, (int)(padded - length - 1), "");
    if (bytes > 0) assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static pv_npy *opened(pv_array_form *form)
{
    pv_npy *npy = NULL;
    const pv_status st = pv_npy_open(path, &npy, form);
    if (st != PV_OK) print_error("%s\n", pv_fail_message());
    assert_int_equal(st, PV_OK);
    return npy;
}

/* The elements of a file of one axis. */
static void holds(const char *type, const void *data, size_t bytes, pv_array_kind kind, int n,
                  const double *expected)
{
    char header[128];
    double numbers[16];
    pv_array_form form;
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%d,), }", type, n);
    compose(1, header, data, bytes);
    pv_npy *npy = opened(&form);
    assert_true(form.kind == kind && form.dims == 1 && form.rows == n && form.row == 1);
    assert_int_equal(pv_npy_numbers(npy, 0, n, numbers), PV_OK);
    for (int i = 0; i < n; i++)
        assert_true(numbers[i] == expected[i]);
    pv_npy_close(npy);
}

static void refused(pv_status status, const char *what)
{
    pv_npy *npy = NULL;
    pv_array_form form;
    assert_int_equal(pv_npy_open(path, &npy, &form), status);
    assert_null(npy);
    assert_non_null(strstr(pv_fail_message(), path));
    if (!strstr(pv_fail_message(), what)) print_error("%s: %s\n", what, pv_fail_message());
    assert_non_null(strstr(pv_fail_message(), what));
}

static void header_refused(const char *header, const char *what)
{
    compose(1, header, "12345678", 8);
    refused(PV_ERR_DATA, what);
}

static void every_kind_of_number_is_read(void **state)
{
    (void)state;
    holds("|b1", "\0\1\2", 3, PV_ARRAY_FLAGS, 3, (double[]){0, 1, 1});
    holds("|u1", "\0\xff", 2, PV_ARRAY_BYTES, 2, (double[]){0, 255});
    holds("|i1", "\x80\x7f", 2, PV_ARRAY_WHOLE, 2, (double[]){-128, 127});
    holds("<u2", "\1\2\xff\xff", 4, PV_ARRAY_SHORTS, 2, (double[]){513, 65535});
    holds(">u2", "\1\2", 2, PV_ARRAY_SHORTS, 1, (double[]){258});
    holds("<i2", "\xfe\xff", 2, PV_ARRAY_WHOLE, 1, (double[]){-2});
    holds(">i2", "\xff\xfe", 2, PV_ARRAY_WHOLE, 1, (double[]){-2});
    holds("<u4", "\xff\xff\xff\xff", 4, PV_ARRAY_WHOLE, 1, (double[]){4294967295.0});
    holds(">i4", "\xff\xff\xff\xfd", 4, PV_ARRAY_WHOLE, 1, (double[]){-3});
    holds("<u8", "\0\0\0\0\1\0\0\0", 8, PV_ARRAY_WHOLE, 1, (double[]){4294967296.0});
    holds(">i8", "\xff\xff\xff\xff\xff\xff\xff\xfe", 8, PV_ARRAY_WHOLE, 1, (double[]){-2});
    holds("<f4", "\0\0\x80\x3f\0\0\0\xc0", 8, PV_ARRAY_REAL, 2, (double[]){1, -2});
    holds(">f4", "\x3f\x80\0\0", 4, PV_ARRAY_REAL, 1, (double[]){1});
    holds("<f8", "\0\0\0\0\0\0\xe0\x3f", 8, PV_ARRAY_REAL, 1, (double[]){0.5});
    holds(">f8", "\x3f\xe0\0\0\0\0\0\0", 8, PV_ARRAY_REAL, 1, (double[]){0.5});
}

/* 1, -2, the largest, the least normal and the least of all half-precision floats. */
static void half_precision_is_exact(void **state)
{
    (void)state;
    holds("<f2", "\0\x3c\0\xc0\xff\x7b\0\4\1\0", 10, PV_ARRAY_REAL, 5,
          (double[]){1, -2, 65504, 0x1p-14, 0x1p-24});
    holds(">f2", "\x3c\0", 2, PV_ARRAY_REAL, 1, (double[]){1});
}

/* 2 rows of [3][2], element (row, i, j) being 100 row + 10 i + j. */
static void rows_come_in_c_order_from_either_order(void **state)
{
    (void)state;
    const uint8_t c[] = {0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121};
    uint8_t fortran[12];
    double numbers[12];
    pv_array_form form;
    for (int row = 0; row < 2; row++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 2; j++)
                fortran[row + 2 * (i + 3 * j)] = c[row * 6 + i * 2 + j];
    for (int order = 0; order < 2; order++) {
        compose(2,
                order ? "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }"
                      : "{\"shape\":(2L,3L,2L),\"fortran_order\":False,\"descr\":\"|u1\"}",
                order ? fortran : c, sizeof c);
        pv_npy *npy = opened(&form);
        assert_true(form.dims == 3 && form.rows == 2 && form.row == 6 && form.size[1] == 3);
        assert_int_equal(pv_npy_numbers(npy, 0, 2, numbers), PV_OK);
        for (int e = 0; e < 12; e++)
            assert_true(numbers[e] == c[e]);
        assert_int_equal(pv_npy_numbers(npy, 1, 1, numbers), PV_OK);
        for (int e = 0; e < 6; e++)
            assert_true(numbers[e] == c[6 + e]);
        pv_npy_close(npy);
    }
}

/* More than is read at once. */
static void long_arrays_are_read_in_pieces(void **state)
{
    (void)state;
    enum { N = 100000 };
    uint16_t *data = malloc(N * sizeof *data);
    double *numbers = malloc(N * sizeof *numbers);
    pv_array_form form;
    assert_true(data && numbers);
    for (int i = 0; i < N; i++)
        data[i] = (uint16_t)(i * 7);
    compose(3, "{'descr': '=u2', 'fortran_order': False, 'shape': (100000,), }", data, N * sizeof *data);
    pv_npy *npy = opened(&form);
    assert_int_equal(pv_npy_numbers(npy, 0, N, numbers), PV_OK);
    for (int i = 0; i < N; i++)
        assert_true(numbers[i] == (uint16_t)(i * 7));
    pv_npy_close(npy);
    free(data);
    free(numbers);
}

static void says(int64_t row, const char *expected)
{
    char text[32];
    pv_array_form form;
    pv_npy *npy = opened(&form);
    assert_int_equal(form.kind, PV_ARRAY_TEXT);
    assert_int_equal(pv_npy_text(npy, row, text, sizeof text), PV_OK);
    assert_string_equal(text, expected);
    pv_npy_close(npy);
}

static void texts_are_utf8(void **state)
{
    (void)state;
    char text[4];
    pv_array_form form;
    compose(1, "{'descr': '|S3', 'fortran_order': False, 'shape': (2,), }", "cat\0\0\0", 6);
    says(0, "cat");
    says(1, "");
    compose(1, "{'descr': '>U2', 'fortran_order': False, 'shape': (2,), }",
            "\0\0\0b\0\0\0\xe4\0\1\xf4\0\0\0\0\0", 16);
    says(0, "b\xc3\xa4");
    says(1, "\xf0\x9f\x90\x80");
    pv_npy *npy = opened(&form);
    assert_int_equal(pv_npy_text(npy, 1, text, sizeof text), PV_ERR_DATA);
    assert_non_null(strstr(pv_fail_message(), "row 1"));
    pv_npy_close(npy);
    compose(1, "{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", "\xff\xff\xff\xff", 4);
    npy = opened(&form);
    assert_int_equal(pv_npy_text(npy, 0, text, sizeof text), PV_ERR_DATA);
    pv_npy_close(npy);
}

static void other_headers_are_refused(void **state)
{
    (void)state;
    header_refused("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "pickles");
    header_refused("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,), }", "several fields");
    header_refused("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "'<c8'");
    header_refused("{'descr': '<f16', 'fortran_order': False, 'shape': (1,), }", "'<f16'");
    header_refused("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,), }", "'<M8[ns]'");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "a single number");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (0,), }", "is empty");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1), }", "dimensions");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", "header goes on with");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                   "header goes on with");
    header_refused("{'descr': '<f8', 'fortran_order': 1, 'shape': (1,), }", "header goes on with");
    header_refused("{'descr': '<f8', 'shape': (1,), }", "lacks");
    header_refused("{'descr': '<f8', 'descr': '<f8', 'shape': (1,), }", "header goes on with");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", "header goes on with");
    header_refused("", "header goes on with");
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", "is truncated");
    header_refused("{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }", "trailing bytes");
    header_refused("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
                   "is truncated");
    FILE *file = fopen(path, "wb");
    fwrite("\x93NUMPY\1\0\xff\xff{", 1, 11, file);
    fclose(file);
    refused(PV_ERR_DATA, "version from 1 to 3");
    file = fopen(path, "wb");
    fwrite("\x93NUMPY\2\0\xff\xff\xff\xff{}", 1, 14, file);
    fclose(file);
    refused(PV_ERR_DATA, "is truncated or corrupt");
    compose(4, "{}", "", 0);
    refused(PV_ERR_DATA, "version from 1 to 3");
    unlink(path);
    refused(PV_ERR_IO, "cannot open");
    mkdir(path, 0700);
    refused(PV_ERR_IO, "not a regular file");
    rmdir(path);
    mkfifo(path, 0600);
    refused(PV_ERR_IO, "not a regular file");
    unlink(path);
}

static void a_file_that_shrinks_is_told(void **state)
{
    (void)state;
    double number;
    pv_array_form form;
    compose(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (8,), }", "12345678", 8);
    pv_npy *npy = opened(&form);
    assert_int_equal(truncate(path, 128), 0);
    assert_int_equal(pv_npy_numbers(npy, 0, 1, &number), PV_ERR_DATA);
    assert_non_null(strstr(pv_fail_message(), "is truncated"));
    pv_npy_close(npy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_number_is_read),
        cmocka_unit_test(half_precision_is_exact),
        cmocka_unit_test(rows_come_in_c_order_from_either_order),
        cmocka_unit_test(long_arrays_are_read_in_pieces),
        cmocka_unit_test(texts_are_utf8),
        cmocka_unit_test(other_headers_are_refused),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(a_file_that_shrinks_is_told),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
