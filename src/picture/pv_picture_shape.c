/* Shapes as their surface in light: the signal's, and the INR's beside it, seen from above and aside; the
 * third coordinate points up. */
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "pv_picture_kinds.h"
#include "pv_trace.h"

#include <math.h>
#include <stdlib.h>

enum { D = 3, SIDE = 32 /* times the scale, in pixels */, FINER = 2 /* rays to a pixel, along each side */ };
static const double TURN = 0.6, LIFT = 0.45; /* of who looks, in radians: from the front to the right, up */
static const double SEEN = 1.05;             /* half the side of the square that is seen */
static const float AWAY = 4;                 /* from the middle to where rays begin */

static const pv_colour of_signal = {{0.80F, 0.72F, 0.60F}}, of_inr = {{0.56F, 0.69F, 0.84F}};

/* Unit vectors: to the right, up, and into the picture. */
typedef struct camera {
    float right[D], up[D], into[D];
} camera;

static camera look(void)
{
    const double s = sin(TURN), c = cos(TURN), high = sin(LIFT), flat = cos(LIFT);
    return (camera){{(float)c, (float)s, 0},
                    {(float)(-s * high), (float)(c * high), (float)flat},
                    {(float)(-s * flat), (float)(c * flat), (float)-high}};
}

static float dot(const float *a, const float *b)
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* How bright a surface is: a light above the left shoulder, another at the eye, and what comes from all
 * around. */
static float light(const camera *eye, const float *normal)
{
    float lamp[D];
    for (int c = 0; c < D; c++)
        lamp[c] = -0.48F * eye->right[c] + 0.64F * eye->up[c] - 0.6F * eye->into[c];
    return 0.28F + 0.62F * fmaxf(0, dot(lamp, normal)) + 0.22F * fmaxf(0, -dot(eye->into, normal));
}

/* Where rays begin: [rays] row by row, FINER * FINER for each pixel. */
static void aim(const camera *eye, int side, float *origin)
{
    for (int i = 0; i < side * side; i++) {
        const float x = (float)(SEEN * (2 * (i % side + 0.5) / side - 1));
        const float y = (float)(SEEN * (1 - 2 * (i / side + 0.5) / side));
        for (int c = 0; c < D; c++)
            origin[(int64_t)i * D + c] = x * eye->right[c] + y * eye->up[c] - AWAY * eye->into[c];
    }
}

/* Brightness [side][side] of what rays meet; below 0 where they meet nothing. */
static pv_status shade(const pv_field *field, int side, float *bright)
{
    const camera eye = look();
    const int n = side * side;
    float *origin = NULL, *points = NULL, *normals = NULL;
    int hits = 0;
    pv_status st;
    PV_ALLOC(origin, (int64_t)n * D);
    PV_ALLOC(points, (int64_t)n * D);
    PV_ALLOC(normals, (int64_t)n * D);
    aim(&eye, side, origin);
    PV_TRY(pv_trace(field, n, origin, eye.into, bright));
    for (int i = 0; i < n; i++)
        if (isfinite(bright[i])) {
            for (int c = 0; c < D; c++)
                points[(int64_t)hits * D + c] = origin[(int64_t)i * D + c] + bright[i] * eye.into[c];
            hits++;
        }
    PV_TRY(pv_trace_normals(field, hits, points, normals));
    hits = 0;
    for (int i = 0; i < n; i++)
        bright[i] = isfinite(bright[i]) ? light(&eye, normals + (int64_t)hits++ * D) : -1;
done:
    free(origin);
    free(points);
    free(normals);
    return st;
}

static pv_status draw_panel(const pv_field *field, pv_colour colour, int left, pv_canvas *canvas)
{
    const int side = canvas->height * FINER;
    float *bright = NULL;
    pv_status st;
    PV_ALLOC(bright, (int64_t)side * side);
    PV_TRY(shade(field, side, bright));
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->height; x++) {
            float sum = 0;
            int covered = 0;
            for (int k = 0; k < FINER * FINER; k++) {
                const float ray = bright[(int64_t)(y * FINER + k / FINER) * side + x * FINER + k % FINER];
                sum += fmaxf(0, ray);
                covered += ray >= 0;
            }
            pv_colour lit = colour;
            for (int c = 0; covered && c < 3; c++)
                lit.rgb[c] = fminf(1, colour.rgb[c] * sum / (float)covered);
            pv_canvas_cover(canvas, y, left + x, lit, (float)covered / (FINER * FINER));
        }
done:
    free(bright);
    return st;
}

/* The INR's first channel. */
static pv_status inr_at(const void *of, int n, const float *points, float *values)
{
    const pv_picture_subject *subject = of;
    const int channels = subject->arch->dims[subject->arch->layers];
    float *all = NULL;
    pv_status st;
    if (channels == 1) return pv_inr_eval(subject->arch, subject->row, n, points, values);
    PV_ALLOC(all, (int64_t)n * channels);
    PV_TRY(pv_inr_eval(subject->arch, subject->row, n, points, all));
    for (int i = 0; i < n; i++)
        values[i] = all[(int64_t)i * channels];
done:
    free(all);
    return st;
}

static pv_status signal_at(const void *of, int n, const float *points, float *values)
{
    const pv_picture_subject *subject = of;
    return pv_signal_distances(subject->signal, subject->object, n, points, values);
}

pv_status pv_picture_shape(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note)
{
    const int64_t side = SIDE * (int64_t)subject->scale;
    const pv_field signal = {signal_at, subject}, inr = {inr_at, subject};
    const bool both = subject->signal && pv_signal_has_surfaces(subject->signal);
    pv_status st;
    PV_TRY(pv_canvas_make(side, both ? 2 * side + PV_PICTURE_GAP : side, 3, canvas));
    if (both) PV_TRY(draw_panel(&signal, of_signal, 0, canvas));
    PV_TRY(draw_panel(&inr, of_inr, canvas->width - canvas->height, canvas));
    *note = (pv_picture_note){.kind = "shape"};
done:
    return st;
}
