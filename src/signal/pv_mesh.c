/* Triangle meshes: what readers add to them, and putting them into the unit ball. */
#include "pv_mesh.h"
#include "pv_polygon.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

pv_status pv_mesh_add(pv_mesh *mesh, const char *path, const int32_t *corners, int count)
{
    if (count < 3) return PV_OK;
    for (int i = 0; i < count; i++) {
        const double *p = mesh->vertex[corners[i]];
        if (!isfinite(p[0]) || !isfinite(p[1]) || !isfinite(p[2]))
            return pv_fail(PV_ERR_DATA, "'%s': vertex %d is %g %g %g", path, corners[i], p[0], p[1], p[2]);
    }
    if (mesh->triangles + count > mesh->room) {
        const int64_t room = 2 * mesh->room + count + 256;
        int32_t(*grown)[3] = room > INT32_MAX ? NULL : realloc(mesh->triangle, (size_t)room * sizeof *grown);
        if (!grown) return pv_fail(PV_ERR_NOMEM, "'%s': no memory for %lld triangles", path, (long long)room);
        mesh->triangle = grown;
        mesh->room = room;
    }
    const pv_status st = pv_polygon_cut(mesh->vertex, corners, count, mesh->triangle + mesh->triangles);
    if (st == PV_OK) mesh->triangles += count - 2;
    return st;
}

/* The middle of the box around all triangles, and how far they reach from it. */
static void measure(pv_mesh *mesh)
{
    double low[3] = {HUGE_VAL, HUGE_VAL, HUGE_VAL}, high[3] = {-HUGE_VAL, -HUGE_VAL, -HUGE_VAL};
    const int32_t *corners = &mesh->triangle[0][0];
    double reach = 0;
    for (int64_t i = 0; i < 3 * mesh->triangles; i++)
        for (int k = 0; k < 3; k++) {
            const double x = mesh->vertex[corners[i]][k];
            low[k] = fmin(low[k], x);
            high[k] = fmax(high[k], x);
        }
    for (int k = 0; k < 3; k++)
        mesh->centre[k] = low[k] / 2 + high[k] / 2;
    for (int64_t i = 0; i < 3 * mesh->triangles; i++) {
        const double *p = mesh->vertex[corners[i]];
        reach =
            fmax(reach, hypot(hypot(p[0] - mesh->centre[0], p[1] - mesh->centre[1]), p[2] - mesh->centre[2]));
    }
    mesh->scale = reach;
    for (int k = 0; k < 3; k++)
        mesh->half[k] = reach > 0 ? (high[k] / 2 - low[k] / 2) / reach : 0;
}

static bool has_area(const pv_mesh *mesh, const int32_t corners[3])
{
    const double *a = mesh->vertex[corners[0]], *b = mesh->vertex[corners[1]], *c = mesh->vertex[corners[2]];
    double sum = 0;
    for (int k = 0; k < 3; k++) {
        const int m = (k + 1) % 3, n = (k + 2) % 3;
        sum += fabs((b[m] - a[m]) * (c[n] - a[n]) - (b[n] - a[n]) * (c[m] - a[m]));
    }
    return sum > 0;
}

/* Whether a store can keep where the mesh lay and how large it was, which are 32-bit numbers there. */
static bool is_kept(const pv_mesh *mesh)
{
    bool kept = mesh->scale >= (double)FLT_MIN && mesh->scale <= (double)FLT_MAX;
    for (int k = 0; k < 3; k++)
        kept = kept && fabs(mesh->centre[k]) <= (double)FLT_MAX;
    return kept;
}

pv_status pv_mesh_settle(pv_mesh *mesh, const char *path)
{
    int64_t kept = 0;
    if (mesh->triangles > 0) measure(mesh);
    if (!(mesh->scale > 0 && isfinite(mesh->scale)))
        return pv_fail(PV_ERR_DATA, "'%s' has no triangle with an area", path);
    if (!is_kept(mesh))
        return pv_fail(
            PV_ERR_DATA,
            "'%s' has a size of %g around (%g, %g, %g), which 32-bit numbers do not hold: scale it, or move "
            "it to the origin",
            path, mesh->scale, mesh->centre[0], mesh->centre[1], mesh->centre[2]);
    for (int64_t v = 0; v < mesh->vertices; v++)
        for (int k = 0; k < 3; k++)
            mesh->vertex[v][k] = (mesh->vertex[v][k] - mesh->centre[k]) / mesh->scale;
    for (int64_t t = 0; t < mesh->triangles; t++)
        if (has_area(mesh, mesh->triangle[t]))
            memcpy(mesh->triangle[kept++], mesh->triangle[t], sizeof *mesh->triangle);
    mesh->triangles = kept;
    return kept > 0 ? PV_OK : pv_fail(PV_ERR_DATA, "'%s' has no triangle with an area", path);
}

void pv_mesh_free(pv_mesh *mesh)
{
    free(mesh->vertex);
    free(mesh->triangle);
    *mesh = (pv_mesh){0};
}
