/* A picture in other channels and another size. */
#include "pv_image_convert.h"
#include "base/pv_mem.h"

#include <stdlib.h>
#include <string.h>

static uint32_t number_at(const pv_image *image, size_t at)
{
    return image->head.white > 255 ? ((const uint16_t *)image->pixels)[at]
                                   : ((const uint8_t *)image->pixels)[at];
}

/* Row y in the channels wished for, [width][channels]; every product fits in 32 bits. */
static void take_row(const pv_image *image, int y, const pv_image_wish *wish, uint16_t *row)
{
    const uint32_t white = (uint32_t)image->head.white, ground = (uint32_t)(wish->background * white + 0.5);
    const size_t width = (size_t)image->head.width, colours = image->head.colour ? 3 : 1;
    const size_t step = colours + image->alpha;
    size_t at = (size_t)y * width * step;
    for (size_t x = 0; x < width; x++, at += step) {
        const uint32_t alpha = image->alpha ? number_at(image, at + colours) : white;
        uint32_t rgb[3];
        for (size_t c = 0; c < 3; c++) {
            rgb[c] = number_at(image, at + (colours == 3 ? c : 0));
            if (wish->channels < 4 && alpha < white)
                rgb[c] = (rgb[c] * alpha + ground * (white - alpha) + white / 2) / white;
        }
        if (wish->channels == 1) {
            *row++ = (uint16_t)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16);
            continue;
        }
        for (int c = 0; c < 3; c++)
            *row++ = (uint16_t)rgb[c];
        if (wish->channels == 4) *row++ = (uint16_t)alpha;
    }
}

/* Of `from` equal parts of a line, part `i` and, of `to`, part `j`: what they share, in units of 1 / (from *
 * to) of the line. */
static int64_t shared(int64_t i, int64_t from, int64_t j, int64_t to)
{
    const int64_t first = i * to > j * from ? i * to : j * from;
    const int64_t end = (i + 1) * to < (j + 1) * from ? (i + 1) * to : (j + 1) * from;
    return end - first;
}

/* A row of `from` pixels to sums of `to`, [to][channels]. */
static void sum_row(const uint16_t *row, int from, int to, int channels, int64_t *sums)
{
    for (int64_t j = 0; j < to; j++)
        for (int c = 0; c < channels; c++) {
            int64_t sum = 0;
            for (int64_t i = j * from / to; i * to < (j + 1) * from; i++)
                sum += shared(i, from, j, to) * row[i * channels + c];
            sums[j * channels + c] = sum;
        }
}

static pv_status resample(const pv_image *image, const pv_image_wish *wish, float *out)
{
    const int height = image->head.height, width = image->head.width;
    const int64_t n = (int64_t)wish->width * wish->channels;
    const double area = (double)height * width * image->head.white;
    uint16_t *row = NULL;
    int64_t *sums = NULL, *total = NULL, summed = -1;
    pv_status st;
    PV_ALLOC(row, (int64_t)width * wish->channels);
    PV_ALLOC(sums, n);
    PV_ALLOC(total, n);
    for (int64_t j = 0; j < wish->height; j++) {
        memset(total, 0, (size_t)n * sizeof *total);
        for (int64_t i = j * height / wish->height; i * wish->height < (j + 1) * height; i++) {
            const int64_t part = shared(i, height, j, wish->height);
            if (i != summed) {
                take_row(image, (int)i, wish, row);
                sum_row(row, width, wish->width, wish->channels, sums);
            }
            summed = i;
            for (int64_t k = 0; k < n; k++)
                total[k] += part * sums[k];
        }
        for (int64_t k = 0; k < n; k++)
            *out++ = (float)((double)total[k] / area);
    }
    st = PV_OK;
done:
    PV_FREE(row, sums, total);
    return st;
}

pv_status pv_image_convert(const pv_image *image, const pv_image_wish *wish, void *out)
{
    const pv_image_head *head = &image->head;
    const int64_t n = (int64_t)head->width * wish->channels;
    uint16_t *row = NULL;
    pv_status st;
    if (head->height != wish->height || head->width != wish->width) return resample(image, wish, out);
    if (!wish->floats && !image->alpha && wish->channels == (head->colour ? 3 : 1)) {
        memcpy(out, image->pixels, (size_t)(n * head->height));
        return PV_OK;
    }
    PV_ALLOC(row, n);
    for (int y = 0; y < head->height; y++) {
        take_row(image, y, wish, row);
        for (int64_t k = 0; k < n; k++)
            if (wish->floats)
                ((float *)out)[y * n + k] = (float)row[k] / (float)head->white;
            else
                ((uint8_t *)out)[y * n + k] = (uint8_t)row[k];
    }
    st = PV_OK;
done:
    free(row);
    return st;
}
