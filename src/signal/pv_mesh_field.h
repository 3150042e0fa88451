/* The field around a mesh in the unit ball: how far its surface is, and on which side of it a point. */
#ifndef PV_MESH_FIELD_H
#define PV_MESH_FIELD_H

#include "base/pv_rng.h"
#include "pv_mesh.h"

typedef struct pv_mesh_field pv_mesh_field;

/* Owner    pv_mesh_field_free; the mesh is borrowed until then
 * Local.   Errors: PV_ERR_NOMEM (also where Embree has none). */
pv_status pv_mesh_field_make(const pv_mesh *mesh, pv_mesh_field **out);
void pv_mesh_field_free(pv_mesh_field *field);

/* The distance to the nearest triangle.  Differs by rounding only from the smallest over all triangles. */
double pv_mesh_field_distance(const pv_mesh_field *field, const double point[3]);

/* The distance, negative inside: where the surface winds around the point more than half, one way or the
 * other, so that a mesh that is turned inside out has the same inside. */
double pv_mesh_field_signed(const pv_mesh_field *field, const double point[3]);

/* A point of the surface, uniform by area: three draws of `rng`. */
void pv_mesh_field_surface(const pv_mesh_field *field, pv_rng *rng, double point[3]);

#endif
