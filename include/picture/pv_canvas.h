/* A picture as it is drawn: bytes, white at first. */
#ifndef PV_CANVAS_H
#define PV_CANVAS_H

#include "base/pv_status.h"

#include <stdint.h>

/* Shapes: pixels [height][width][channels]; channels 1 (grey), 3 (RGB) or 4 (RGB and opacity). */
typedef struct pv_canvas {
    int height, width, channels;
    uint8_t *pixels;
} pv_canvas;

typedef struct pv_colour {
    float rgb[3]; /* in [0, 1] */
} pv_colour;

/* Owner: pv_canvas_free, safe on zeros.  Local.
 * Errors: PV_ERR_USAGE (a picture of more than 2^28 pixels: --scale is named), PV_ERR_NOMEM. */
pv_status pv_canvas_make(int64_t height, int64_t width, int channels, pv_canvas *out);
void pv_canvas_free(pv_canvas *canvas);

/* Draws values [rows][columns][channels], in [0, 1] or cut off, as squares of size * size pixels; of a canvas
 * of three channels for values of two the third is 0. */
void pv_canvas_squares(pv_canvas *canvas, int top, int left, int rows, int columns, int size, int channels,
                       const float *values);

/* Lays a colour over a pixel of a canvas of three channels; `cover` in [0, 1] of it is covered. */
void pv_canvas_cover(pv_canvas *canvas, int y, int x, pv_colour colour, float cover);

#endif
