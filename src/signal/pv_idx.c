/* Reading IDX files, plain or gzip. */
#include "pv_idx.h"
#include "base/pv_mem.h"
#include "base/pv_meter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    BUFFER_BYTES = 1 << 15,
    HEADER_BYTES = 16,       /* of images; labels take 8 */
    TYPE_UNSIGNED = 0x08,    /* the type byte */
    GZIP_WRAPPER = 15 + 16,  /* zlib: largest window, gzip header and CRC */
    GZIP_FIRST_BYTE = 0x1f,  /* no IDX file starts so */
    DEFLATE_MAX_RATIO = 1032 /* 258 bytes a 2-bit code */
};

struct pv_idx {
    char *path;
    pv_idx_kind kind;
    pv_idx_dims dims;
    int fd;
    int64_t file_bytes;   /* on disk */
    int64_t header_bytes; /* 4 + 4 a dimension */
    int64_t data_bytes;   /* of the elements, as the header declares */

    /* The file as it comes: buffer[at .. filled) is read and not yet used. */
    uint8_t buffer[BUFFER_BYTES];
    size_t at, filled;
    bool gzip, ended;
    z_stream z;
    uint8_t piece[BUFFER_BYTES]; /* elements, uncompressed, on their way to the ranges */
};

static const char *items_of(pv_idx_kind kind)
{
    return kind == PV_IDX_IMAGES ? "images" : "labels";
}

/* Refills the used-up buffer; filled == 0 then means the end of the file. */
static pv_status fill(pv_idx *idx)
{
    ssize_t got;
    pv_meter_begin(PV_METER_FILES);
    do
        got = read(idx->fd, idx->buffer, BUFFER_BYTES);
    while (got < 0 && errno == EINTR);
    pv_meter_end();
    idx->at = idx->filled = 0;
    if (got < 0) return pv_fail(PV_ERR_IO, "cannot read '%s': %s", idx->path, strerror(errno));
    idx->filled = (size_t)got;
    return PV_OK;
}

static pv_status read_plain(pv_idx *idx, uint8_t *to, size_t n, size_t *got)
{
    pv_status st = PV_OK;
    *got = 0;
    while (*got < n && !idx->ended) {
        if (idx->at == idx->filled) PV_TRY(fill(idx));
        const size_t left = idx->filled - idx->at, part = left < n - *got ? left : n - *got;
        idx->ended = left == 0;
        memcpy(to + *got, idx->buffer + idx->at, part);
        idx->at += part;
        *got += part;
    }
done:
    return st;
}

/* After the end of a gzip member: the end of the file or another member, nothing else. */
static pv_status next_member(pv_idx *idx)
{
    pv_status st = PV_OK;
    if (idx->at == idx->filled) PV_TRY(fill(idx));
    if (idx->filled == 0)
        idx->ended = true;
    else if (idx->buffer[idx->at] != GZIP_FIRST_BYTE)
        st =
            pv_fail(PV_ERR_DATA,
                    "'%s' has trailing bytes after its gzip stream, expected the end of the file", idx->path);
    else
        inflateReset(&idx->z);
done:
    return st;
}

static pv_status read_gzip(pv_idx *idx, uint8_t *to, size_t n, size_t *got)
{
    pv_status st = PV_OK;
    z_stream *z = &idx->z;
    z->next_out = to;
    z->avail_out = (uInt)n;
    while (z->avail_out > 0 && !idx->ended) {
        if (idx->at == idx->filled) PV_TRY(fill(idx));
        if (idx->filled == 0) {
            st = pv_fail(PV_ERR_DATA, "'%s' is truncated: its gzip stream has no end after %lld bytes",
                         idx->path, (long long)idx->file_bytes);
            goto done;
        }
        z->next_in = idx->buffer + idx->at;
        z->avail_in = (uInt)(idx->filled - idx->at);
        const int verdict = inflate(z, Z_NO_FLUSH);
        idx->at = idx->filled - z->avail_in;
        if (verdict == Z_STREAM_END) {
            PV_TRY(next_member(idx));
        } else if (verdict == Z_MEM_ERROR) {
            st = pv_fail(PV_ERR_NOMEM, "no memory to decompress '%s'", idx->path);
            goto done;
        } else if (verdict != Z_OK) {
            st = pv_fail(PV_ERR_DATA, "'%s' is corrupt: its gzip stream has an error (%s)", idx->path,
                         z->msg ? z->msg : zError(verdict));
            goto done;
        }
    }
done:
    *got = n - z->avail_out;
    return st;
}

