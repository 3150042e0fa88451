/* OBJ, STL and PLY files, read by assimp. */
#ifndef PV_MESH_FOREIGN_H
#define PV_MESH_FOREIGN_H

#include "pv_mesh.h"

/* Reads a whole file in memory, in the format `ending` ("stl").
 * Local.   Errors: PV_ERR_DATA (the path and what assimp says are named), PV_ERR_NOMEM. */
pv_status pv_foreign_parse(const char *path, const char *ending, const char *bytes, int64_t size,
                           pv_mesh *mesh);

#endif
