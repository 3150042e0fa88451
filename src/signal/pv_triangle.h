/* Points and triangles in space, in double precision. */
#ifndef PV_TRIANGLE_H
#define PV_TRIANGLE_H

#include <math.h>

typedef struct pv_triangle {
    const double *a, *b, *c;
} pv_triangle;

static inline double pv_dot(const double x[3], const double y[3])
{
    return x[0] * y[0] + x[1] * y[1] + x[2] * y[2];
}

static inline void pv_minus(const double x[3], const double y[3], double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = x[k] - y[k];
}

static inline void pv_cross(const double x[3], const double y[3], double out[3])
{
    for (int k = 0; k < 3; k++)
        out[k] = x[(k + 1) % 3] * y[(k + 2) % 3] - x[(k + 2) % 3] * y[(k + 1) % 3];
}

/* The normal of a triangle, as long as its area twice. */
static inline void pv_normal(pv_triangle t, double out[3])
{
    double ab[3], ac[3];
    pv_minus(t.b, t.a, ab);
    pv_minus(t.c, t.a, ac);
    pv_cross(ab, ac, out);
}

/* From p to the nearest point of the line from a to b, squared. */
static inline double pv_distance2_line(const double p[3], const double a[3], const double b[3])
{
    double ab[3], ap[3];
    pv_minus(b, a, ab);
    pv_minus(p, a, ap);
    const double length2 = pv_dot(ab, ab), along = pv_dot(ap, ab);
    const double share = length2 > 0 ? fmin(fmax(along / length2, 0), 1) : 0;
    for (int k = 0; k < 3; k++)
        ap[k] -= share * ab[k];
    return pv_dot(ap, ap);
}

/* Whether p is on the triangle's side of the edge from a to b, as seen along the normal. */
static inline int pv_is_beside(const double p[3], const double a[3], const double b[3],
                               const double normal[3])
{
    double ab[3], ap[3], out[3];
    pv_minus(b, a, ab);
    pv_minus(p, a, ap);
    pv_cross(ab, ap, out);
    return pv_dot(out, normal) >= 0;
}

/* From p to the nearest point of a triangle, squared; of a triangle whose plane is as far as `enough2` or
 * farther, to that.  One that is so thin that its normal is rounding is as its edges are. */
static inline double pv_distance2_triangle(const double p[3], pv_triangle t, double enough2)
{
    static const double thin2 = 1e-18;
    double ab[3], ac[3], normal[3], ap[3];
    pv_minus(t.b, t.a, ab);
    pv_minus(t.c, t.a, ac);
    pv_cross(ab, ac, normal);
    const double length2 = pv_dot(normal, normal);
    if (length2 > thin2 * pv_dot(ab, ab) * pv_dot(ac, ac)) {
        pv_minus(p, t.a, ap);
        const double high = pv_dot(ap, normal), high2 = high * high / length2;
        if (high2 >= enough2 || (pv_is_beside(p, t.a, t.b, normal) && pv_is_beside(p, t.b, t.c, normal) &&
                                 pv_is_beside(p, t.c, t.a, normal)))
            return high2;
    }
    return fmin(pv_distance2_line(p, t.a, t.b),
                fmin(pv_distance2_line(p, t.b, t.c), pv_distance2_line(p, t.c, t.a)));
}

#endif