/* The next n (at most BUFFER_BYTES) uncompressed bytes; fewer only at the end. */
static pv_status read_bytes(pv_idx *idx, uint8_t *to, size_t n, size_t *got)
{
    return idx->gzip ? read_gzip(idx, to, n, got) : read_plain(idx, to, n, got);
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
    idx->gzip = idx->filled > 0 && idx->buffer[0] == GZIP_FIRST_BYTE;
    if (idx->gzip && inflateInit2(&idx->z, GZIP_WRAPPER) != Z_OK)
        return pv_fail(PV_ERR_NOMEM, "no memory to decompress '%s'", idx->path);
    return PV_OK;
}

static int64_t big_endian(const uint8_t *bytes)
{
    return (int64_t)bytes[0] << 24 | (int64_t)bytes[1] << 16 | (int64_t)bytes[2] << 8 | (int64_t)bytes[3];
}

static pv_status check_magic(const pv_idx *idx, const uint8_t *head, size_t got)
{
    const long long magic = got >= 4 ? (long long)big_endian(head) : 0;
    if (got >= 2 && (head[0] != 0 || head[1] != 0))
        return pv_fail(PV_ERR_DATA,
                       "'%s' is not an IDX file: it starts with the bytes %02x %02x, expected 00 00",
                       idx->path, head[0], head[1]);
    if (got >= 4 && head[2] != TYPE_UNSIGNED)
        return pv_fail(PV_ERR_DATA,
                       "'%s' has the magic number 0x%08llx: type 0x%02x, expected 0x08 (unsigned bytes)",
                       idx->path, magic, head[2]);
    if (got >= 4 && head[3] != (uint8_t)idx->kind)
        return pv_fail(PV_ERR_DATA, "'%s' has the magic number 0x%08llx: %d dimensions, expected %d (%s)",
                       idx->path, magic, head[3], (int)idx->kind, items_of(idx->kind));
    if ((int64_t)got < idx->header_bytes)
        return pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends after %zu bytes, its header takes %lld",
                       idx->path, got, (long long)idx->header_bytes);
    return PV_OK;
}

/* An image side as the header declares it, or 0 after a failure. */
static int checked_side(const pv_idx *idx, int dimension, const uint8_t *head)
{
    const int64_t side = big_endian(head + 4 + 4 * dimension);
    if (side >= 1 && side <= PV_IDX_MAX_SIDE) return (int)side;
    pv_fail(PV_ERR_DATA, "'%s' declares images with %lld %s, expected 1 to %d", idx->path, (long long)side,
            dimension == 1 ? "rows" : "columns", (int)PV_IDX_MAX_SIDE);
    return 0;
}

/* Does the file have room for what its header declares? */
static pv_status check_size(const pv_idx *idx)
{
    const int64_t declared = idx->header_bytes + idx->data_bytes;
    if (idx->gzip && declared / DEFLATE_MAX_RATIO > idx->file_bytes)
        return pv_fail(
            PV_ERR_DATA,
            "'%s' is truncated or corrupt: its header declares %lld %s in %lld bytes, which %lld bytes "
            "of gzip cannot hold",
            idx->path, (long long)idx->dims.count, items_of(idx->kind), (long long)declared,
            (long long)idx->file_bytes);
    if (!idx->gzip && declared != idx->file_bytes)
        return pv_fail(PV_ERR_DATA, "'%s' %s: it is %lld bytes, its header declares %lld %s in %lld bytes",
                       idx->path, declared > idx->file_bytes ? "is truncated" : "has trailing bytes",
                       (long long)idx->file_bytes, (long long)idx->dims.count, items_of(idx->kind),
                       (long long)declared);
    return PV_OK;
}

static pv_status read_header(pv_idx *idx)
{
    uint8_t head[HEADER_BYTES];
    size_t got;
    idx->header_bytes = 4 + 4 * (int64_t)idx->kind;
    pv_status st = read_bytes(idx, head, (size_t)idx->header_bytes, &got);
    if (st == PV_OK) st = check_magic(idx, head, got);
    if (st != PV_OK) return st;
    idx->dims = (pv_idx_dims){.count = big_endian(head + 4), .height = 1, .width = 1};
    if (idx->dims.count == 0)
        return pv_fail(PV_ERR_DATA, "'%s' declares 0 %s, expected at least 1", idx->path,
                       items_of(idx->kind));
    if (idx->kind == PV_IDX_IMAGES) {
        idx->dims.height = checked_side(idx, 1, head);
        if (idx->dims.height > 0) idx->dims.width = checked_side(idx, 2, head);
        if (idx->dims.height == 0 || idx->dims.width == 0) return PV_ERR_DATA;
    }
    /* At most 2^32 * 4096 * 4096 = 2^56: no overflow. */
    idx->data_bytes = idx->dims.count * idx->dims.height * idx->dims.width;
    return check_size(idx);
}

