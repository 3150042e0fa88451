/* Meshes: what is read from files of all formats and what is refused, and the field around shapes whose
 * distances are known. */
#include "signal/pv_mesh_file.h"
#include "signal/pv_mesh_field.h"
#include "signal/pv_polygon.h"
#include "signal/pv_winding.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const double PI = 3.14159265358979323846;

/* ---- shapes ---- */

typedef struct text {
    char *bytes;
    size_t size;
} text;

static pv_status parse(const char *name, const char *bytes, pv_mesh *mesh)
{
    *mesh = (pv_mesh){0};
    return pv_mesh_parse(name, bytes, (int64_t)strlen(bytes), mesh);
}

/* A grid of `across` by `along` places on a surface, closed along both ways. */
static text surface(int across, int along, void (*place)(double u, double v, double at[3]))
{
    text t;
    FILE *file = open_memstream(&t.bytes, &t.size);
    fprintf(file, "OFF\n%d %d 0\n", (across + 1) * (along + 1), across * along);
    for (int i = 0; i <= across; i++)
        for (int j = 0; j <= along; j++) {
            double at[3];
            place((double)i / across, (double)j / along, at);
            fprintf(file, "%.9g %.9g %.9g\n", at[0], at[1], at[2]);
        }
    for (int i = 0; i < across; i++)
        for (int j = 0; j < along; j++) {
            const int at = i * (along + 1) + j;
            fprintf(file, "4 %d %d %d %d\n", at, at + along + 1, at + along + 2, at + 1);
        }
    fclose(file);
    return t;
}

static void on_sphere(double u, double v, double at[3])
{
    at[0] = 3 + 2 * sin(PI * u) * cos(2 * PI * v);
    at[1] = 4 + 2 * sin(PI * u) * sin(2 * PI * v);
    at[2] = 5 + 2 * cos(PI * u);
}

static void on_half_sphere(double u, double v, double at[3])
{
    on_sphere(u / 2, v, at);
}

static void on_torus(double u, double v, double at[3])
{
    at[0] = (0.75 + 0.25 * cos(2 * PI * v)) * cos(2 * PI * u);
    at[1] = (0.75 + 0.25 * cos(2 * PI * v)) * sin(2 * PI * u);
    at[2] = 0.25 * sin(2 * PI * v);
}

static const char box[] = "OFF\n# half as wide as 3, 2 and 6, which is 7 from the middle to a corner\n8 6 0\n"
                          "-3 -2 -6\n3 -2 -6\n3 2 -6\n-3 2 -6\n-3 -2 6\n3 -2 6\n3 2 6\n-3 2 6\n"
                          "4 0 3 2 1\n4 4 5 6 7\n4 0 1 5 4\n4 1 2 6 5\n4 2 3 7 6\n4 3 0 4 7\n";

static double box_distance(const double p[3])
{
    static const double half[3] = {3. / 7, 2. / 7, 6. / 7};
    double out = 0, in = -HUGE_VAL;
    for (int k = 0; k < 3; k++) {
        const double beyond = fabs(p[k]) - half[k];
        out += beyond > 0 ? beyond * beyond : 0;
        in = fmax(in, beyond);
    }
    return in > 0 ? sqrt(out) : in;
}

static double sphere_distance(const double p[3])
{
    return sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) - 1;
}

static double torus_distance(const double p[3])
{
    return hypot(hypot(p[0], p[1]) - 0.75, p[2]) - 0.25;
}

/* The largest difference between the field's signed distances and known ones, over points of [-1, 1]^3. */
static double worst(const char *bytes, double (*known)(const double p[3]))
{
    enum { POINTS = 3000 };
    pv_mesh mesh;
    pv_mesh_field *field;
    double most = 0;
    assert_int_equal(parse("a.off", bytes, &mesh), PV_OK);
    assert_int_equal(pv_mesh_field_make(&mesh, &field), PV_OK);
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < POINTS; i++) {
        double p[3];
        for (int k = 0; k < 3; k++)
            p[k] = pv_rng_range(&rng, -1, 1);
        most = fmax(most, fabs(pv_mesh_field_signed(field, p) - known(p)));
    }
    pv_mesh_field_free(field);
    pv_mesh_free(&mesh);
    return most;
}

