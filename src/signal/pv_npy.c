/* Reading .npy files. */
#include "pv_npy.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"

#include <byteswap.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAGIC_BYTES = 8,             /* "\x93NUMPY", and two of the version */
    MOST_HEADER_BYTES = 1 << 16, /* numpy itself trusts no more than 10 000 */
    WORDS = 1 << 13,             /* of 8 bytes, read at once */
    MOST_LETTERS = WORDS * 2     /* of a text */
};

struct pv_npy {
    char *path;
    int fd;
    char code;  /* b, i, u, f, S, U */
    int bytes;  /* of an element */
    bool swaps; /* the other byte order */
    bool fortran;
    pv_array_form form;
    int64_t data; /* offset of the first element */
};

/* ---- the header: a Python dictionary of three keys ---- */

static pv_status bad_header(const pv_npy *npy, const char *at)
{
    return pv_fail(PV_ERR_DATA, "'%s' is no .npy file that can be read: its header goes on with \"%.20s\"",
                   npy->path, at);
}

/* Moves past spaces, and past `expected` behind them, if it stands there. */
static bool take(const char **at, const char *expected)
{
    *at += strspn(*at, " \t\n");
    if (strncmp(*at, expected, strlen(expected)) != 0) return false;
    *at += strlen(expected);
    return true;
}

/* A text in quotes. */
static bool take_word(const char **at, char word[32])
{
    *at += strspn(*at, " \t\n");
    const char quote[] = {**at, 0};
    const size_t length = quote[0] == '\'' || quote[0] == '"' ? strcspn(*at + 1, quote) : 0;
    if (length == 0 || length > 31 || (*at)[1 + length] != quote[0]) return false;
    memcpy(word, *at + 1, length);
    word[length] = '\0';
    *at += length + 2;
    return true;
}

static pv_status unknown_type(const pv_npy *npy, const char *type)
{
    return pv_fail(
        PV_ERR_DATA,
        "'%s' holds %s '%s': expected booleans, integers, floats of at most 8 bytes, or text; save it by "
        "array.astype(...)",
        npy->path, strchr(type, 'O') ? "Python objects (pickles), type" : "elements of the type", type);
}

/* "<f4": byte order, kind, bytes. */
static pv_status take_type(pv_npy *npy, const char *type)
{
    const char order = type[0], kind = order ? type[1] : '\0';
    char *end = NULL;
    const long n = kind ? strtol(type + 2, &end, 10) : 0;
    const bool sized = end && end != type + 2 && *end == '\0' && isdigit((unsigned char)type[2]);
    const bool number = (kind == 'b' && n == 1) ||
                        (strchr("iu", kind) && (n == 1 || n == 2 || n == 4 || n == 8)) ||
                        (kind == 'f' && (n == 2 || n == 4 || n == 8));
    const bool text = (kind == 'S' || kind == 'U') && n >= 1 && n <= MOST_LETTERS;
    if (!order || !strchr("<>|=", order) || !kind || !sized || !(number || text))
        return unknown_type(npy, type);
    npy->code = kind;
    npy->bytes = (int)n * (kind == 'U' ? 4 : 1);
    npy->swaps = order == (__BYTE_ORDER == __LITTLE_ENDIAN ? '>' : '<');
    npy->form.kind = text                          ? PV_ARRAY_TEXT
                     : kind == 'b'                 ? PV_ARRAY_FLAGS
                     : kind == 'f'                 ? PV_ARRAY_REAL
                     : strcmp(type + 1, "u1") == 0 ? PV_ARRAY_BYTES
                     : strcmp(type + 1, "u2") == 0 ? PV_ARRAY_SHORTS
                                                   : PV_ARRAY_WHOLE;
    return PV_OK;
}

/* "(3, 4)", "(3,)", "()" */
static pv_status take_shape(pv_npy *npy, const char **at)
{
    pv_array_form *form = &npy->form;
    if (!take(at, "(")) return bad_header(npy, *at);
    while (!take(at, ")")) {
        char *end;
        if (!isdigit((unsigned char)**at)) return bad_header(npy, *at);
        if (form->dims == PV_ARRAY_MOST_DIMS)
            return pv_fail(PV_ERR_DATA, "'%s' has more than %d dimensions", npy->path,
                           (int)PV_ARRAY_MOST_DIMS);
        errno = 0;
        form->size[form->dims++] = strtoll(*at, &end, 10);
        if (errno != 0) return bad_header(npy, *at);
        *at = end + (*end == 'L'); /* as Python 2 wrote it */
        if (!take(at, ",") && **at != ')') return bad_header(npy, *at);
    }
    return PV_OK;
}

