/* `polyview render`: draws an INR beside its image. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_commands.h"
#include "signal/pv_png.h"
#include "inr/pv_inr.h"
#include "run/pv_open.h"

#include <math.h>
#include <stdlib.h>

enum { GAP = 4 };

/* The words of the command line. */
typedef struct words {
    char *path, *out;
    int64_t object, view;
    int scale;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, path), .path = true, .required = true, .meaning = "the store"},
    {PV_KEY(words, object), PV_AT_LEAST(0), .required = true, .meaning = "which object"},
    {PV_KEY(words, view), PV_AT_LEAST(0), .initial = "0", .meaning = "which view of it"},
    {PV_KEY(words, scale), PV_BETWEEN(1, 64), .initial = "8", .meaning = "how much finer the third panel is"},
    {.name = "o",
     PV_MEMBER(words, out),
     .path = true,
     .required = true,
     .value = "FILE.png",
     .meaning = "the picture"},
    {0}};

/* A picture of panels side by side, each scale times the signal's grid; white gaps between them. */
typedef struct canvas {
    int height, width, channels, scale; /* of the signal's grid */
    int panels, row_pixels;
    uint8_t *pixels;
} canvas;

static uint8_t to_byte(float value)
{
    return (uint8_t)lrintf(255.0F * fminf(fmaxf(value, 0.0F), 1.0F));
}

static pv_status canvas_make(canvas *c)
{
    c->row_pixels = c->panels * c->width * c->scale + (c->panels - 1) * GAP;
    const int64_t bytes = (int64_t)c->row_pixels * c->height * c->scale * c->channels;
    c->pixels = pv_alloc(bytes, 1);
    for (int64_t i = 0; c->pixels && i < bytes; i++)
        c->pixels[i] = 255;
    return c->pixels ? PV_OK : PV_ERR_NOMEM;
}

/* Where pixel (y, x) of a panel lies. */
static uint8_t *at(canvas *c, int panel, int y, int x)
{
    const int64_t column = (int64_t)panel * (c->width * c->scale + GAP) + x;
    return c->pixels + ((int64_t)y * c->row_pixels + column) * c->channels;
}

/* Draws values [height * fine][width * fine][channels], every one as a square. */
static void draw_panel(canvas *c, int panel, const float *values, int fine)
{
    const int square = c->scale / fine;
    for (int y = 0; y < c->height * c->scale; y++)
        for (int x = 0; x < c->width * c->scale; x++)
            for (int k = 0; k < c->channels; k++)
                at(c, panel, y, x)[k] =
                    to_byte(values[((int64_t)(y / square) * c->width * fine + x / square) * c->channels + k]);
}

/* Draws the INR on a grid `fine` times the signal's: over the area that the signal's pixels cover. */
static pv_status draw_inr(canvas *c, int panel, const pv_arch *arch, const float *row, int fine)
{
    const int rows = c->height * fine, columns = c->width * fine, n = rows * columns;
    float *coords = NULL, *values = NULL;
    pv_status st;
    PV_ALLOC(coords, (int64_t)n * 2);
    PV_ALLOC(values, (int64_t)n * c->channels);
    for (int p = 0; p < n; p++) {
        const int column = p % columns, line = p / columns;
        const double x = (column + 0.5) / fine - 0.5, y = (line + 0.5) / fine - 0.5;
        coords[2 * p] = c->width > 1 ? (float)(2 * x / (c->width - 1) - 1) : 0.0F;
        coords[2 * p + 1] = c->height > 1 ? (float)(2 * y / (c->height - 1) - 1) : 0.0F;
    }
    PV_TRY(pv_inr_eval(arch, row, n, coords, values));
    draw_panel(c, panel, values, fine);
done:
    free(coords);
    free(values);
    return st;
}

