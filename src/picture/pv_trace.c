/* Sphere tracing (Hart 1996) of fields that are nearly distances, many rays at once. */
#include "pv_trace.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>

enum { D = 3, LATTICE = 16, HALVINGS = 7 };
static const float LEAST_STEP = 1.0F / 256, LONGEST_STEP = 0.5F, SLOPE_STEP = 0.01F, NORMAL_STEP = 0.002F;

/* The steepest slope on a lattice of the cube; 1 if that is less. */
static pv_status steepest(const pv_field *field, float *slope)
{
    const int n = LATTICE * LATTICE * LATTICE;
    float *points = NULL, *values = NULL;
    pv_status st;
    PV_ALLOC(points, n * (D + 1) * D);
    PV_ALLOC(values, n * (D + 1));
    for (int i = 0; i < n * (D + 1); i++) {
        const int node = i / (D + 1),
                  place[D] = {node % LATTICE, node / LATTICE % LATTICE, node / LATTICE / LATTICE};
        for (int c = 0; c < D; c++)
            points[i * D + c] =
                (float)(2 * place[c] + 1) / LATTICE - 1 + (i % (D + 1) == c + 1 ? SLOPE_STEP : 0);
    }
    PV_TRY(field->at(field->of, n * (D + 1), points, values));
    *slope = 1;
    for (int node = 0; node < n; node++) {
        const float *const v = values + node * (D + 1);
        *slope = fmaxf(*slope, hypotf(hypotf(v[1] - v[0], v[2] - v[0]), v[3] - v[0]) / SLOPE_STEP);
    }
done:
    free(points);
    free(values);
    return st;
}

/* The part of a ray inside the cube; none if *from > *to. */
static void clip(const float *origin, const float *direction, float *from, float *to)
{
    *from = 0;
    *to = HUGE_VALF;
    for (int c = 0; c < D; c++) {
        const float near = (copysignf(1, -direction[c]) - origin[c]) / direction[c];
        const float far = (copysignf(1, direction[c]) - origin[c]) / direction[c];
        if (direction[c] != 0) {
            *from = fmaxf(*from, near);
            *to = fminf(*to, far);
        } else if (fabsf(origin[c]) > 1)
            *to = -1;
    }
}

/* A ray on its way. */
typedef struct ray {
    int number;
    float before, here,
        end; /* depths: the last one outside the surface, where it is, where it leaves the cube */
} ray;

typedef struct rays {
    const pv_field *field;
    const float *origin, *direction;
    int n; /* on their way, or at the surface */
    ray *rays;
    float *points, *values;
} rays;

static pv_status ask_rays(const rays *r)
{
    for (int i = 0; i < r->n; i++)
        for (int c = 0; c < D; c++)
            r->points[i * D + c] = r->origin[r->rays[i].number * D + c] + r->rays[i].here * r->direction[c];
    return r->field->at(r->field->of, r->n, r->points, r->values);
}

/* Between the last place outside and the first inside. */
static pv_status halve(rays *r)
{
    pv_status st = PV_OK;
    for (int times = 0; times < HALVINGS; times++) {
        for (int i = 0; i < r->n; i++)
            r->rays[i].here = (r->rays[i].before + r->rays[i].end) / 2;
        PV_TRY(ask_rays(r));
        for (int i = 0; i < r->n; i++)
            *(r->values[i] > 0 ? &r->rays[i].before : &r->rays[i].end) = r->rays[i].here;
    }
done:
    return st;
}

/* Moves every ray on; those that have met the surface go to `met`, those that have left the cube nowhere. */
static void advance(rays *r, float slope, rays *met)
{
    int left = 0;
    for (int i = 0; i < r->n; i++) {
        ray it = r->rays[i];
        if (!(r->values[i] > 0)) {
            it.end = it.here;
            met->rays[met->n++] = it;
            continue;
        }
        it.before = it.here;
        it.here += fminf(fmaxf(r->values[i] / slope, LEAST_STEP), LONGEST_STEP);
        if (it.here <= it.end) r->rays[left++] = it;
    }
    r->n = left;
}

pv_status pv_trace(const pv_field *field, int n, const float *origin, const float *direction, float *depth)
{
    rays r = {.field = field, .origin = origin, .direction = direction}, met = r;
    float slope;
    pv_status st;
    PV_ALLOC(r.rays, n);
    PV_ALLOC(met.rays, n);
    PV_ALLOC(r.points, (int64_t)n * D);
    PV_ALLOC(r.values, n);
    met.points = r.points;
    met.values = r.values;
    PV_TRY(steepest(field, &slope));
    for (int i = 0; i < n; i++) {
        ray it = {.number = i};
        clip(origin + (int64_t)i * D, direction, &it.here, &it.end);
        it.before = it.here;
        depth[i] = HUGE_VALF;
        if (it.here <= it.end) r.rays[r.n++] = it;
    }
    while (r.n > 0) {
        PV_TRY(ask_rays(&r));
        advance(&r, slope, &met);
    }
    PV_TRY(halve(&met));
    for (int i = 0; i < met.n; i++)
        depth[met.rays[i].number] = met.rays[i].end;
done:
    free(r.rays);
    free(met.rays);
    free(r.points);
    free(r.values);
    return st;
}

pv_status pv_trace_normals(const pv_field *field, int n, const float *points, float *normals)
{
    float *around = NULL, *values = NULL;
    pv_status st;
    PV_ALLOC(around, (int64_t)n * 2 * D * D);
    PV_ALLOC(values, (int64_t)n * 2 * D);
    for (int i = 0; i < n * 2 * D; i++)
        for (int c = 0; c < D; c++)
            around[i * D + c] = points[i / (2 * D) * D + c] +
                                (i % (2 * D) / 2 == c ? (i % 2 ? NORMAL_STEP : -NORMAL_STEP) : 0);
    PV_TRY(field->at(field->of, n * 2 * D, around, values));
    for (int i = 0; i < n; i++) {
        float *const out = normals + i * D, *const v = values + i * 2 * D;
        for (int c = 0; c < D; c++)
            out[c] = v[2 * c + 1] - v[2 * c];
        const float length = hypotf(hypotf(out[0], out[1]), out[2]);
        for (int c = 0; length > 0 && c < D; c++)
            out[c] /= length;
    }
done:
    free(around);
    free(values);
    return st;
}
