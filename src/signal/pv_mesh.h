/* Triangle meshes in the unit ball. */
#ifndef PV_MESH_H
#define PV_MESH_H

#include "base/pv_status.h"
#include "pv_triangle.h"

#include <stdint.h>

/* Plain data; zeroed, it has no triangles.  One owner, freed by pv_mesh_free. */
typedef struct pv_mesh {
    int64_t vertices, triangles;
    double (*vertex)[3];
    int32_t (*triangle)[3];  /* indices of its vertices; every triangle has an area */
    int64_t room;            /* triangles that there is memory for */
    double centre[3], scale; /* a point of the file is centre + scale * point */
    double half[3];          /* of the box around it, which is centred: its sides, halved */
} pv_mesh;

static inline pv_triangle pv_mesh_triangle(const pv_mesh *mesh, int64_t triangle)
{
    double(*vertex)[3] = mesh->vertex;
    const int32_t *corners = mesh->triangle[triangle];
    return (pv_triangle){vertex[corners[0]], vertex[corners[1]], vertex[corners[2]]};
}

/* For readers of formats: adds a polygon of vertices that are there; of fewer than 3 corners nothing.
 * Local.   Errors: PV_ERR_DATA (a corner that is not finite; `path` is named), PV_ERR_NOMEM. */
pv_status pv_mesh_add(pv_mesh *mesh, const char *path, const int32_t *corners, int count);
/* When all is added: drops triangles without an area, centres the box around the others and scales them to
 * the unit ball.  Local.  Errors: PV_ERR_DATA (there is none; `path` is named). */
pv_status pv_mesh_settle(pv_mesh *mesh, const char *path);
void pv_mesh_free(pv_mesh *mesh);

#endif