pv_status pv_idx_open(const char *path, pv_idx_kind kind, pv_idx **out, pv_idx_dims *dims)
{
    pv_status st = PV_OK;
    pv_idx *idx;
    *out = NULL;
    PV_ALLOC(idx, 1);
    idx->fd = -1;
    idx->kind = kind;
    idx->path = pv_strdup(path);
    if (!idx->path) {
        st = PV_ERR_NOMEM;
        goto done;
    }
    PV_TRY(open_file(idx));
    PV_TRY(read_header(idx));
    *dims = idx->dims;
done:
    if (st == PV_OK)
        *out = idx;
    else
        pv_idx_close(idx);
    return st;
}

/* Labels piece[0 .. n), the first of which is row `row` of the file. */
static pv_status check_labels(const pv_idx *idx, int64_t row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (idx->piece[i] >= PV_IDX_CLASSES)
            return pv_fail(PV_ERR_DATA, "'%s' row %lld: label %d is out of range, expected 0 to %d",
                           idx->path, (long long)row + (long long)i, idx->piece[i], (int)PV_IDX_CLASSES - 1);
    return PV_OK;
}

/* Copies what falls into `range` of piece[0 .. n), which starts at byte `at` of the elements. */
static void copy_part(const pv_idx *idx, int64_t at, int64_t n, const pv_idx_range *range)
{
    const int64_t item = (int64_t)idx->dims.height * idx->dims.width;
    const int64_t first = range->first * item, end = first + range->count * item;
    const int64_t from = first > at ? first : at, to = end < at + n ? end : at + n;
    if (from < to) memcpy(range->to + (from - first), idx->piece + (from - at), (size_t)(to - from));
}

static bool within_file(const pv_idx *idx, const pv_idx_range *range)
{
    return range->first >= 0 && range->count >= 0 && range->count <= idx->dims.count &&
           range->first <= idx->dims.count - range->count;
}

/* The file must be at its end, which for gzip also checks the CRC of the last bytes. */
static pv_status check_end(pv_idx *idx)
{
    uint8_t extra;
    size_t got;
    const pv_status st = read_bytes(idx, &extra, 1, &got);
    if (st == PV_OK && got != 0)
        return pv_fail(PV_ERR_DATA,
                       "'%s' has trailing bytes: its header declares %lld %s in %lld bytes, and more "
                       "follow",
                       idx->path, (long long)idx->dims.count, items_of(idx->kind),
                       (long long)(idx->header_bytes + idx->data_bytes));
    return st;
}

pv_status pv_idx_read(pv_idx *idx, const pv_idx_range *ranges, int n)
{
    pv_status st = PV_OK;
    for (int r = 0; r < n; r++)
        if (!within_file(idx, &ranges[r]))
            return pv_fail(PV_ERR_INTERNAL, "%s %lld + %lld of '%s' were asked for, it has %lld",
                           items_of(idx->kind), (long long)ranges[r].first, (long long)ranges[r].count,
                           idx->path, (long long)idx->dims.count);
    for (int64_t at = 0; at < idx->data_bytes;) {
        const int64_t left = idx->data_bytes - at;
        const size_t want = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        size_t got;
        PV_TRY(read_bytes(idx, idx->piece, want, &got));
        if (got < want) {
            st = pv_fail(PV_ERR_DATA, "'%s' is truncated: it ends after %lld bytes, its header declares %lld",
                         idx->path, (long long)(idx->header_bytes + at + (int64_t)got),
                         (long long)(idx->header_bytes + idx->data_bytes));
            goto done;
        }
        if (idx->kind == PV_IDX_LABELS) PV_TRY(check_labels(idx, at, got));
        for (int r = 0; r < n; r++)
            copy_part(idx, at, (int64_t)got, &ranges[r]);
        at += (int64_t)got;
    }
    st = check_end(idx);
done:
    return st;
}

void pv_idx_close(pv_idx *idx)
{
    if (!idx) return;
    if (idx->gzip) inflateEnd(&idx->z);
    if (idx->fd >= 0) close(idx->fd);
    free(idx->path);
    free(idx);
}
