/* Reading IDX files, plain or gzip. */
#include "pv_idx.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BUFFER_BYTES = 1 << 16,
    MOST_DIMENSIONS = 3,
    GZIP_WRAPPER = 15 + 16,  /* zlib: largest window, gzip header and CRC */
    GZIP_FIRST_BYTE = 0x1f,  /* no IDX file starts so */
    DEFLATE_MAX_RATIO = 1032 /* 258 bytes a 2-bit code */
};

/* The types of an element, by the third byte of a file. */
static const struct {
    int code, bytes;
    bool whole;
} types[] = {{0x08, 1, true}, {0x09, 1, true},  {0x0b, 2, true},
             {0x0c, 4, true}, {0x0d, 4, false}, {0x0e, 8, false}};
enum { UNSIGNED_BYTE = 0x08, TYPES = sizeof types / sizeof *types };

struct pv_idx {
    char *path;
    pv_idx_kind kind;
    pv_idx_dims dims;
    int code, bytes;    /* of an element */
    int64_t file_bytes; /* on disk */
    int64_t declared;   /* header and elements, as the header says */
    int fd;
    bool gzip, ended;
    z_stream z; /* next_in and avail_in are what was read and is not yet used, of plain files too */
    uint8_t buffer[BUFFER_BYTES];
};

static const char *items_of(pv_idx_kind kind)
{
    return kind == PV_IDX_IMAGES ? "images" : "labels";
}

/* Refills the used-up buffer, unless the file is at its end. */
static pv_status fill(pv_idx *idx)
{
    ssize_t got;
    if (idx->z.avail_in > 0) return PV_OK;
    pv_meter_begin(PV_METER_FILES);
    do
        got = read(idx->fd, idx->buffer, BUFFER_BYTES);
    while (got < 0 && errno == EINTR);
    pv_meter_end();
    if (got < 0) return pv_fail(PV_ERR_IO, "cannot read '%s': %s", idx->path, strerror(errno));
    idx->z.next_in = idx->buffer;
    idx->z.avail_in = (uInt)got;
    return PV_OK;
}

/* After a gzip member: another one, or the end of the file, before which zeros may stand (of tapes). */
static pv_status end_member(pv_idx *idx)
{
    pv_status st;
    PV_TRY(fill(idx));
    if (idx->z.avail_in > 0 && *idx->z.next_in == GZIP_FIRST_BYTE) {
        inflateReset(&idx->z);
        return PV_OK;
    }
    idx->ended = true;
    while (idx->z.avail_in > 0) {
        if (*idx->z.next_in++ != 0)
            return pv_fail(PV_ERR_DATA,
                           "'%s' has trailing bytes after its gzip stream, expected the end of the file",
                           idx->path);
        idx->z.avail_in--;
        PV_TRY(fill(idx));
    }
done:
    return st;
}

/* Takes what the buffer holds into z.next_out. */
static pv_status unpack(pv_idx *idx)
{
    z_stream *z = &idx->z;
    if (!idx->gzip) {
        const uInt n = z->avail_in < z->avail_out ? z->avail_in : z->avail_out;
        idx->ended = n == 0;
        memcpy(z->next_out, z->next_in, n);
        z->next_in += n;
        z->avail_in -= n;
        z->next_out += n;
        z->avail_out -= n;
        return PV_OK;
    }
    if (z->avail_in == 0)
        return pv_fail(PV_ERR_DATA, "'%s' is truncated: its gzip stream has no end after %lld bytes",
                       idx->path, (long long)idx->file_bytes);
    const int verdict = inflate(z, Z_NO_FLUSH);
    if (verdict == Z_STREAM_END) return end_member(idx);
    if (verdict == Z_OK) return PV_OK;
    if (verdict == Z_MEM_ERROR) return pv_fail(PV_ERR_NOMEM, "no memory to decompress '%s'", idx->path);
    return pv_fail(PV_ERR_DATA, "'%s' is corrupt: its gzip stream has an error (%s)", idx->path,
                   z->msg ? z->msg : zError(verdict));
}

/* The next n uncompressed bytes; *got is less only at the end of the file. */
static pv_status read_bytes(pv_idx *idx, void *to, size_t n, size_t *got)
{
    pv_status st = PV_OK;
    idx->z.next_out = to;
    idx->z.avail_out = (uInt)n;
    while (idx->z.avail_out > 0 && !idx->ended) {
        PV_TRY(fill(idx));
        PV_TRY(unpack(idx));
    }
done:
    *got = n - idx->z.avail_out;
    return st;
}