static pv_status parse(pv_npy *npy, const char *at)
{
    char key[32], type[32];
    unsigned known = 0;
    pv_status st = PV_OK;
    if (!take(&at, "{")) return bad_header(npy, at);
    while (!take(&at, "}")) {
        if (!take_word(&at, key) || !take(&at, ":")) return bad_header(npy, at);
        if (strcmp(key, "descr") == 0 && !(known & 1)) {
            if (take(&at, "["))
                return pv_fail(PV_ERR_DATA, "'%s' holds records of several fields: save one field a file",
                               npy->path);
            known |= 1;
            if (!take_word(&at, type)) return bad_header(npy, at);
            PV_TRY(take_type(npy, type));
        } else if (strcmp(key, "fortran_order") == 0 && !(known & 2)) {
            known |= 2;
            npy->fortran = take(&at, "True");
            if (!npy->fortran && !take(&at, "False")) return bad_header(npy, at);
        } else if (strcmp(key, "shape") == 0 && !(known & 4)) {
            known |= 4;
            PV_TRY(take_shape(npy, &at));
        } else
            return bad_header(npy, key);
        if (!take(&at, ",") && *at != '}') return bad_header(npy, at);
    }
    if (known != 7) st = bad_header(npy, "}, but lacks descr, fortran_order or shape");
done:
    return st;
}

/* Whether the file is as long as its elements take, which are at least one. */
static pv_status check_size(pv_npy *npy, int64_t file_bytes)
{
    pv_array_form *form = &npy->form;
    const int64_t room = (file_bytes - npy->data) / npy->bytes;
    form->rows = form->dims > 0 ? form->size[0] : 0;
    form->row = 1;
    if (form->dims == 0)
        return pv_fail(PV_ERR_DATA, "'%s' holds a single number, expected a row an object", npy->path);
    bool fits = true;
    int64_t elements = 1;
    for (int d = 0; d < form->dims; d++) {
        if (form->size[d] == 0)
            return pv_fail(PV_ERR_DATA, "'%s' is empty: its size %d of %d is 0", npy->path, d + 1,
                           form->dims);
        fits = fits && form->size[d] <= room / elements;
        if (fits) elements *= form->size[d];
    }
    if (!fits)
        return pv_fail(
            PV_ERR_DATA,
            "'%s' is truncated: its header declares more elements than the %lld that its %lld bytes have "
            "room for",
            npy->path, (long long)room, (long long)file_bytes);
    if (npy->data + elements * npy->bytes != file_bytes)
        return pv_fail(
            PV_ERR_DATA,
            "'%s' has trailing bytes: its header declares %lld elements in %lld bytes, it is %lld bytes",
            npy->path, (long long)elements, (long long)(npy->data + elements * npy->bytes),
            (long long)file_bytes);
    form->row = elements / form->rows;
    return PV_OK;
}

/* ---- the file ---- */

static pv_status read_at(const pv_npy *npy, int64_t offset, void *to, size_t bytes)
{
    pv_status st = PV_OK;
    pv_meter_begin(PV_METER_FILES);
    for (size_t done = 0; done < bytes && st == PV_OK;) {
        const ssize_t got = pread(npy->fd, (char *)to + done, bytes - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) st = pv_fail(PV_ERR_IO, "cannot read '%s': %s", npy->path, strerror(errno));
        if (got == 0) st = pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends within its elements", npy->path);
        if (got > 0) done += (size_t)got;
    }
    pv_meter_end();
    return st;
}

static pv_status read_header(pv_npy *npy, int64_t file_bytes)
{
    uint8_t head[MAGIC_BYTES + 4];
    char *text = NULL;
    pv_status st = PV_OK;
    if (file_bytes < (int64_t)sizeof head || (st = read_at(npy, 0, head, sizeof head)) != PV_OK ||
        memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
        return st != PV_OK
                   ? st
                   : pv_fail(PV_ERR_DATA, "'%s' is not a .npy file of a version from 1 to 3", npy->path);
    const int sized = head[6] == 1 ? 2 : 4; /* bytes of the header's length */
    int64_t length = 0;
    for (int i = sized - 1; i >= 0; i--)
        length = length << 8 | head[MAGIC_BYTES + i];
    npy->data = MAGIC_BYTES + sized + length;
    if (length > MOST_HEADER_BYTES || npy->data > file_bytes)
        return pv_fail(PV_ERR_DATA, "'%s' is truncated or corrupt: its header declares %lld bytes", npy->path,
                       (long long)length);
    PV_ALLOC(text, length + 1);
    PV_TRY(read_at(npy, MAGIC_BYTES + sized, text, (size_t)length));
    PV_TRY(parse(npy, text));
    st = check_size(npy, file_bytes);
done:
    free(text);
    return st;
}

pv_status pv_npy_open(const char *path, pv_npy **out, pv_array_form *form)
{
    struct stat about;
    pv_npy *npy = NULL;
    pv_status st;
    *out = NULL;
    PV_ALLOC(npy, 1);
    npy->fd = -1;
    if (!(npy->path = pv_strdup(path))) PV_TRY(PV_ERR_NOMEM);
    /* Without O_NONBLOCK a FIFO of that name would hang the run. */
    npy->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (npy->fd < 0 || fstat(npy->fd, &about) != 0)
        PV_TRY(pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno)));
    if (!S_ISREG(about.st_mode)) PV_TRY(pv_fail(PV_ERR_IO, "'%s' is not a regular file", path));
    PV_TRY(read_header(npy, about.st_size));
    *form = npy->form;
    *out = npy;
    npy = NULL;
done:
    pv_npy_close(npy);
    return st;
}

