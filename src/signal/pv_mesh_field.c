/* The field around a mesh: distances by Embree's search for the closest point, signs by winding numbers. */
#include "pv_mesh_field.h"
#include "base/pv_mem.h"
#include "pv_winding.h"

#include <embree3/rtcore.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pv_mesh_field {
    const pv_mesh *mesh;
    RTCScene scene;
    pv_winding *winding;
    double *areas; /* [triangles]: of those up to here, summed */
};

static pv_status sum_areas(pv_mesh_field *field)
{
    pv_status st = PV_OK;
    double area = 0;
    PV_ALLOC(field->areas, field->mesh->triangles);
    for (int64_t t = 0; t < field->mesh->triangles; t++) {
        double normal[3];
        pv_normal(pv_mesh_triangle(field->mesh, t), normal);
        field->areas[t] = area += sqrt(pv_dot(normal, normal)) / 2;
    }
done:
    return st;
}

/* ---- Embree ---- */

/* Embree's device is made once a process, as its makers want it, and lives as long.  Without threads of its
 * own: every core has a rank. */
static RTCDevice device;

static void make_device(void)
{
    device = rtcNewDevice("threads=1,set_affinity=0");
}

static pv_status make_scene(pv_mesh_field *field)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const pv_mesh *mesh = field->mesh;
    pthread_once(&once, make_device);
    if (!device)
        return pv_fail(PV_ERR_NOMEM, "Embree makes no device: error %d", (int)rtcGetDeviceError(NULL));
    field->scene = rtcNewScene(device);
    RTCGeometry triangles = rtcNewGeometry(device, RTC_GEOMETRY_TYPE_TRIANGLE);
    float *vertices = rtcSetNewGeometryBuffer(triangles, RTC_BUFFER_TYPE_VERTEX, 0, RTC_FORMAT_FLOAT3,
                                              3 * sizeof *vertices, (size_t)mesh->vertices);
    int32_t *corners = rtcSetNewGeometryBuffer(triangles, RTC_BUFFER_TYPE_INDEX, 0, RTC_FORMAT_UINT3,
                                               3 * sizeof *corners, (size_t)mesh->triangles);
    if (vertices && corners) {
        for (int64_t i = 0; i < 3 * mesh->vertices; i++)
            vertices[i] = (float)mesh->vertex[i / 3][i % 3];
        memcpy(corners, mesh->triangle, (size_t)mesh->triangles * sizeof *mesh->triangle);
        rtcCommitGeometry(triangles);
        rtcAttachGeometry(field->scene, triangles);
        rtcCommitScene(field->scene);
    }
    rtcReleaseGeometry(triangles);
    const enum RTCError error = rtcGetDeviceError(device);
    if (vertices && corners && error == RTC_ERROR_NONE) return PV_OK;
    return pv_fail(PV_ERR_NOMEM, "Embree cannot take %lld triangles: error %d", (long long)mesh->triangles,
                   (int)error);
}

/* A search for the closest point. */
typedef struct search {
    const pv_mesh_field *field;
    const double *point;
    double nearest2; /* squared, of the triangles seen */
} search;

/* Embree's boxes are in single precision: what it searches stays a little larger than what was found, so that
 * the nearest triangle is always seen, and the distance does not depend on the order of the search. */
static bool consider(struct RTCPointQueryFunctionArguments *found)
{
    static const float relative = 1.00001f, absolute = 1e-6f;
    search *s = found->userPtr;
    const double distance2 =
        pv_distance2_triangle(s->point, pv_mesh_triangle(s->field->mesh, found->primID), s->nearest2);
    if (!(distance2 < s->nearest2)) return false;
    s->nearest2 = distance2;
    found->query->radius = (float)sqrt(distance2) * relative + absolute;
    return true;
}

double pv_mesh_field_distance(const pv_mesh_field *field, const double point[3])
{
    search s = {field, point, HUGE_VAL};
    struct RTCPointQueryContext context;
    struct RTCPointQuery query = {
        .x = (float)point[0], .y = (float)point[1], .z = (float)point[2], .radius = HUGE_VALF};
    rtcInitPointQueryContext(&context);
    rtcPointQuery(field->scene, &query, &context, consider, &s);
    return sqrt(s.nearest2);
}

/* ---- the field ---- */

pv_status pv_mesh_field_make(const pv_mesh *mesh, pv_mesh_field **out)
{
    pv_mesh_field *field = NULL;
    pv_status st;
    *out = NULL;
    PV_ALLOC(field, 1);
    field->mesh = mesh;
    PV_TRY(sum_areas(field));
    PV_TRY(pv_winding_make(mesh, &field->winding));
    PV_TRY(make_scene(field));
    *out = field;
    field = NULL;
done:
    pv_mesh_field_free(field);
    return st;
}

void pv_mesh_field_free(pv_mesh_field *field)
{
    if (!field) return;
    pv_winding_free(field->winding);
    if (field->scene) rtcReleaseScene(field->scene);
    free(field->areas);
    free(field);
}

double pv_mesh_field_signed(const pv_mesh_field *field, const double point[3])
{
    const double distance = pv_mesh_field_distance(field, point);
    return fabs(pv_winding_around(field->winding, point)) > 0.5 ? -distance : distance;
}

void pv_mesh_field_surface(const pv_mesh_field *field, pv_rng *rng, double point[3])
{
    const int64_t last = field->mesh->triangles - 1;
    const double area = pv_rng_uniform(rng) * field->areas[last];
    int64_t low = 0, high = last;
    while (low < high) {
        const int64_t at = (low + high) / 2;
        if (field->areas[at] > area)
            high = at;
        else
            low = at + 1;
    }
    const pv_triangle t = pv_mesh_triangle(field->mesh, low);
    const double far = sqrt(pv_rng_uniform(rng)), across = far * pv_rng_uniform(rng);
    for (int k = 0; k < 3; k++)
        point[k] = t.a[k] + (far - across) * (t.b[k] - t.a[k]) + across * (t.c[k] - t.a[k]);
}