static pv_status open_file(pv_idx *idx)
{
    struct stat about;
    /* Without O_NONBLOCK a FIFO of that name would hang the run. */
    idx->fd = open(idx->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (idx->fd < 0 || fstat(idx->fd, &about) != 0)
        return pv_fail(PV_ERR_IO, "cannot open '%s': %s", idx->path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return pv_fail(PV_ERR_IO, "'%s' is not a regular file", idx->path);
    idx->file_bytes = about.st_size;
    const pv_status st = fill(idx);
    if (st != PV_OK) return st;
    idx->gzip = idx->z.avail_in > 0 && idx->buffer[0] == GZIP_FIRST_BYTE;
    if (idx->gzip && inflateInit2(&idx->z, GZIP_WRAPPER) != Z_OK)
        return pv_fail(PV_ERR_NOMEM, "no memory to decompress '%s'", idx->path);
    return PV_OK;
}

/* The magic number: what an element is, and how many dimensions there are. */
static pv_status check_magic(pv_idx *idx, const uint8_t magic[4], size_t got)
{
    const int most = idx->kind == PV_IDX_IMAGES ? 3 : 2, least = idx->kind == PV_IDX_IMAGES ? 3 : 1;
    if (got >= 2 && (magic[0] != 0 || magic[1] != 0))
        return pv_fail(PV_ERR_DATA,
                       "'%s' is not an IDX file: it starts with the bytes %02x %02x, expected 00 00",
                       idx->path, magic[0], magic[1]);
    if (got < 4)
        return pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends after %zu bytes, its header takes more",
                       idx->path, got);
    for (int t = 0; t < TYPES; t++)
        if (types[t].code == magic[2]) {
            idx->code = types[t].code;
            idx->bytes = types[t].bytes;
            idx->dims.whole = types[t].whole;
            idx->dims.bytes = idx->code == UNSIGNED_BYTE;
        }
    if (idx->bytes == 0)
        return pv_fail(PV_ERR_DATA,
                       "'%s' has the magic number 0x%02x%02x: elements of the unknown type 0x%02x", idx->path,
                       magic[2], magic[3], magic[2]);
    if (idx->kind == PV_IDX_LABELS && !idx->dims.whole)
        return pv_fail(PV_ERR_DATA, "'%s' has labels of type 0x%02x, expected whole numbers", idx->path,
                       magic[2]);
    if (magic[3] < least || magic[3] > most)
        return pv_fail(PV_ERR_DATA, "'%s' has the magic number 0x%02x%02x: %d dimensions, expected %s",
                       idx->path, magic[2], magic[3], magic[3],
                       idx->kind == PV_IDX_IMAGES ? "3 (images)" : "1 or 2 (labels)");
    return PV_OK;
}

/* Does the file have room for what its header declares? */
static pv_status check_size(const pv_idx *idx)
{
    if (idx->gzip && idx->declared / DEFLATE_MAX_RATIO > idx->file_bytes)
        return pv_fail(
            PV_ERR_DATA,
            "'%s' is truncated or corrupt: its header declares %lld %s in %lld bytes, which %lld bytes "
            "of gzip cannot hold",
            idx->path, (long long)idx->dims.count, items_of(idx->kind), (long long)idx->declared,
            (long long)idx->file_bytes);
    if (!idx->gzip && idx->declared != idx->file_bytes)
        return pv_fail(PV_ERR_DATA, "'%s' %s: it is %lld bytes, its header declares %lld %s in %lld bytes",
                       idx->path, idx->declared > idx->file_bytes ? "is truncated" : "has trailing bytes",
                       (long long)idx->file_bytes, (long long)idx->dims.count, items_of(idx->kind),
                       (long long)idx->declared);
    return PV_OK;
}

static pv_status read_header(pv_idx *idx)
{
    uint8_t magic[4];
    uint32_t sizes[MOST_DIMENSIONS] = {0, 1, 1};
    size_t got;
    pv_status st;
    PV_TRY(read_bytes(idx, magic, sizeof magic, &got));
    PV_TRY(check_magic(idx, magic, got));
    const size_t bytes = sizeof *sizes * magic[3];
    PV_TRY(read_bytes(idx, sizes, bytes, &got));
    if (got < bytes)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends after %zu bytes, its header takes %zu",
                       idx->path, sizeof magic + got, sizeof magic + bytes));
    for (int d = 0; d < magic[3]; d++)
        sizes[d] = be32toh(sizes[d]);
    idx->dims.count = sizes[0];
    if (sizes[0] == 0)
        PV_TRY(
            pv_fail(PV_ERR_DATA, "'%s' declares 0 %s, expected at least 1", idx->path, items_of(idx->kind)));
    for (int d = 1; d < magic[3]; d++)
        if (sizes[d] < 1 || sizes[d] > PV_IDX_MAX_SIDE)
            PV_TRY(pv_fail(PV_ERR_DATA, "'%s' declares %s with %u %s, expected 1 to %d", idx->path,
                           items_of(idx->kind), sizes[d], d < magic[3] - 1 ? "rows" : "columns",
                           (int)PV_IDX_MAX_SIDE));
    idx->dims.height = magic[3] == 3 ? (int)sizes[1] : 1;
    idx->dims.width = (int)sizes[magic[3] == 3 ? 2 : 1];
    /* At most 2^32 * 4096 * 4096 * 8 = 2^59: no overflow. */
    idx->declared =
        (int64_t)(sizeof magic + bytes) + idx->dims.count * idx->dims.height * idx->dims.width * idx->bytes;
    st = check_size(idx);
