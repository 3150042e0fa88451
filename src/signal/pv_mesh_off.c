/* OFF files, as text.  ModelNet40 has many with the counts on the first line, right behind the word OFF. */
#include "pv_mesh_off.h"
#include "base/pv_mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that a vertex and a face take at least. */
enum { LEAST_VERTEX = 6, LEAST_FACE = 2 };

/* Past blanks, ends of lines and comments. */
static const char *skip_blanks(const char *at)
{
    for (; isspace((unsigned char)*at) || *at == '#'; at++)
        if (*at == '#') {
            at += strcspn(at, "\n");
            if (!*at) break;
        }
    return at;
}

static const char *skip_line(const char *at)
{
    return at + strcspn(at, "\n");
}

/* False: no number stands there. */
static bool take_count(const char **at, int64_t *count)
{
    char *end;
    const char *start = skip_blanks(*at);
    *count = strtoll(start, &end, 10);
    *at = end;
    return end > start;
}

static bool take_real(const char **at, double *value)
{
    char *end;
    const char *start = skip_blanks(*at);
    *value = strtod(start, &end);
    *at = end;
    return end > start;
}

pv_status pv_off_read_head(const char *path, const char *text, pv_off_head *head)
{
    const char *const begin = skip_blanks(text), *const word = begin + strspn(begin, "STCN");
    int64_t edges;
    if (strncmp(word, "OFF", 3) != 0) return pv_fail(PV_ERR_DATA, "'%s' does not begin with OFF", path);
    *head = (pv_off_head){.coloured = word > begin, .body = word + 3};
    if (strncmp(skip_blanks(head->body), "BINARY", 6) == 0)
        return pv_fail(PV_ERR_DATA, "'%s' is a binary OFF file: only those of text are read", path);
    if (!take_count(&head->body, &head->vertices) || !take_count(&head->body, &head->faces) ||
        !take_count(&head->body, &edges))
        return pv_fail(PV_ERR_DATA, "'%s': no three counts follow the word OFF", path);
    if (head->vertices < 3 || head->faces < 1)
        return pv_fail(PV_ERR_DATA, "'%s' says that it has %lld vertices and %lld faces", path,
                       (long long)head->vertices, (long long)head->faces);
    return PV_OK;
}

static pv_status read_vertices(const char *path, const char **at, bool coloured, pv_mesh *mesh)
{
    for (int64_t v = 0; v < mesh->vertices; v++) {
        for (int k = 0; k < 3; k++)
            if (!take_real(at, &mesh->vertex[v][k]))
                return pv_fail(PV_ERR_DATA, "'%s': vertex %lld of %lld is not there or no three numbers",
                               path, (long long)v, (long long)mesh->vertices);
        if (coloured) *at = skip_line(*at);
    }
    return PV_OK;
}

/* One face; `corners` has room for all that the bytes left can say. */
static pv_status read_face(const char *path, const char **at, int64_t face, int64_t most, int32_t *corners,
                           pv_mesh *mesh)
{
    int64_t count, corner;
    if (!take_count(at, &count) || count < 0 || count > most)
        return pv_fail(PV_ERR_DATA, "'%s': face %lld is not there, or has no count of corners", path,
                       (long long)face);
    for (int64_t i = 0; i < count; i++) {
        if (!take_count(at, &corner))
            return pv_fail(PV_ERR_DATA, "'%s': face %lld has not the %lld corners that it says", path,
                           (long long)face, (long long)count);
        if (corner < 0 || corner >= mesh->vertices)
            return pv_fail(PV_ERR_DATA, "'%s': face %lld has the corner %lld, but there are %lld vertices",
                           path, (long long)face, (long long)corner, (long long)mesh->vertices);
        corners[i] = (int32_t)corner;
    }
    *at = skip_line(*at); /* past its colour */
    return pv_mesh_add(mesh, path, corners, (int)count);
}

pv_status pv_off_parse(const char *path, const char *text, int64_t size, pv_mesh *mesh)
{
    pv_off_head head;
    int32_t *corners = NULL;
    pv_status st = pv_off_read_head(path, text, &head);
    if (st != PV_OK) return st;
    const char *at = head.body;
    const int64_t left = size - (at - text);
    if (head.vertices > left / LEAST_VERTEX || head.faces > left / LEAST_FACE || head.vertices > INT32_MAX)
        return pv_fail(PV_ERR_DATA, "'%s' ends before the %lld vertices and %lld faces that it says it has",
                       path, (long long)head.vertices, (long long)head.faces);
    PV_ALLOC(mesh->vertex, head.vertices);
    mesh->vertices = head.vertices;
    PV_TRY(read_vertices(path, &at, head.coloured, mesh));
    const int64_t rest = (size - (at - text)) / LEAST_FACE, most = rest < INT32_MAX ? rest : INT32_MAX;
    PV_ALLOC(corners, most);
    for (int64_t face = 0; face < head.faces; face++)
        PV_TRY(read_face(path, &at, face, most, corners, mesh));
done:
    free(corners);
    return st;
}