static void distances_are_those_in_closed_form(void **state)
{
    (void)state;
    const text sphere = surface(200, 400, on_sphere), torus = surface(300, 150, on_torus);
    assert_true(worst(box, box_distance) < 1e-6);
    assert_true(worst(sphere.bytes, sphere_distance) < 1e-3);
    assert_true(worst(torus.bytes, torus_distance) < 1e-3);
    free(sphere.bytes);
    free(torus.bytes);
}

static void a_mesh_goes_into_the_unit_ball_and_back(void **state)
{
    (void)state;
    pv_mesh mesh;
    const text sphere = surface(20, 40, on_sphere);
    assert_int_equal(parse("a.off", sphere.bytes, &mesh), PV_OK);
    assert_true(fabs(mesh.centre[0] - 3) < 1e-6 && fabs(mesh.centre[1] - 4) < 1e-6 &&
                fabs(mesh.centre[2] - 5) < 1e-6 && fabs(mesh.scale - 2) < 1e-6);
    for (int64_t v = 0; v < mesh.vertices; v++)
        assert_true(fabs(sphere_distance(mesh.vertex[v])) < 1e-6);
    assert_int_equal(mesh.triangles, 2 * 20 * 40 - 2 * 40); /* those at the poles have no area */
    pv_mesh_free(&mesh);
    free(sphere.bytes);
}

/* The sum of the solid angles of all triangles (Van Oosterom and Strackee 1983). */
static double winding(const pv_mesh *mesh, const double p[3])
{
    double sum = 0;
    for (int64_t i = 0; i < mesh->triangles; i++) {
        const pv_triangle t = pv_mesh_triangle(mesh, i);
        double a[3], b[3], c[3], bc[3];
        pv_minus(t.a, p, a);
        pv_minus(t.b, p, b);
        pv_minus(t.c, p, c);
        pv_cross(b, c, bc);
        const double la = sqrt(pv_dot(a, a)), lb = sqrt(pv_dot(b, b)), lc = sqrt(pv_dot(c, c));
        sum += 2 *
               atan2(pv_dot(a, bc), la * lb * lc + pv_dot(a, b) * lc + pv_dot(b, c) * la + pv_dot(c, a) * lb);
    }
    return sum / (4 * PI);
}

static void quick_winding_numbers_are_those_of_all_solid_angles(void **state)
{
    (void)state;
    const text texts[] = {surface(60, 120, on_torus), surface(60, 120, on_half_sphere)};
    for (int shape = 0; shape < 2; shape++) {
        pv_mesh mesh;
        pv_mesh_field *field;
        pv_winding *quick;
        double most = 0;
        assert_int_equal(parse("a.off", texts[shape].bytes, &mesh), PV_OK);
        assert_int_equal(pv_mesh_field_make(&mesh, &field), PV_OK);
        assert_int_equal(pv_winding_make(&mesh, &quick), PV_OK);
        pv_rng rng = pv_rng_open(2, PV_RNG_TEST, 0, 0);
        for (int i = 0; i < 500; i++) {
            double p[3];
            pv_mesh_field_surface(field, &rng, p);
            for (int k = 0; k < 3; k++)
                p[k] += 0.1 * pv_rng_normal(&rng);
            const double exact = winding(&mesh, p);
            most = fmax(most, fabs(pv_winding_around(quick, p) - exact));
            if (shape == 0)
                assert_true(fabs(exact - (torus_distance(p) < 0)) < 1e-6 || fabs(torus_distance(p)) < 1e-3);
        }
        assert_true(most > 0 && most < 0.1);
        pv_winding_free(quick);
        pv_mesh_field_free(field);
        pv_mesh_free(&mesh);
        free(texts[shape].bytes);
    }
}

/* ---- formats ---- */

static const char corners[] = "4 4 0\n0 0 0\n2 0 0\n0 2 0\n0 0 2\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n";

