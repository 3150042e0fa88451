/* The walk over groups of triangles that sums up how often they wind around a point. */
#include "pv_winding_kernels.h"

#include "simd/pv_vector.h"

static const double PI = 3.14159265358979323846;

/* In every lane a sum of angles of -pi to pi: the argument of a product, and how often it went around. */
typedef struct turning {
    pv_vector x, y, turns; /* |x| + |y| is 1 */
} turning;

PV_INLINE void turn_on(turning *sum, pv_vector x, pv_vector y)
{
    const pv_vector zero = {0}, one = pv_vector_splat(1);
    const pv_vector to_x = sum->x * x - sum->y * y, to_y = sum->x * y + sum->y * x;
    const pv_vector length = pv_vector_abs(to_x) + pv_vector_abs(to_y);
    const pv_mask moves = pv_vector_greater(length, zero); /* not where the point is a corner */
    const pv_mask below = pv_vector_less(sum->y, zero), down = pv_vector_less(y, zero);
    const pv_mask above = pv_vector_less(to_y, zero); /* the argument went beyond pi, if both were above 0 */
    const pv_vector up = pv_vector_keep((pv_mask)(moves & above), one);
    const pv_vector both_up = pv_vector_choose((pv_mask)(below | down), zero, up);
    const pv_vector fell = pv_vector_choose(above, zero, one);
    sum->turns += both_up - pv_vector_keep((pv_mask)(moves & below & down), fell);
    sum->x = pv_vector_choose(moves, to_x / length, sum->x);
    sum->y = pv_vector_choose(moves, to_y / length, sum->y);
}

typedef struct arrow {
    pv_vector x[3];
} arrow;

PV_INLINE pv_vector dot(arrow a, arrow b)
{
    return a.x[0] * b.x[0] + a.x[1] * b.x[1] + a.x[2] * b.x[2];
}

/* Half the solid angles of the triangles of a block.
 * Source   Van Oosterom and Strackee 1983 */
PV_INLINE void add_block(const pv_winding_block *block, const float p[3], turning *sum)
{
    for (int lane = 0; lane < PV_WINDING_BLOCK; lane += PV_LANES) {
        arrow to[3];
        for (int corner = 0; corner < 3; corner++)
            for (int k = 0; k < 3; k++)
                to[corner].x[k] = pv_vector_load(block->corner[corner][k] + lane) - pv_vector_splat(p[k]);
        const arrow a = to[0], b = to[1], c = to[2];
        const arrow across = {{b.x[1] * c.x[2] - b.x[2] * c.x[1], b.x[2] * c.x[0] - b.x[0] * c.x[2],
                               b.x[0] * c.x[1] - b.x[1] * c.x[0]}};
        const pv_vector la = pv_vector_sqrt(dot(a, a)), lb = pv_vector_sqrt(dot(b, b)),
                        lc = pv_vector_sqrt(dot(c, c));
        turn_on(sum, la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb, dot(a, across));
    }
}

/* The sum of all lanes, as an angle.  The upper half is put upon the lower one, again and again. */
PV_INLINE double angle_of(turning sum)
{
    float x[2 * PV_LANES] = {0}, y[2 * PV_LANES] = {0}, turns[2 * PV_LANES] = {0};
    for (int half = PV_LANES / 2; half >= 1; half /= 2) {
        pv_vector_store(x, sum.x);
        pv_vector_store(y, sum.y);
        pv_vector_store(turns, sum.turns);
        sum.turns += pv_vector_load(turns + half);
        turn_on(&sum, pv_vector_load(x + half), pv_vector_load(y + half));
    }
    return atan2((double)sum.y[0], (double)sum.x[0]) + 2 * PI * (double)sum.turns[0];
}

static double around(int32_t groups, const pv_winding_group *group, const pv_winding_block *blocks,
                     const double point[3])
{
    const float p[3] = {(float)point[0], (float)point[1], (float)point[2]};
    turning near = {.x = pv_vector_splat(1)};
    double far = 0;
    for (int32_t i = 0; i < groups;) {
        const pv_winding_group *g = &group[i];
        const float x = g->centre[0] - p[0], y = g->centre[1] - p[1], z = g->centre[2] - p[2];
        const float distance2 = x * x + y * y + z * z;
        if (distance2 > g->near2) {
            far += (double)((x * g->normal[0] + y * g->normal[1] + z * g->normal[2]) /
                            (distance2 * sqrtf(distance2)));
            i = g->next;
            continue;
        }
        if (g->block >= 0) add_block(&blocks[g->block], p, &near);
        i++;
    }
    return (2 * angle_of(near) + far) / (4 * PI);
}

const pv_winding_kernels PV_ISA_TABLE(pv_winding_kernels) = {around};