done:
    return st;
}

pv_status pv_idx_open(const char *path, pv_idx_kind kind, pv_idx **out, pv_idx_dims *dims)
{
    pv_status st;
    pv_idx *idx;
    *out = NULL;
    PV_ALLOC(idx, 1);
    idx->fd = -1;
    idx->kind = kind;
    idx->path = pv_strdup(path);
    PV_TRY(idx->path ? PV_OK : PV_ERR_NOMEM);
    PV_TRY(open_file(idx));
    PV_TRY(read_header(idx));
    *dims = idx->dims;
    *out = idx;
    idx = NULL;
done:
    pv_idx_close(idx);
    return st;
}

/* n elements of `raw`, which is big-endian, as numbers: a loop for each type, as a data set has many. */
static void decode(const pv_idx *idx, int n, const uint8_t *raw, double *numbers)
{
    for (int i = 0; idx->code == UNSIGNED_BYTE && i < n; i++)
        numbers[i] = raw[i];
    for (int i = 0; idx->code == 0x09 && i < n; i++)
        numbers[i] = (int8_t)raw[i];
    for (int i = 0; idx->bytes == 2 && i < n; i++)
        numbers[i] = (int16_t)(raw[2 * i] << 8 | raw[2 * i + 1]);
    for (int i = 0; idx->bytes == 4 && i < n; i++) {
        uint32_t bits;
        float real;
        memcpy(&bits, raw + 4 * (size_t)i, sizeof bits);
        bits = be32toh(bits);
        memcpy(&real, &bits, sizeof real);
        numbers[i] = idx->dims.whole ? (double)(int32_t)bits : (double)real;
    }
    for (int i = 0; idx->bytes == 8 && i < n; i++) {
        uint64_t bits;
        memcpy(&bits, raw + 8 * (size_t)i, sizeof bits);
        bits = be64toh(bits);
        memcpy(&numbers[i], &bits, sizeof bits);
    }
}

pv_status pv_idx_read(pv_idx *idx, pv_idx_take *take, void *context)
{
    const int elements = idx->dims.height * idx->dims.width;
    const size_t bytes = (size_t)elements * (size_t)idx->bytes;
    uint8_t *raw = NULL;
    double *numbers = NULL;
    size_t got;
    pv_status st;
    PV_ALLOC(raw, (int64_t)bytes);
    PV_ALLOC(numbers, elements);
    for (int64_t item = 0; item < idx->dims.count; item++) {
        PV_TRY(read_bytes(idx, raw, bytes, &got));
        if (got < bytes)
            PV_TRY(pv_fail(PV_ERR_DATA,
                           "'%s' is truncated: it ends within %s %lld, its header declares %lld bytes",
                           idx->path, items_of(idx->kind), (long long)item, (long long)idx->declared));
        decode(idx, elements, raw, numbers);
        PV_TRY(take(context, item, numbers));
    }
    PV_TRY(read_bytes(idx, raw, 1, &got)); /* which looks at the CRC too */
    if (got > 0)
        st = pv_fail(PV_ERR_DATA,
                     "'%s' has trailing bytes: its header declares %lld %s in %lld bytes, and "
                     "more follow",
                     idx->path, (long long)idx->dims.count, items_of(idx->kind), (long long)idx->declared);
done:
    free(raw);
    free(numbers);
    return st;
}

const char *pv_idx_path(const pv_idx *idx)
{
    return idx->path;
}

void pv_idx_close(pv_idx *idx)
{
    if (!idx) return;
    if (idx->gzip) inflateEnd(&idx->z);
    if (idx->fd >= 0) close(idx->fd);
    free(idx->path);
    free(idx);
}