/* The same pyramid of four triangles in every format. */
static void all_formats_give_the_same_triangles(void **state)
{
    static const char ply[] = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\n"
                              "property float z\nelement face 4\nproperty list uchar int vertex_indices\n"
                              "end_header\n0 0 0\n2 0 0\n0 2 0\n0 0 2\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n";
    static const char obj[] = "# a pyramid\nmtllib none.mtl\nv 0 0 0\nv 2 0 0\nv 0 2 0\nv 0 0 2\n"
                              "f 1 3 2\nf 1 2 4\nf 1 4 3\nf -3 -2 -1\n";
    char plain[256], fault[256], coloured[512], marked[512],
        binary[84 + 4 * 50] = "solid, and binary for all that";
    char stl[2048] = "solid pyramid\n";
    enum { FILES = 9 };
    pv_mesh mesh[FILES];
    (void)state;
    snprintf(plain, sizeof plain, "OFF\n# counts\n%s", corners);
    snprintf(fault, sizeof fault, "OFF%s", corners); /* as ModelNet40 has it */
    snprintf(coloured, sizeof coloured,
             "COFF\r\n4 4 6\r\n0 0 0 1 0 0 1\n2 0 0 9 9 9 9\n0 2 0 0 0 0 0\n0 0 2 1 1 1 1\n"
             "3 0 2 1 255 0 0\n3 0 1 3\n3 0 3 2 1 0 0\n3 1 2 3 0.5\n");
    assert_int_equal(parse("a.off", plain, &mesh[0]), PV_OK);
    for (int t = 0; t < 4; t++) {
        float *triangle = (float[12]){0};
        char *end = stl + strlen(stl);
        int written = snprintf(end, 64, "facet normal 0 0 0\nouter loop\n");
        for (int corner = 0; corner < 3; corner++) {
            const double *at = mesh[0].vertex[mesh[0].triangle[t][corner]];
            for (int k = 0; k < 3; k++)
                triangle[3 + 3 * corner + k] = (float)(at[k] * mesh[0].scale + mesh[0].centre[k]);
            written += sprintf(end + written, "vertex %g %g %g\n", (double)triangle[3 + 3 * corner],
                               (double)triangle[4 + 3 * corner], (double)triangle[5 + 3 * corner]);
        }
        sprintf(end + written, "endloop\nendfacet\n");
        memcpy(binary + 84 + 50 * t, triangle, 48);
    }
    strcat(stl, "endsolid pyramid\n");
    binary[80] = 4;
    assert_int_equal(parse("b.OFF", fault, &mesh[1]), PV_OK);
    assert_int_equal(parse("c.off", coloured, &mesh[2]), PV_OK);
    assert_int_equal(parse("d.obj", obj, &mesh[3]), PV_OK);
    assert_int_equal(parse("e.stl", stl, &mesh[4]), PV_OK);
    assert_int_equal(parse("f.ply", ply, &mesh[5]), PV_OK);
    mesh[6] = (pv_mesh){0};
    assert_int_equal(pv_mesh_parse("g.stl", binary, sizeof binary, &mesh[6]), PV_OK);
    snprintf(marked, sizeof marked, "\xEF\xBB\xBF%s", obj);
    assert_int_equal(parse("h.obj", marked, &mesh[7]), PV_OK);
    snprintf(marked, sizeof marked, "\xEF\xBB\xBF%s", ply);
    assert_int_equal(parse("i.ply", marked, &mesh[8]), PV_OK);
    for (int m = 0; m < FILES; m++) {
        assert_int_equal(mesh[m].triangles, 4);
        assert_true(fabs(mesh[m].scale - sqrt(3)) < 1e-6 && fabs(mesh[m].centre[0] - 1) < 1e-6);
        for (int i = 0; i < 12; i++)
            for (int k = 0; k < 3; k++)
                assert_true(fabs(mesh[m].vertex[mesh[m].triangle[i / 3][i % 3]][k] -
                                 mesh[0].vertex[mesh[0].triangle[i / 3][i % 3]][k]) < 1e-6);
    }
    for (int m = 0; m < FILES; m++)
        pv_mesh_free(&mesh[m]);
}

/* ---- what is refused ---- */

