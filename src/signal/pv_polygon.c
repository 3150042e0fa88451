/* Polygons in space, cut into triangles: ears are found in their projection and taken off one by one. */
#include "pv_polygon.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Corners that may be looked at for one polygon: beyond, whatever corner comes next is taken off. */
static const int64_t MOST_LOOKS = INT64_C(1) << 27;

/* What is left of a polygon: a ring of corners, as they are seen along its normal. */
typedef struct ring {
    double (*at)[2];
    int *before, *after;
    bool *reflex; /* only such corners can lie in an ear */
    int64_t looks;
} ring;

/* Twice the area of a triangle, positive if it turns as the polygon does. */
static double turn(const double a[2], const double b[2], const double c[2])
{
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

static bool is_same(const double a[2], const double b[2])
{
    return !(a[0] < b[0] || a[0] > b[0] || a[1] < b[1] || a[1] > b[1]);
}

static double turn_at(const ring *r, int i)
{
    return turn(r->at[r->before[i]], r->at[i], r->at[r->after[i]]);
}

/* Whether corner i is the tip of a triangle that no other corner lies in. */
static bool is_ear(ring *r, int i)
{
    const double *a = r->at[r->before[i]], *b = r->at[i], *c = r->at[r->after[i]];
    if (r->reflex[i]) return false;
    for (int k = r->after[r->after[i]]; k != r->before[i]; k = r->after[k], r->looks++) {
        const double *p = r->at[k];
        if (r->reflex[k] && turn(a, b, p) >= 0 && turn(b, c, p) >= 0 && turn(c, a, p) >= 0 &&
            !is_same(a, p) && !is_same(b, p) && !is_same(c, p))
            return false;
    }
    return true;
}

static void take_off(ring *r, int i)
{
    const int before = r->before[i], after = r->after[i];
    r->after[before] = after;
    r->before[after] = before;
    r->reflex[before] = !(turn_at(r, before) > 0);
    r->reflex[after] = !(turn_at(r, after) > 0);
}

static void cut(ring *r, const int32_t *corners, int n, int32_t (*triangles)[3])
{
    int i = 1, seen = 0; /* a triangle stays as it is */
    for (int left = n; left >= 3;) {
        const bool take = left == 3 || seen == left || r->looks > MOST_LOOKS || is_ear(r, i);
        const int before = r->before[i], after = r->after[i];
        seen++;
        if (take) {
            int32_t *triangle = triangles[n - left--];
            triangle[0] = corners[before];
            triangle[1] = corners[i];
            triangle[2] = corners[after];
            take_off(r, i);
            seen = 0;
        }
        i = after;
    }
}

/* The axis along which the polygon is seen largest, and whether it turns the other way round there. */
static int largest_axis(double (*vertices)[3], const int32_t *corners, int n, bool *turned)
{
    double normal[3] = {0};
    int axis = 0;
    for (int i = 0; i < n; i++) {
        const double *a = vertices[corners[i]], *b = vertices[corners[i + 1 < n ? i + 1 : 0]];
        for (int k = 0; k < 3; k++)
            normal[k] += (a[(k + 1) % 3] - b[(k + 1) % 3]) * (a[(k + 2) % 3] + b[(k + 2) % 3]);
    }
    for (int k = 1; k < 3; k++)
        if (fabs(normal[k]) > fabs(normal[axis])) axis = k;
    *turned = normal[axis] < 0;
    return axis;
}

pv_status pv_polygon_cut(double (*vertices)[3], const int32_t *corners, int n, int32_t (*triangles)[3])
{
    pv_status st = PV_OK;
    ring r = {0};
    bool turned;
    const int axis = largest_axis(vertices, corners, n, &turned);
    PV_ALLOC(r.at, n);
    PV_ALLOC(r.before, n);
    PV_ALLOC(r.after, n);
    PV_ALLOC(r.reflex, n);
    for (int i = 0; i < n; i++) {
        const double *p = vertices[corners[i]];
        r.at[i][turned] = p[(axis + 1) % 3];
        r.at[i][!turned] = p[(axis + 2) % 3];
        r.before[i] = (i + n - 1) % n;
        r.after[i] = (i + 1) % n;
    }
    for (int i = 0; i < n; i++)
        r.reflex[i] = !(turn_at(&r, i) > 0);
    cut(&r, corners, n, triangles);
done:
    free(r.at);
    free(r.before);
    free(r.after);
    free(r.reflex);
    return st;
}
