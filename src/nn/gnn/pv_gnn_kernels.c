/* Fourier features, and the values that edges add. */
#include "nn/gnn/pv_gnn_kernels.h"

#include "simd/pv_functions.h"

#include <string.h>

/* ---- Fourier features ---- */

static void fourier(int64_t rows, int in, int stride, int waves, const pv_real *x, const pv_real *b,
                    pv_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += stride, y += 2 * waves)
        for (int k = 0; k < waves; k += PV_LANES) {
            pv_vector t = x[0] * pv_vector_load(b + k);
            for (int i = 1; i < in; i++)
                t += x[i] * pv_vector_load(b + i * waves + k);
            pv_vector sine = {0}, cosine = {0};
            pv_vector_sincos_turns(t, &sine, &cosine);
            pv_vector_store(y + k, sine);
            pv_vector_store(y + waves + k, cosine);
        }
}

static void fourier_backward(int64_t rows, int in, int stride, int waves, const pv_real *y, const pv_real *b,
                             const pv_real *dy, pv_real *dx)
{
    const pv_real two_pi = (pv_real)6.28318530717958647693;
    for (int64_t r = 0; r < rows; r++, y += 2 * waves, dy += 2 * waves)
        for (int i = 0; i < in; i++) {
            pv_vector sum = {0};
            for (int k = 0; k < waves; k += PV_LANES)
                sum += pv_vector_load(b + i * waves + k) *
                       (pv_vector_load(dy + k) * pv_vector_load(y + waves + k) -
                        pv_vector_load(dy + waves + k) * pv_vector_load(y + k));
            dx[r * stride + i] = two_pi * pv_vector_total(sum)[0];
        }
}

static void spread_pooled(const pv_attention_row *row, int in, const pv_real *weight, const pv_real *pooled,
                          pv_real *out)
{
    const pv_attention_row r = *row;
    for (int k = 0; k < in; k++)
        for (int v = 0; v < r.width; v += PV_LANES) {
            const pv_vector p = pv_vector_load(pooled + k * r.width + v);
            for (int c = v; c < r.channels; c += r.width)
                *pv_vector_at(out + c) += p * pv_vector_load(weight + (int64_t)k * r.channels + c);
        }
}

static void spread_pooled_backward(const pv_attention_row *row, int in, const pv_real *weight,
                                   const pv_real *pooled, const pv_real *dout, pv_real *dweight,
                                   pv_real *dpooled, pv_real *flipped)
{
    const pv_attention_row r = *row;
    memset(flipped, 0, sizeof *flipped * (size_t)in * (size_t)r.width);
    for (int k = 0; k < in; k++) {
        for (int v = 0; v < r.width; v += PV_LANES) {
            const pv_vector p = pv_vector_load(pooled + k * r.width + v);
            pv_vector sum = {0};
            for (int c = v; c < r.channels; c += r.width) {
                const int64_t i = (int64_t)k * r.channels + c;
                sum += pv_vector_load(weight + i) * pv_vector_load(dout + c);
                *pv_vector_at(dweight + i) += pv_vector_load(dout + c) * p;
            }
            *pv_vector_at(dpooled + k * r.width + v) = pv_vector_fold(sum, r.heads);
        }
        for (int h = 0; h < r.heads; h++)
            flipped[(int64_t)h * in + k] = dpooled[k * r.width + h];
    }
}

const pv_gnn_kernels PV_ISA_TABLE(pv_gnn_kernels) = {
    .fourier = fourier,
    .fourier_backward = fourier_backward,
    .spread_pooled = spread_pooled,
    .spread_pooled_backward = spread_pooled_backward,
};