/* A store's own words are not taken on trust: the INRs must have its channels, and the original its shape. */
static pv_status check_canvas(const pv_store *store, const pv_signal *original, const canvas *c)
{
    enum { MAX_PIXELS = 1 << 28 };
    const pv_arch *arch = pv_store_arch(store);
    if (arch->dims[arch->layers] != c->channels)
        return pv_fail(PV_ERR_DATA, "'%s' is damaged: its INRs have %d outputs, its images %d channels",
                       pv_store_path(store), arch->dims[arch->layers], c->channels);
    if (original &&
        (!pv_signal_coords(original) || pv_signal_form(original)->height != c->height ||
         pv_signal_form(original)->width != c->width || pv_signal_form(original)->channels != c->channels))
        return pv_fail(PV_ERR_DATA, "'%s' holds images of %d x %d, its signal's are %d x %d",
                       pv_store_path(store), c->height, c->width, pv_signal_form(original)->height,
                       pv_signal_form(original)->width);
    if (c->height > MAX_PIXELS / c->scale / c->scale / c->panels / c->width)
        return pv_fail(PV_ERR_USAGE, "a picture of %d x %d, %d times as fine, is too large: see --scale",
                       c->height, c->width, c->scale);
    return PV_OK;
}

static pv_status draw(const pv_store *store, const pv_signal *original, const words *w, json_t *result)
{
    const int64_t object = w->object, view = w->view;
    const pv_signal_about *shape = pv_store_signal(store);
    canvas c = {.height = shape->height,
                .width = shape->width,
                .channels = shape->channels,
                .scale = w->scale,
                .panels = original ? 3 : 2};
    float *row = NULL, *values = NULL, psnr = 0;
    uint8_t fitted = 0;
    int64_t number = 0;
    pv_status st;
    if (c.height < 1 || pv_store_arch(store)->dims[0] != 2 || (c.channels != 1 && c.channels != 3))
        return pv_fail(PV_ERR_DATA, "'%s' does not hold images: nothing to render", pv_store_path(store));
    PV_TRY(check_canvas(store, original, &c));
    PV_ALLOC(row, pv_store_params(store));
    PV_ALLOC(values, (int64_t)c.height * c.width * c.channels);
    PV_TRY(pv_store_read_status(store, view, object, 1, &fitted));
    if (fitted != PV_ROW_FITTED)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s': view %lld of object %lld is %s", pv_store_path(store),
                       (long long)view, (long long)object,
                       fitted == PV_ROW_REFUSED ? "refused: its loss was not finite" : "not fitted"));
    PV_TRY(pv_store_read_rows(store, view, object, 1, row));
    PV_TRY(pv_store_read_psnr(store, view, object, 1, &psnr));
    if (original) PV_TRY(pv_open_object(store, original, object, &number));
    PV_TRY(canvas_make(&c));
    if (original) {
        PV_TRY(pv_signal_samples(original, number, NULL, values));
        draw_panel(&c, 0, values, 1);
    }
    PV_TRY(draw_inr(&c, c.panels - 2, pv_store_arch(store), row, 1));
    PV_TRY(draw_inr(&c, c.panels - 1, pv_store_arch(store), row, w->scale));
    PV_TRY(pv_png_write(w->out, c.height * w->scale, c.row_pixels, c.channels, c.pixels));
    pv_json_text(result, "picture", w->out);
    pv_json_real(result, "psnr_db", (double)psnr);
done:
    free(c.pixels);
    free(row);
    free(values);
    return st;
}

static pv_status run_render(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_store *store = NULL;
    pv_signal *original = NULL;
    pv_status st;
    (void)run; /* a picture leaves no record */
    PV_TRY(pv_store_open(comm, w->path, PV_STORE_READ, NULL, &store));
    if (w->object >= pv_store_objects(store) || w->view >= pv_store_views(store))
        PV_TRY(pv_agree(comm, pv_fail(PV_ERR_USAGE, "'%s' has objects 0-%lld and views 0-%lld", w->path,
                                      (long long)pv_store_objects(store) - 1,
                                      (long long)pv_store_views(store) - 1)));
    if (pv_open_signal(comm, store, &original) != PV_OK)
        pv_log_warn("only the INR is drawn, the source data cannot be read: %s", pv_fail_message());
    PV_TRY(pv_agree(comm, comm->rank == 0 ? draw(store, original, w, result) : PV_OK));
done:
    pv_signal_close(original);
    pv_store_close(store);
    return st;
}

const pv_command pv_command_render = {
    .plugin = {.name = "render", .help = "draw an INR beside its image", PV_OWN(options, words)},
    .about =
        "Three panels: the image, the INR on the image's grid, and the INR on a finer grid.  Without the\n"
        "source data only the INR is drawn.\n",
    .run = run_render,
};
