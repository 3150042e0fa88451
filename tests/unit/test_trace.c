/* Rays meet surfaces where they are in closed form, whatever the field is worth as a distance. */
#include "picture/pv_trace.h"
#include "base/pv_mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SIDE = 64, RAYS = SIDE * SIDE };
static const float DOWN[3] = {0, 0, -1};
static const double PI = 3.14159265358979323846;

static double ball(const float *p, double radius)
{
    return sqrt((double)(p[0] * p[0] + p[1] * p[1] + p[2] * p[2])) - radius;
}

static double distance_of_ball(const float *p)
{
    return ball(p, 0.6);
}

static double steep_ball(const float *p)
{
    return 4 * ball(p, 0.6);
}

static double square_of_ball(const float *p)
{
    return pow(ball(p, 0), 2) - 0.36;
}

static double whether_in_ball(const float *p)
{
    return ball(p, 0.6) < 0 ? -0.5 : 0.5;
}

/* A plate at z = 0.2, 0.02 thick. */
static double plate(const float *p)
{
    return fabs((double)p[2] - 0.2) - 0.01;
}

static double ring(const float *p)
{
    const double around = hypot((double)p[0], (double)p[1]) - 0.6;
    return hypot(around, (double)p[2]) - 0.25;
}

static pv_status at(const void *of, int n, const float *points, float *values)
{
    double (*const *const function)(const float *) = of;
    for (int i = 0; i < n; i++)
        values[i] = (float)(*function)(points + 3 * i);
    return PV_OK;
}

/* Depths of rays that look down on the cube from z = 2. */
static float *trace(double (*function)(const float *), float *origin)
{
    const pv_field field = {at, &function};
    float *depth = pv_alloc(RAYS, sizeof *depth);
    assert_non_null(depth);
    for (int i = 0; i < RAYS; i++) {
        origin[3 * i] = (float)(2 * (i % SIDE + 0.5) / SIDE - 1);
        origin[3 * i + 1] = (float)(2 * (i / SIDE + 0.5) / SIDE - 1);
        origin[3 * i + 2] = 2;
    }
    assert_int_equal(pv_trace(&field, RAYS, origin, DOWN, depth), PV_OK);
    return depth;
}

static void balls_are_met_where_they_are(void **state)
{
    double (*const functions[])(const float *) = {distance_of_ball, steep_ball, square_of_ball,
                                                  whether_in_ball};
    static float origin[3 * RAYS];
    (void)state;
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        float *depth = trace(functions[k], origin);
        double area = 0;
        for (int i = 0; i < RAYS; i++) {
            const double off = hypot((double)origin[3 * i], (double)origin[3 * i + 1]);
            if (off < 0.59) assert_true(fabs((double)depth[i] - 2 + sqrt(0.36 - off * off)) < 2e-3);
            if (off > 0.601) assert_true(depth[i] == HUGE_VALF);
            area += isfinite(depth[i]) ? 4.0 / RAYS : 0;
        }
        assert_true(fabs(area - PI * 0.36) < 0.02);
        free(depth);
    }
}

static void thin_plates_and_rings_are_not_missed(void **state)
{
    static float origin[3 * RAYS];
    double area = 0;
    (void)state;
    float *depth = trace(plate, origin);
    for (int i = 0; i < RAYS; i++)
        assert_true(fabs((double)depth[i] - 2 + 0.21) < 1e-4);
    free(depth);
    depth = trace(ring, origin);
    for (int i = 0; i < RAYS; i++) {
        const double off = hypot((double)origin[3 * i], (double)origin[3 * i + 1]) - 0.6;
        if (fabs(off) < 0.24) assert_true(fabs((double)depth[i] - 2 + sqrt(0.0625 - off * off)) < 1e-3);
        if (fabs(off) > 0.251) assert_true(depth[i] == HUGE_VALF);
        area += isfinite(depth[i]) ? 4.0 / RAYS : 0;
    }
    assert_true(fabs(area - PI * (0.85 * 0.85 - 0.35 * 0.35)) < 0.03);
    free(depth);
}

/* A ray that begins inside, as the cube cuts through a surface, meets it at once. */
static double below_half(const float *p)
{
    return (double)p[0] - 0.5;
}

static void the_cube_cuts_surfaces_open(void **state)
{
    static float origin[3 * RAYS];
    (void)state;
    float *depth = trace(below_half, origin);
    for (int i = 0; i < RAYS; i++)
        assert_true(origin[3 * i] < 0.5F ? fabs((double)depth[i] - 1) < 1e-5 : depth[i] == HUGE_VALF);
    free(depth);
}

static void normals_point_out(void **state)
{
    double (*const functions[])(const float *) = {distance_of_ball, square_of_ball};
    (void)state;
    for (int k = 0; k < 2; k++) {
        const pv_field field = {at, &functions[k]};
        const float points[6] = {0.6F, 0, 0, 0, -0.36F, 0.48F};
        float normals[6];
        assert_int_equal(pv_trace_normals(&field, 2, points, normals), PV_OK);
        for (int i = 0; i < 6; i++)
            assert_true(fabs((double)normals[i] - (double)points[i] / 0.6) < 1e-3);
    }
}

static pv_status fails(const void *of, int n, const float *points, float *values)
{
    (void)of;
    (void)n;
    (void)points;
    (void)values;
    return pv_fail(PV_ERR_DATA, "no field");
}

static void a_field_that_fails_is_told(void **state)
{
    const pv_field field = {.at = fails};
    const float origin[3] = {0, 0, 2};
    float depth[1], normal[3];
    (void)state;
    assert_int_equal(pv_trace(&field, 1, origin, DOWN, depth), PV_ERR_DATA);
    assert_int_equal(pv_trace_normals(&field, 1, origin, normal), PV_ERR_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balls_are_met_where_they_are),
        cmocka_unit_test(thin_plates_and_rings_are_not_missed),
        cmocka_unit_test(the_cube_cuts_surfaces_open),
        cmocka_unit_test(normals_point_out),
        cmocka_unit_test(a_field_that_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
