/* Polygons in space, cut into triangles. */
#ifndef PV_POLYGON_H
#define PV_POLYGON_H

#include "base/pv_status.h"

#include <stdint.h>

/* Cuts a polygon into n - 2 triangles that turn as it does, by its ears as it is seen along its normal; one
 * that crosses itself, or is not flat, gets triangles with the same edge around them.
 * Shapes   corners [n], indices of vertices; triangles [n - 2][3]; n at least 3
 * Local.   Errors: PV_ERR_NOMEM. */
pv_status pv_polygon_cut(double (*vertices)[3], const int32_t *corners, int n, int32_t (*triangles)[3]);

#endif
