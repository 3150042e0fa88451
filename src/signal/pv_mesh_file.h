/* Files of triangle meshes: OFF, OBJ, STL and PLY. */
#ifndef PV_MESH_FILE_H
#define PV_MESH_FILE_H

#include "pv_mesh.h"

/* How the names of files that can be read end; NULL ends them. */
extern const char *const pv_mesh_endings[];

/* Looks at the first bytes of a file only: whether it may be a mesh.
 * Local.   Errors: PV_ERR_IO, PV_ERR_DATA (the path and what is wrong are named). */
pv_status pv_mesh_look(const char *path);

/* Reads a mesh, cuts its polygons into triangles, drops those without an area, and centres the box around it
 * and scales it to the unit ball.
 * Owner    pv_mesh_free, of a zeroed mesh and whatever is returned
 * Local.   Errors: PV_ERR_IO, PV_ERR_DATA (the file and what is wrong in it are named), PV_ERR_NOMEM. */
pv_status pv_mesh_read(const char *path, pv_mesh *mesh);
/* The same of `size` bytes in memory and a zero; the end of `path` says the format. */
pv_status pv_mesh_parse(const char *path, const char *bytes, int64_t size, pv_mesh *mesh);

#endif