#define TWO_FACES                                                                                            \
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"        \
    "element face 2\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"

static void files_that_are_no_meshes_are_named(void **state)
{
    static const struct {
        const char *name, *text, *says;
    } bad[] = {
        {"a.off", "", "does not begin with OFF"},
        {"a.off", "hello, this is no mesh\n", "does not begin with OFF"},
        {"a.off", "OFF BINARY\n", "binary"},
        {"a.off", "OFF\n4 many 0\n", "no three counts"},
        {"a.off", "OFF\n4 0 0\n0 0 0\n", "4 vertices and 0 faces"},
        {"a.off", "OFF\n999999999 999999999 0\n0 0 0\n", "ends before"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 x\n3 0 1 2\n", "vertex 2"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "face 0 has the corner 3, but there are 3"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", "corner -1"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "has not the 3 corners"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n99999 0 1 2\n", "face 0"},
        {"a.off", "OFF\n3 1 0\n0 nan 0\n1 0 0\n0 1 0\n3 0 1 2\n", "vertex 0 is 0 nan 0"},
        {"a.off", "OFF\n3 1 0\n0 1e999 0\n1 0 0\n0 1 0\n3 0 1 2\n", "vertex 0 is 0 inf 0"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "no triangle with an area"},
        {"a.off", "OFF\n3 1 0\n5 5 5\n5 5 5\n5 5 5\n3 0 1 2\n", "no triangle with an area"},
        {"a.stl", "hello, this is no mesh\n", "no STL file"},
        {"a.stl",
         "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex nan 0 0\nvertex 0 1 0\nendloop\n"
         "endfacet\nendsolid a\n",
         "nan"},
        {"a.ply", "hello, this is no mesh\n", "head of a PLY file"},
        {"a.ply", "ply\nformat ascii 1.0\nelement vertex 99999999\nelement face 3\nend_header\n",
         "99999999 vertices"},
        {"a.ply",
         "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
         "element face 1\nproperty list int int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n",
         "corner 9"},
        {"a.ply", "ply\nelement vertex 3\nelement face 1\nend_header0 0 0\n", "head of a PLY file"},
        {"a.ply", TWO_FACES, "5 lines follow, and 4"},
        {"a.ply", TWO_FACES "3 0 2", "last face"},
        {"a.stl", "solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nend",
         "endsolid"},
        {"a.obj", "v 500000 4649776 30\nv 500000.1 4649776 30\nv 500000 4649776.1 30\nf 1 2 3\n",
         "too far from the origin"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1e200 0 0\n0 1e200 0\n3 0 1 2\n", "32-bit numbers"},
        {"a.off", "OFF\n3 1 0\n0 0 0\n1e-100 0 0\n0 1e-100 0\n3 0 1 2\n", "32-bit numbers"},
        {"a.off", "OFF\n3 1 0\n1e60 0 0\n1e60 1 0\n1e60 0 1\n3 0 1 2\n", "32-bit numbers"},
        {"a.obj", "hello, this is no mesh\n", "'a.obj'"},
        {"a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "range"},
        {"a.txt", "OFF\n3 1 0\n", "does not end in"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pv_mesh mesh;
        const pv_status st = parse(bad[i].name, bad[i].text, &mesh);
        if (st != PV_ERR_DATA || !strstr(pv_fail_message(), bad[i].says))
            fail_msg("%s: status %d, '%s' does not say '%s'", bad[i].text, (int)st, pv_fail_message(),
                     bad[i].says);
        pv_mesh_free(&mesh);
    }
    pv_mesh none = {0};
    assert_int_equal(pv_mesh_read("/no/such/file.off", &none), PV_ERR_IO);
    assert_int_equal(pv_mesh_look("/no/such/file.off"), PV_ERR_IO);
}

/* ---- polygons ---- */

/* A prism with a star of 10 000 corners at either end. */
static void a_polygon_of_10000_corners_is_cut_into_triangles(void **state)
{
    enum { N = 10000 };
    text t;
    pv_mesh mesh;
    pv_mesh_field *field;
    FILE *file = open_memstream(&t.bytes, &t.size);
    (void)state;
    fprintf(file, "OFF\n%d %d 0\n", 2 * N, N + 2);
    for (int i = 0; i < 2 * N; i++) {
        const double angle = 2 * PI * (i % N) / N, far = i % 2 ? 1 : 0.5;
        fprintf(file, "%.9g %.9g %d\n", far * cos(angle), far * sin(angle), i < N ? 0 : 1);
    }
    for (int end = 0; end < 2; end++) {
        fprintf(file, "%d", N);
        for (int i = 0; i < N; i++)
            fprintf(file, " %d", end ? N + i : N - 1 - i);
        fprintf(file, "\n");
    }
    for (int i = 0; i < N; i++)
        fprintf(file, "4 %d %d %d %d\n", i, (i + 1) % N, N + (i + 1) % N, N + i);
    fclose(file);
    assert_int_equal(parse("a.off", t.bytes, &mesh), PV_OK);
    assert_int_equal(mesh.triangles, 2 * (N - 2) + 2 * N);
    assert_int_equal(pv_mesh_field_make(&mesh, &field), PV_OK);
    double area = 0; /* of the ends: that of 2 N triangles at the middle */
    for (int64_t i = 0; i < 2 * (N - 2); i++) {
        double normal[3];
        pv_normal(pv_mesh_triangle(&mesh, i), normal);
        area += sqrt(pv_dot(normal, normal)) / 2;
    }
    assert_true(fabs(area * mesh.scale * mesh.scale / (0.5 * sin(2 * PI / N) * N) - 1) < 1e-6);
    const double inside[3] = {0.1, 0.1, 0.1}, outside[3] = {0.8, 0.8, 0};
    assert_true(fabs(winding(&mesh, inside) - 1) < 1e-4);
    assert_true(pv_mesh_field_signed(field, inside) < 0 && pv_mesh_field_signed(field, outside) > 0);
    pv_mesh_field_free(field);
    pv_mesh_free(&mesh);
    free(t.bytes);
}

/* A U, in every plane and turned both ways: no triangle lies in its notch. */
static void a_polygon_that_is_not_convex_keeps_its_form(void **state)
{
    static const double u[8][2] = {{0, 0}, {3, 0}, {3, 3}, {2, 3}, {2, 1}, {1, 1}, {1, 3}, {0, 3}};
    (void)state;
    for (int plane = 0; plane < 6; plane++) {
        double vertices[8][3] = {{0}}, area = 0;
        int32_t ring[8], triangles[6][3];
        for (int i = 0; i < 8; i++) {
            vertices[i][plane % 3] = u[i][0];
            vertices[i][(plane + 1) % 3] = u[i][1];
            ring[i] = plane < 3 ? i : 7 - i;
        }
        assert_int_equal(pv_polygon_cut(vertices, ring, 8, triangles), PV_OK);
        for (int t = 0; t < 6; t++) {
            double normal[3];
            pv_normal((pv_triangle){vertices[triangles[t][0]], vertices[triangles[t][1]],
                                    vertices[triangles[t][2]]},
                      normal);
            const double turned = normal[(plane + 2) % 3] * (plane < 3 ? 1 : -1);
            assert_true(turned >= 0);
            area += turned / 2;
        }
        assert_true(fabs(area - 7) < 1e-12);
    }
}

/* ---- the field ---- */

static void a_mesh_turned_inside_out_has_the_same_inside(void **state)
{
    static const char turned[] =
        "OFF\n8 6 0\n-3 -2 -6\n3 -2 -6\n3 2 -6\n-3 2 -6\n-3 -2 6\n3 -2 6\n3 2 6\n-3 2 6\n"
        "4 1 2 3 0\n4 7 6 5 4\n4 4 5 1 0\n4 5 6 2 1\n4 6 7 3 2\n4 7 4 0 3\n";
    (void)state;
    assert_true(worst(turned, box_distance) < 1e-6);
}

/* Half of a sphere around (0, 0, -0.5), say: inside ends about where the hole is, and jumps there. */
static void an_open_mesh_has_an_inside_up_to_its_hole(void **state)
{
    const text half = surface(60, 120, on_half_sphere);
    pv_mesh mesh;
    pv_mesh_field *field;
    (void)state;
    assert_int_equal(parse("a.off", half.bytes, &mesh), PV_OK);
    assert_int_equal(pv_mesh_field_make(&mesh, &field), PV_OK);
    const double hole = (5 - mesh.centre[2]) / mesh.scale,
                 middle = pv_mesh_field_signed(field, (double[3]){0, 0, hole});
    const double below = pv_mesh_field_signed(field, (double[3]){0, 0, hole - 0.1});
    const double above = pv_mesh_field_signed(field, (double[3]){0, 0, hole + 0.1});
    assert_true(fabs(middle) > 0.5 && below > 0.5 && above < -0.5);
    pv_mesh_field_free(field);
    pv_mesh_free(&mesh);
    free(half.bytes);
}

static void points_of_the_surface_are_uniform_by_area(void **state)
{
    enum { POINTS = 60000 };
    pv_mesh mesh;
    pv_mesh_field *field;
    double on[3] = {0};
    (void)state;
    assert_int_equal(parse("a.off", box, &mesh), PV_OK);
    assert_int_equal(pv_mesh_field_make(&mesh, &field), PV_OK);
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < POINTS; i++) {
        static const double half[3] = {3. / 7, 2. / 7, 6. / 7};
        double p[3];
        pv_mesh_field_surface(field, &rng, p);
        assert_true(fabs(box_distance(p)) < 1e-9);
        for (int k = 0; k < 3; k++)
            on[k] += fabs(fabs(p[k]) - half[k]) < 1e-9;
    }
    /* faces of 2 x 6, 3 x 6 and 3 x 2 */
    assert_true(fabs(on[0] / POINTS - 12. / 36) < 0.01 && fabs(on[1] / POINTS - 18. / 36) < 0.01 &&
                fabs(on[2] / POINTS - 6. / 36) < 0.01);
    pv_mesh_field_free(field);
    pv_mesh_free(&mesh);
}

static void a_field_starts_no_threads(void **state)
{
    int threads = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Threads: %d", &threads) == 1) break;
    fclose(file);
    assert_int_equal(threads, 1); /* the tests before this one have made fields */
}

/* Random points of [-1, 1]^3, in the space of the file, and their signed distances, for other witnesses. */
static int print_field(const char *path)
{
    pv_mesh mesh = {0};
    pv_mesh_field *field;
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, 0, 0);
    if (pv_mesh_read(path, &mesh) != PV_OK || pv_mesh_field_make(&mesh, &field) != PV_OK) return 1;
    for (int i = 0; i < 1000; i++) {
        double p[3];
        for (int k = 0; k < 3; k++)
            p[k] = pv_rng_range(&rng, -1, 1);
        const double distance = pv_mesh_field_signed(field, p);
        for (int k = 0; k < 3; k++)
            printf("%.17g ", mesh.centre[k] + mesh.scale * p[k]);
        printf("%.17g\n", mesh.scale * distance);
    }
    pv_mesh_field_free(field);
    pv_mesh_free(&mesh);
    return 0;
}

/* With the path of a mesh: prints its field instead. */
int main(int argc, char **argv)
{
    if (argc > 1) return print_field(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_those_in_closed_form),
        cmocka_unit_test(a_mesh_goes_into_the_unit_ball_and_back),
        cmocka_unit_test(quick_winding_numbers_are_those_of_all_solid_angles),
        cmocka_unit_test(all_formats_give_the_same_triangles),
        cmocka_unit_test(files_that_are_no_meshes_are_named),
        cmocka_unit_test(a_polygon_of_10000_corners_is_cut_into_triangles),
        cmocka_unit_test(a_polygon_that_is_not_convex_keeps_its_form),
        cmocka_unit_test(a_mesh_turned_inside_out_has_the_same_inside),
        cmocka_unit_test(an_open_mesh_has_an_inside_up_to_its_hole),
        cmocka_unit_test(points_of_the_surface_are_uniform_by_area),
        cmocka_unit_test(a_field_starts_no_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
