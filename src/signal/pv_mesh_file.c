/* Files of meshes: their formats, a look at their heads, and reading them. */
#include "pv_mesh_file.h"
#include "base/pv_mem.h"
#include "pv_mesh_foreign.h"
#include "pv_mesh_off.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* assimp takes a file of no more; what a look at a file's head reads; of a binary STL file, its head and what
 * a triangle takes. */
enum { MOST_BYTES = INT32_MAX - 1, HEAD_BYTES = 65536, STL_HEAD = 84, STL_TRIANGLE = 50 };

typedef enum mesh_format { OFF, OBJ, STL, PLY, FORMATS } mesh_format;
const char *const pv_mesh_endings[] = {[OFF] = ".off", [OBJ] = ".obj", [STL] = ".stl", [PLY] = ".ply", NULL};

static mesh_format format_of(const char *path)
{
    const size_t length = strlen(path);
    int format = 0;
    while (format < FORMATS && (length < 4 || strcasecmp(path + length - 4, pv_mesh_endings[format]) != 0))
        format++;
    return (mesh_format)format;
}

/* Reads the first `most` bytes and puts a zero behind them; *length is what the whole file has.  Owner: the
 * caller frees *bytes, NULL on failure. */
static pv_status read_bytes(const char *path, int64_t most, char **bytes, int64_t *size, int64_t *length)
{
    struct stat about;
    FILE *file = fopen(path, "rb");
    pv_status st = PV_OK;
    *bytes = NULL;
    if (!file || fstat(fileno(file), &about) != 0)
        PV_TRY(pv_fail(PV_ERR_IO, "cannot open '%s': %s", path, strerror(errno)));
    *length = (int64_t)about.st_size;
    if (!S_ISREG(about.st_mode) || *length == 0) PV_TRY(pv_fail(PV_ERR_DATA, "'%s' is empty", path));
    if (*length > MOST_BYTES) PV_TRY(pv_fail(PV_ERR_DATA, "'%s' has more than 2^31 bytes", path));
    const int64_t wanted = *length < most ? *length : most;
    PV_ALLOC(*bytes, wanted + 1);
    *size = (int64_t)fread(*bytes, 1, (size_t)wanted, file);
    if (*size < wanted) st = pv_fail(PV_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
done:
    if (st != PV_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    if (file) fclose(file);
    return st;
}

/* The 32-bit number of a binary STL file says how long it is; another begins with the word solid. */
static pv_status look_at_stl(const char *path, const char *head, int64_t length)
{
    uint32_t triangles = 0;
    if (length >= STL_HEAD) memcpy(&triangles, head + STL_HEAD - sizeof triangles, sizeof triangles);
    if (triangles > 0 && length == STL_HEAD + STL_TRIANGLE * (int64_t)triangles) return PV_OK;
    if (strncasecmp(head, "solid", 5) == 0 && strcasestr(head, "facet")) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' is no STL file with triangles, or is cut off", path);
}

/* The count of an element of a PLY file, 0 if there is none. */
static long long ply_count(const char *head, const char *element)
{
    const char *at = strstr(head, element);
    return at ? strtoll(at + strlen(element), NULL, 10) : 0;
}

static pv_status look_at_ply(const char *path, const char *head, int64_t length)
{
    const long long vertices = ply_count(head, "\nelement vertex "),
                    faces = ply_count(head, "\nelement face ");
    const char *const end =
        strstr(head, "\nend_header"); /* behind which assimp looks for the end of its line */
    if (strncmp(head, "ply", 3) != 0 || !end || strcspn(end + 1, " \t\r\n") != strlen("end_header"))
        return pv_fail(PV_ERR_DATA, "'%s' does not begin with the head of a PLY file", path);
    if (vertices < 3 || faces < 1 || vertices > length || faces > length)
        return pv_fail(PV_ERR_DATA, "'%s' has %lld bytes and says that it has %lld vertices and %lld faces",
                       path, (long long)length, vertices, faces);
    return PV_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The last line that is not blank of a text of `size` bytes; *bytes is its length. */
static const char *last_line(const char *text, int64_t size, int64_t *bytes)
{
    while (size > 0 && is_blank(text[size - 1]))
        size--;
    int64_t begin = size;
    while (begin > 0 && text[begin - 1] != '\n' && text[begin - 1] != '\r')
        begin--;
    while (begin < size && is_blank(text[begin]))
        begin++;
    *bytes = size - begin;
    return text + begin;
}

/* A text says that it ends; assimp takes one that does not for whole. */
static pv_status check_stl_end(const char *path, const char *bytes, int64_t size)
{
    static const char end[] = "endsolid";
    int64_t length;
    uint32_t triangles = 0;
    if (size >= STL_HEAD) memcpy(&triangles, bytes + STL_HEAD - sizeof triangles, sizeof triangles);
    if (size == STL_HEAD + STL_TRIANGLE * (int64_t)triangles) return PV_OK;
    const char *line = last_line(bytes, size, &length);
    if (length >= (int64_t)strlen(end) && strncasecmp(line, end, strlen(end)) == 0) return PV_OK;
    return pv_fail(PV_ERR_DATA, "'%s' is cut off: it does not end with the line endsolid", path);
}

/* What the elements of a PLY file, each on a line of a text, are in all. */
static long long ply_elements(const char *head, const char *end)
{
    static const char element[] = "\nelement ";
    long long sum = 0;
    for (const char *at = head; (at = strstr(at, element)) && at < end;) {
        at += strlen(element);
        const long long count = strtoll(at + strcspn(at, " \t\r\n"), NULL, 10);
        if (count > 0 && count < INT32_MAX) sum += count;
    }
    return sum;
}

static int64_t filled_lines(const char *text)
{
    int64_t lines = 0;
    for (; *text; text += strcspn(text, "\r\n")) {
        text += strspn(text, " \t\r\n");
        lines += *text != '\0';
    }
    return lines;
}

/* Whether the last line of a text begins with a count, and ends before as many numbers. */
static bool misses_corners(const char *text, int64_t size)
{
    int64_t length;
    char *at;
    const char *line = last_line(text, size, &length);
    const long long corners = strtoll(line, &at, 10);
    for (long long found = 0; found < corners; found++) {
        at += strspn(at, " \t");
        if (!*at || strchr("\r\n", *at)) return true;
        at += strcspn(at, " \t\r\n");
    }
    return false;
}

/* assimp takes a text with fewer lines than its head says for whole. */
static pv_status check_ply_lines(const char *path, const char *bytes, int64_t size)
{
    const char *const end = strstr(bytes, "\nend_header"), *const ascii = strstr(bytes, "\nformat ascii");
    const char *const faces = strstr(bytes, "\nelement face ");
    if (!ascii || ascii > end) return PV_OK;
    const char *const body = end + strlen("\nend_header");
    const long long said = ply_elements(bytes, end);
    const int64_t lines = filled_lines(body);
    if (lines < said)
        return pv_fail(PV_ERR_DATA, "'%s' is cut off: its head says that %lld lines follow, and %lld do",
                       path, said, (long long)lines);
    const char *const next = faces ? strstr(faces + 1, "\nelement ") : end;
    const char *const list = faces ? strchr(faces + 1, '\n') : NULL;
    const bool last =
        lines == said && (!next || next > end) && list && strncmp(list, "\nproperty list", 14) == 0;
    if (last && misses_corners(body, size - (body - bytes)))
        return pv_fail(PV_ERR_DATA, "'%s' is cut off: its last face has not all of its corners", path);
    return PV_OK;
}

/* Whether a file that assimp reads is there to its end.  `bytes` have passed the look at their head. */
static pv_status check_whole(const char *path, mesh_format format, const char *bytes, int64_t size)
{
    if (format == STL) return check_stl_end(path, bytes, size);
    if (format == PLY) return check_ply_lines(path, bytes, size);
    return PV_OK;
}

/* Editors of texts put a mark before them, which readers of meshes do not know. */
static int64_t mark_bytes(const char *path, const char *bytes)
{
    const mesh_format format = format_of(path);
    return format != STL && strncmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* `head` ends with a zero; the file has `length` bytes. */
static pv_status look_at(const char *path, const char *head, int64_t length)
{
    pv_off_head off;
    switch (format_of(path)) {
    case OFF:
        return pv_off_read_head(path, head, &off);
    case STL:
        return look_at_stl(path, head, length);
    case PLY:
        return look_at_ply(path, head, length);
    case OBJ:
        if (strlen(head) >= (size_t)(length < HEAD_BYTES ? length : HEAD_BYTES)) return PV_OK;
        return pv_fail(PV_ERR_DATA, "'%s' is not the text that an OBJ file is", path);
    default:
        return pv_fail(PV_ERR_DATA, "'%s' does not end in .off, .obj, .stl or .ply", path);
    }
}

pv_status pv_mesh_look(const char *path)
{
    char *head;
    int64_t size, length;
    pv_status st = read_bytes(path, HEAD_BYTES, &head, &size, &length);
    const int64_t mark = st == PV_OK ? mark_bytes(path, head) : 0;
    if (st == PV_OK) st = look_at(path, head + mark, length - mark);
    free(head);
    return st;
}

pv_status pv_mesh_parse(const char *path, const char *bytes, int64_t size, pv_mesh *mesh)
{
    const mesh_format format = format_of(path);
    const int64_t mark = mark_bytes(path, bytes);
    pv_status st;
    bytes += mark;
    size -= mark;
    PV_TRY(look_at(path, bytes, size));
    PV_TRY(check_whole(path, format, bytes, size));
    PV_TRY(format == OFF ? pv_off_parse(path, bytes, size, mesh)
                         : pv_foreign_parse(path, pv_mesh_endings[format] + 1, bytes, size, mesh));
    st = pv_mesh_settle(mesh, path);
done:
    return st;
}

pv_status pv_mesh_read(const char *path, pv_mesh *mesh)
{
    char *bytes;
    int64_t size, length;
    pv_status st = read_bytes(path, MOST_BYTES, &bytes, &size, &length);
    if (st == PV_OK) st = pv_mesh_parse(path, bytes, size, mesh);
    free(bytes);
    return st;
}
