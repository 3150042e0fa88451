/* Grids of two coordinates as pictures, of three as the slices through their middle: a row of panels for each
 * of them, the signal, the INR on the signal's grid and the INR on a finer one. */
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "pv_picture_kinds.h"

#include <math.h>
#include <stdlib.h>

enum { AXES = 3, X = 0, Y = 1, Z = 2 };

/* A plane of the grid: its rows and columns run along two axes, the other coordinates are at their middle. */
typedef struct plane {
    int row, column;
} plane;

static const plane planes[] = {{Y, X}, {Z, X}, {Z, Y}}; /* a picture is the first */

typedef struct grid {
    const pv_picture_subject *subject;
    int inputs, channels, panels;
    int n[AXES];         /* points along each axis */
    float *samples;      /* of the signal, [n z][n y][n x][channels]; NULL: it is not drawn */
    double black, white; /* values that are drawn as such */
} grid;

/* The points cover the area that the grid's points stand for, `fine` of them for each. */
static float coordinate(int n, int fine, int place)
{
    const double at = (place + 0.5) / fine - 0.5;
    return n > 1 ? (float)(2 * at / (n - 1) - 1) : 0.0F;
}

/* Draws values [rows][columns][channels], `fine` of them for each point of the grid. */
static void draw_panel(const grid *g, const plane *of, pv_canvas *canvas, int top, int panel, int fine,
                       float *values)
{
    const int scale = g->subject->scale, wide = canvas->width + PV_PICTURE_GAP;
    const int rows = g->n[of->row] * fine, columns = g->n[of->column] * fine;
    for (int64_t i = 0; i < (int64_t)rows * columns * g->channels; i++)
        values[i] = (float)(((double)values[i] - g->black) / (g->white - g->black));
    pv_canvas_squares(canvas, top, panel * (wide / g->panels), rows, columns, scale / fine, g->channels,
                      values);
}

static void draw_signal(const grid *g, const plane *of, pv_canvas *canvas, int top, float *values)
{
    const int64_t stride[AXES] = {1, g->n[X], (int64_t)g->n[X] * g->n[Y]};
    int64_t middle = 0;
    for (int axis = 0; axis < g->inputs; axis++)
        if (axis != of->row && axis != of->column) middle += g->n[axis] / 2 * stride[axis];
    for (int r = 0; r < g->n[of->row]; r++)
        for (int c = 0; c < g->n[of->column]; c++)
            for (int k = 0; k < g->channels; k++)
                values[((int64_t)r * g->n[of->column] + c) * g->channels + k] =
                    g->samples[(middle + r * stride[of->row] + c * stride[of->column]) * g->channels + k];
    draw_panel(g, of, canvas, top, 0, 1, values);
}

static pv_status draw_inr(const grid *g, const plane *of, pv_canvas *canvas, int top, int panel, int fine,
                          float *values)
{
    const int rows = g->n[of->row] * fine, columns = g->n[of->column] * fine, n = rows * columns;
    float *coords = NULL;
    pv_status st;
    PV_ALLOC(coords, (int64_t)n * g->inputs);
    for (int p = 0; p < n; p++)
        for (int axis = 0; axis < g->inputs; axis++) {
            const bool row = axis == of->row, across = !row && axis != of->column;
            const int place = across ? g->n[axis] / 2 : row ? p / columns : p % columns;
            coords[(int64_t)p * g->inputs + axis] = coordinate(g->n[axis], across ? 1 : fine, place);
        }
    PV_TRY(pv_inr_eval(g->subject->arch, g->subject->row, n, coords, values));
    draw_panel(g, of, canvas, top, panel, fine, values);
done:
    free(coords);
    return st;
}

static pv_status draw_planes(const grid *g, int count, pv_canvas *canvas)
{
    const int scale = g->subject->scale;
    int64_t most = 0;
    float *values = NULL;
    pv_status st;
    for (int i = 0; i < count; i++)
        if ((int64_t)g->n[planes[i].row] * g->n[planes[i].column] > most)
            most = (int64_t)g->n[planes[i].row] * g->n[planes[i].column];
    PV_ALLOC(values, most * scale * scale * g->channels);
    for (int i = 0, top = 0; i < count; top += g->n[planes[i++].row] * scale + PV_PICTURE_GAP) {
        if (g->samples) draw_signal(g, &planes[i], canvas, top, values);
        PV_TRY(draw_inr(g, &planes[i], canvas, top, g->panels - 2, 1, values));
        PV_TRY(draw_inr(g, &planes[i], canvas, top, g->panels - 1, scale, values));
    }
done:
    free(values);
    return st;
}

/* The store's words against the INRs and the signal. */
static pv_status check(const grid *g)
{
    const pv_picture_subject *subject = g->subject;
    const pv_signal_about *about = subject->about;
    const pv_source_form *form = subject->signal ? pv_signal_form(subject->signal) : NULL;
    if (about->channels != g->channels || g->channels > 4)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: its INRs have %d outputs, its signal %d channels",
                       subject->where, g->channels, about->channels);
    if (form && (form->depth != about->depth || form->height != about->height || form->width != about->width))
        return pv_fail(PV_ERR_DATA, "'%s' holds grids of %d x %d x %d, its signal's are %d x %d x %d",
                       subject->where, about->depth, about->height, about->width, form->depth, form->height,
                       form->width);
    return PV_OK;
}

/* Values in [0, 1] are drawn as they are; those of a signal that leaves it from the lowest to the highest. */
static pv_status read_signal(grid *g)
{
    const pv_picture_subject *subject = g->subject;
    const int64_t n = (int64_t)pv_signal_form(subject->signal)->samples * g->channels;
    pv_status st;
    PV_ALLOC(g->samples, n);
    PV_TRY(pv_signal_samples(subject->signal, subject->object, NULL, g->samples));
    for (int64_t i = 0; i < n; i++) {
        g->black = fmin(g->black, (double)g->samples[i]);
        g->white = fmax(g->white, (double)g->samples[i]);
    }
done:
    return st;
}

pv_status pv_picture_grid(const pv_picture_subject *subject, pv_canvas *canvas, pv_picture_note *note)
{
    const pv_arch *arch = subject->arch;
    const pv_signal_about *about = subject->about;
    const int count = pv_arch_inputs(arch) == 3 ? 3 : 1,
              columns = count == 3 && about->height > about->width ? about->height : about->width;
    grid g = {.subject = subject,
              .inputs = pv_arch_inputs(arch),
              .channels = arch->dims[arch->layers],
              .panels = subject->signal ? 3 : 2,
              .n = {about->width, about->height, count == 3 ? about->depth : 1},
              .white = 1};
    const int64_t rows = about->height + (count == 3 ? 2 * (int64_t)about->depth : 0);
    pv_status st;
    PV_TRY(check(&g));
    PV_TRY(pv_canvas_make(rows * subject->scale + (count - 1) * PV_PICTURE_GAP,
                          (int64_t)columns * subject->scale * g.panels + (g.panels - 1) * PV_PICTURE_GAP,
                          g.channels == 2 ? 3 : g.channels, canvas));
    if (subject->signal) PV_TRY(read_signal(&g));
    PV_TRY(draw_planes(&g, count, canvas));
    *note = (pv_picture_note){.kind = count == 3 ? "volume" : "picture"};
    pv_picture_shown(about, g.black, g.white, note);
done:
    free(g.samples);
    return st;
}