void pv_npy_close(pv_npy *npy)
{
    if (!npy) return;
    if (npy->fd >= 0) close(npy->fd);
    free(npy->path);
    free(npy);
}

/* ---- elements ---- */

static double of_half(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double size = exponent == 0   ? ldexp(fraction, -24)
                        : exponent < 31 ? ldexp(1024 + fraction, exponent - 25)
                        : fraction == 0 ? (double)INFINITY
                                        : (double)NAN;
    return bits >> 15 ? -size : size;
}

static void swap(int bytes, int64_t n, void *raw)
{
    for (int64_t i = 0; bytes == 2 && i < n; i++)
        ((uint16_t *)raw)[i] = bswap_16(((uint16_t *)raw)[i]);
    for (int64_t i = 0; bytes == 4 && i < n; i++)
        ((uint32_t *)raw)[i] = bswap_32(((uint32_t *)raw)[i]);
    for (int64_t i = 0; bytes == 8 && i < n; i++)
        ((uint64_t *)raw)[i] = bswap_64(((uint64_t *)raw)[i]);
}

/* A loop for each type, as a data set has many elements. */
#define DECODE(kind, type, number)                                                                           \
    for (int64_t i = 0; npy->code == (kind) && npy->bytes == sizeof(type) && i < n; i++)                     \
    numbers[i * stride] = number(((const type *)raw)[i])

static void decode(const pv_npy *npy, int64_t n, void *raw, double *numbers, int64_t stride)
{
    if (npy->swaps) swap(npy->bytes, n, raw);
    DECODE('b', uint8_t, 0 !=);
    DECODE('u', uint8_t, );
    DECODE('u', uint16_t, );
    DECODE('u', uint32_t, );
    DECODE('u', uint64_t, (double));
    DECODE('i', int8_t, );
    DECODE('i', int16_t, );
    DECODE('i', int32_t, );
    DECODE('i', int64_t, (double));
    DECODE('f', uint16_t, of_half);
    DECODE('f', float, (double));
    DECODE('f', double, );
}

/* n elements that lie one behind the other, from the `from`th of the file on, to every `stride`th number. */
static pv_status read_elements(const pv_npy *npy, int64_t from, int64_t n, double *numbers, int64_t stride)
{
    uint64_t raw[WORDS];
    pv_status st = PV_OK;
    for (int64_t done = 0; done < n && st == PV_OK;) {
        const int64_t room = (int64_t)sizeof raw / npy->bytes, now = n - done < room ? n - done : room;
        st = read_at(npy, npy->data + (from + done) * npy->bytes, raw, (size_t)(now * npy->bytes));
        if (st == PV_OK) decode(npy, now, raw, numbers + done * stride, stride);
        done += now;
    }
    return st;
}

/* Where element `element` of row 0 lies in an array whose first index runs fastest. */
static int64_t fortran_place(const pv_array_form *form, int64_t element)
{
    int64_t place = 0, step = form->rows * form->row;
    for (int d = form->dims - 1; d > 0; d--) {
        step /= form->size[d];
        place += element % form->size[d] * step;
        element /= form->size[d];
    }
    return place;
}

pv_status pv_npy_numbers(const pv_npy *npy, int64_t first, int64_t count, double *numbers)
{
    const int64_t row = npy->form.row;
    pv_status st = PV_OK;
    if (!npy->fortran) return read_elements(npy, first * row, count * row, numbers, 1);
    for (int64_t e = 0; e < row && st == PV_OK; e++)
        st = read_elements(npy, fortran_place(&npy->form, e) + first, count, numbers + e, row);
    return st;
}

/* A letter as UTF-8; false: there is none of that number, or no room. */
static bool put_letter(uint32_t letter, char *text, size_t size, size_t *used)
{
    const int more = letter < 0x80 ? 0 : letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    if (letter > 0x10ffff || *used + (size_t)more + 2 > size) return false;
    text[(*used)++] = (char)(lead[more] | letter >> 6 * more);
    for (int i = more - 1; i >= 0; i--)
        text[(*used)++] = (char)(0x80 | (letter >> 6 * i & 0x3f));
    return true;
}

pv_status pv_npy_text(const pv_npy *npy, int64_t row, char *text, size_t size)
{
    uint64_t raw[WORDS] = {0};
    size_t used = 0;
    bool good = true;
    const pv_status st = read_at(npy, npy->data + row * npy->bytes, raw, (size_t)npy->bytes);
    if (st != PV_OK) return st;
    if (npy->code == 'U') {
        const uint32_t *letters = (const uint32_t *)raw;
        if (npy->swaps) swap(4, npy->bytes / 4, raw);
        for (int i = 0; good && i < npy->bytes / 4 && letters[i]; i++)
            good = put_letter(letters[i], text, size, &used);
    } else {
        used = strnlen((const char *)raw, (size_t)npy->bytes);
        good = used < size;
        if (good) memcpy(text, raw, used);
    }
    text[good ? used : 0] = '\0';
    return good ? PV_OK
                : pv_fail(PV_ERR_DATA, "'%s' row %lld: a name of more than %zu bytes, or of no letters",
                          npy->path, (long long)row, size - 1);
}
