/* How often a mesh winds around a point, by a tree of groups of its triangles. */
#ifndef PV_WINDING_H
#define PV_WINDING_H

#include "pv_mesh.h"

typedef struct pv_winding pv_winding;

/* Owner    pv_winding_free; the mesh is not needed any more
 * Local.   Errors: PV_ERR_NOMEM. */
pv_status pv_winding_make(const pv_mesh *mesh, pv_winding **out);
void pv_winding_free(pv_winding *winding);

/* The generalised winding number: of a closed surface whose triangles turn outwards 1 inside and 0 outside;
 * of an open one it goes from one to the other across the hole.  Within 0.1.
 * Source   Barill et al. 2018, fast winding numbers.   Differs: groups of triangles are dipoles only. */
double pv_winding_around(const pv_winding *winding, const double point[3]);

#endif
