/* Waves as curves: the signal broad and pale, the INR over it; each channel in a colour of its own. */
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "pv_picture_kinds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 80, HIGH = 40 }; /* times the scale, in pixels */
enum { COLOURS = 4 };
static const pv_colour pale[COLOURS] = {
    {{0.62F, 0.79F, 0.91F}}, {{0.96F, 0.76F, 0.58F}}, {{0.60F, 0.85F, 0.75F}}, {{0.92F, 0.77F, 0.86F}}};
static const pv_colour deep[COLOURS] = {
    {{0.00F, 0.27F, 0.47F}}, {{0.72F, 0.27F, 0.00F}}, {{0.00F, 0.43F, 0.31F}}, {{0.60F, 0.25F, 0.47F}}};
static const pv_colour faint = {{0.85F, 0.85F, 0.85F}};

/* The points of a curve of all channels: x [n], y [n][channels]. */
typedef struct curve {
    int n, channels;
    float *x, *y;
} curve;

/* The part of the plane that is drawn. */
typedef struct window {
    double left, right, bottom, top;
} window;

static pv_status curve_make(int n, int channels, curve *out)
{
    pv_status st = PV_OK;
    *out = (curve){.n = n, .channels = channels};
    PV_ALLOC(out->x, n);
    PV_ALLOC(out->y, (int64_t)n * channels);
done:
    return st;
}

static void curve_free(curve *c)
{
    free(c->x);
    free(c->y);
}

static pv_status signal_curve(const pv_picture_subject *subject, curve *out)
{
    const pv_source_form *form = pv_signal_form(subject->signal);
    pv_status st;
    PV_TRY(curve_make(form->samples, form->channels, out));
    PV_TRY(pv_signal_samples(subject->signal, subject->object, out->x, out->y));
done:
    return st;
}

/* The INR between two coordinates, twice a column of pixels. */
static pv_status inr_curve(const pv_picture_subject *subject, double left, double right, curve *out)
{
    const pv_arch *arch = subject->arch;
    const int n = 2 * WIDE * subject->scale + 1;
    pv_status st;
    PV_TRY(curve_make(n, arch->dims[arch->layers], out));
    for (int i = 0; i < n; i++)
        out->x[i] = (float)(left + (right - left) * i / (n - 1));
    PV_TRY(pv_inr_eval(arch, subject->row, n, out->x, out->y));
done:
    return st;
}

static void widen(double x, double *low, double *high)
{
    if (!isfinite(x)) return;
    *low = fmin(*low, x);
    *high = fmax(*high, x);
}

/* How far a point is from the line between two others. */
static double distance(const double p[2], const double a[2], const double b[2])
{
    const double line[2] = {b[0] - a[0], b[1] - a[1]}, to[2] = {p[0] - a[0], p[1] - a[1]};
    const double length = line[0] * line[0] + line[1] * line[1];
    const double along = length > 0 ? fmax(0, fmin(1, (to[0] * line[0] + to[1] * line[1]) / length)) : 0;
    return hypot(to[0] - along * line[0], to[1] - along * line[1]);
}

/* Draws the line from a to b, in pixels, into how much is covered of each. */
static void draw_line(const pv_canvas *canvas, double radius, const double a[2], const double b[2],
                      float *cover)
{
    const double reach = radius + 1;
    const int first = (int)fmax(0, fmin(a[0], b[0]) - reach), above = (int)fmax(0, fmin(a[1], b[1]) - reach);
    const int last = (int)fmin(canvas->width - 1, fmax(a[0], b[0]) + reach);
    const int below = (int)fmin(canvas->height - 1, fmax(a[1], b[1]) + reach);
    for (int y = above; y <= below; y++)
        for (int x = first; x <= last; x++) {
            const double centre[2] = {x + 0.5, y + 0.5};
            const double share = radius + 0.5 - distance(centre, a, b);
            float *const pixel = &cover[(int64_t)y * canvas->width + x];
            *pixel = fmaxf(*pixel, (float)fmin(1, share));
        }
}

/* Draws a channel of a curve: lines between points that follow each other, of others the points. */
static void draw_curve(const curve *c, int channel, const window *w, double radius, pv_colour colour,
                       pv_canvas *canvas, float *cover)
{
    double before[2] = {0};
    memset(cover, 0, sizeof *cover * (size_t)canvas->height * (size_t)canvas->width);
    for (int i = 0; i < c->n; i++) {
        const double y = (double)c->y[(int64_t)i * c->channels + channel];
        const double point[2] = {((double)c->x[i] - w->left) / (w->right - w->left) * canvas->width,
                                 (w->top - y) / (w->top - w->bottom) * canvas->height};
        const bool follows = i > 0 && c->x[i] > c->x[i - 1] && isfinite(before[1]);
        if (isfinite(y)) draw_line(canvas, radius, follows ? before : point, point, cover);
        memcpy(before, point, sizeof before);
    }
    for (int y = 0; y < canvas->height; y++)
        for (int x = 0; x < canvas->width; x++)
            if (cover[(int64_t)y * canvas->width + x] > 0)
                pv_canvas_cover(canvas, y, x, colour, cover[(int64_t)y * canvas->width + x]);
}

/* Where 0 lies, if it is to be seen. */
static void draw_zero(const window *w, pv_canvas *canvas)
{
    const double y = w->top / (w->top - w->bottom) * canvas->height;
    for (int x = 0; y >= 0 && y < canvas->height && x < canvas->width; x++)
        pv_canvas_cover(canvas, (int)y, x, faint, 1);
}

pv_status pv_picture_wave(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note)
{
    const int scale = subject->scale;
    window w = {HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
    curve signal = {0}, inr = {0};
    float *cover = NULL;
    pv_status st;
    if (subject->signal) PV_TRY(signal_curve(subject, &signal));
    for (int i = 0; i < signal.n; i++)
        widen((double)signal.x[i], &w.left, &w.right);
    if (!(w.left < w.right)) w = (window){-1, 1, w.bottom, w.top};
    PV_TRY(inr_curve(subject, w.left, w.right, &inr));
    for (int i = 0; i < signal.n * signal.channels; i++)
        widen((double)signal.y[i], &w.bottom, &w.top);
    for (int i = 0; i < inr.n * inr.channels; i++)
        widen((double)inr.y[i], &w.bottom, &w.top);
    if (!(w.bottom < w.top)) w = (window){w.left, w.right, w.bottom - 1, w.bottom + 1};
    if (!isfinite(w.bottom)) w = (window){w.left, w.right, -1, 1};
    const double margin = 0.05 * (w.top - w.bottom);
    w.bottom -= margin;
    w.top += margin;
    *note = (pv_picture_note){.kind = "wave"};
    pv_picture_shown(subject->about, w.bottom, w.top, note);
    PV_TRY(pv_canvas_make(HIGH * (int64_t)scale, WIDE * (int64_t)scale, 3, canvas));
    PV_ALLOC(cover, (int64_t)canvas->height * canvas->width);
    draw_zero(&w, canvas);
    for (int k = 0; k < signal.channels; k++)
        draw_curve(&signal, k, &w, fmax(1, 0.3 * scale), pale[k % COLOURS], canvas, cover);
    for (int k = 0; k < inr.channels; k++)
        draw_curve(&inr, k, &w, fmax(0.5, 0.1 * scale), deep[k % COLOURS], canvas, cover);
done:
    free(cover);
    curve_free(&signal);
    curve_free(&inr);
    return st;
}
