/* The bytes of a picture. */
#include "picture/pv_canvas.h"
#include "base/pv_mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

pv_status pv_canvas_make(int64_t height, int64_t width, int channels, pv_canvas *out)
{
    enum { MAX_SIDE = 1 << 24, MAX_PIXELS = 1 << 28 };
    pv_status st = PV_OK;
    *out = (pv_canvas){0};
    if (height > MAX_SIDE || width > MAX_SIDE || height * width > MAX_PIXELS)
        return pv_fail(PV_ERR_USAGE, "a picture of %lld x %lld pixels is too large: see --scale",
                       (long long)height, (long long)width);
    *out = (pv_canvas){(int)height, (int)width, channels, NULL};
    PV_ALLOC(out->pixels, height * width * channels);
    memset(out->pixels, UINT8_MAX, (size_t)(height * width * channels));
done:
    return st;
}

void pv_canvas_free(pv_canvas *canvas)
{
    free(canvas->pixels);
    *canvas = (pv_canvas){0};
}

static uint8_t to_byte(float value)
{
    return (uint8_t)lrintf(255.0F * fminf(fmaxf(value, 0.0F), 1.0F));
}

static uint8_t *at(const pv_canvas *canvas, int y, int x)
{
    return canvas->pixels + ((int64_t)y * canvas->width + x) * canvas->channels;
}

void pv_canvas_squares(pv_canvas *canvas, int top, int left, int rows, int columns, int size, int channels,
                       const float *values)
{
    for (int y = 0; y < rows * size; y++)
        for (int x = 0; x < columns * size; x++)
            for (int k = 0; k < canvas->channels; k++) {
                const int64_t place = (int64_t)(y / size) * columns + x / size;
                at(canvas, top + y, left + x)[k] = k < channels ? to_byte(values[place * channels + k]) : 0;
            }
}

void pv_canvas_cover(pv_canvas *canvas, int y, int x, pv_colour colour, float cover)
{
    uint8_t *const pixel = at(canvas, y, x);
    for (int k = 0; k < 3; k++)
        pixel[k] = to_byte((1 - cover) * (float)pixel[k] / 255 + cover * colour.rgb[k]);
}
