/* The surface of a field in the cube [-1, 1]^3, as rays see it: where the field falls below 0. */
#ifndef PV_TRACE_H
#define PV_TRACE_H

#include "base/pv_status.h"

typedef struct pv_field {
    pv_status (*at)(const void *of, int n, const float *points,
                    float *values); /* points [n][3], values [n] */
    const void *of;
} pv_field;

/* Where parallel rays first meet the surface.  A step is as long as the field's value allows for
 * the steepest slope that it shows on a lattice: an exact distance is not needed.  What is passed within
 * a step nevertheless is found by the change of sign.
 * Shapes   origin [n][3]; direction [3], a unit vector; depth [n]: origin + depth direction is on the
 *          surface, HUGE_VALF where the ray meets none
 * Local.   Errors: PV_ERR_NOMEM, those of the field. */
pv_status pv_trace(const pv_field *field, int n, const float *origin, const float *direction, float *depth);

/* The unit vectors that point out of the surface at points of it: [n][3] both.
 * Local.   Errors: as pv_trace. */
pv_status pv_trace_normals(const pv_field *field, int n, const float *points, float *normals);

#endif
