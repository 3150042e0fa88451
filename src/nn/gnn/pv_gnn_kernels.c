#include "nn/gnn/pv_gnn_kernels.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifdef PV_REAL_IS_DOUBLE
#define REAL_BYTES 8
typedef int64_t integer;
#else
#define REAL_BYTES 4
typedef int32_t integer;
#endif
#if defined(__AVX512F__)
#define LANES (64 / REAL_BYTES)
#elif defined(__AVX2__)
#define LANES (32 / REAL_BYTES)
#else
#define LANES (16 / REAL_BYTES)
#endif
typedef pv_real vector __attribute__((vector_size(LANES * REAL_BYTES), aligned(sizeof(pv_real)), may_alias));
typedef integer integers __attribute__((vector_size(LANES * REAL_BYTES), may_alias));

#if LANES == 16
static const integers lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif LANES == 8
static const integers lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7};
#elif LANES == 4
static const integers lane_numbers = {0, 1, 2, 3};
#else
static const integers lane_numbers = {0, 1};
#endif

#define INLINE static inline __attribute__((always_inline))

static const pv_real EPS = (pv_real)1e-5; /* of LayerNorm */

INLINE vector splat(pv_real value)
{
    return value - (vector){0};
}

INLINE vector get(const pv_real *address)
{
    return *(const vector *)address;
}

INLINE vector *at(pv_real *address)
{
    return (vector *)address;
}

/* mask ? a : b, lane by lane. */
INLINE vector choose(integers mask, vector a, vector b)
{
    return (vector)(((integers)a & mask) | ((integers)b & ~mask));
}

/* Lane i of the result is lane i + by of v, modulo the number of lanes. */
INLINE vector rotate(vector v, int by)
{
#if defined(__clang__)
    vector turned = v;
    for (int i = 0; i < LANES; i++)
        turned[i] = v[(i + by) & (LANES - 1)];
    return turned;
#else
    return __builtin_shuffle(v, (lane_numbers + by) & (LANES - 1));
#endif
}

/* The sum of lanes that are `apart` from each other, a power of two, in every lane. */
INLINE vector fold(vector v, int apart)
{
    for (int by = apart; by < LANES; by *= 2)
        v += rotate(v, by);
    return v;
}

/* The sum of all lanes, in every lane. */
INLINE vector total(vector v)
{
    if (LANES > 8) v += rotate(v, 8);
    if (LANES > 4) v += rotate(v, 4);
    if (LANES > 2) v += rotate(v, 2);
    return v + rotate(v, 1);
}

/* ---- functions of one number ---- */

static const pv_real ROOT_HALF = (pv_real)0.70710678118654752440,
                     ROOT_TWO_PI_INVERSE = (pv_real)0.39894228040143267794;

#ifdef PV_REAL_IS_DOUBLE
INLINE vector exponential(vector x)
{
    for (int i = 0; i < LANES; i++)
        x[i] = exp(x[i]);
    return x;
}

/* Phi(x), the distribution of a standard normal, and its density. */
INLINE vector normal(vector x, vector *density)
{
    vector phi = x;
    for (int i = 0; i < LANES; i++) {
        phi[i] = 0.5 * erfc(-x[i] * ROOT_HALF);
        (*density)[i] = ROOT_TWO_PI_INVERSE * exp(-0.5 * x[i] * x[i]);
    }
    return phi;
}

/* sin and cos of 2 pi t */
INLINE void turn(vector t, vector *sine, vector *cosine)
{
    for (int i = 0; i < LANES; i++) {
        const double angle = 2 * 3.14159265358979323846 * t[i];
        (*sine)[i] = sin(angle);
        (*cosine)[i] = cos(angle);
    }
}
#else
/* Adding it rounds to a whole number, which then stands in the lowest bits. */
static const float SHIFT = 0x1.8p23f;

/* 2^(x log2 e), by a minimax polynomial of the fraction with an error of 2e-9 before rounding. */
INLINE vector exponential(vector x)
{
    const float log2e = 0x1.715476p0f, rest = 0x1.4ae0bep-26f;
    x = choose(x < -87.0f, splat(-87.0f), x);
    x = choose(x > 88.0f, splat(88.0f), x);
    const vector shifted = x * log2e + SHIFT, whole = shifted - SHIFT;
    const vector f = (x * log2e - whole) + x * rest;
    vector p = f * 0.00015345794f + 0.0013399931f;
    p = p * f + 0.00961848902f;
    p = p * f + 0.0555032878f;
    p = p * f + 0.240226469f;
    p = p * f + 0.693147206f;
    p = p * f + 1.0f;
    return (vector)((integers)p + ((integers)shifted << 23));
}

/* Phi(x) from erfc(a) = exp(-a^2) t P(t), t = 1 / (1 + 0.4 a), P a minimax fit whose error is 1e-9. */
INLINE vector normal(vector x, vector *density)
{
    const vector gauss = exponential(-0.5f * x * x);
    const vector a = choose(x < 0.0f, -x, x) * ROOT_HALF;
    const vector t = 1.0f / (1.0f + 0.4f * a);
    vector p = t * 0.0781560599f - 0.412105944f;
    p = p * t + 0.717515265f;
    p = p * t - 0.407361607f;
    p = p * t + 0.427982119f;
    p = p * t + 0.133498007f;
    p = p * t + 0.237419093f;
    p = p * t + 0.224897007f;
    const vector tail = 0.5f * gauss * (t * p);
    *density = ROOT_TWO_PI_INVERSE * gauss;
    return choose(x < 0.0f, tail, 1.0f - tail);
}

/* sin(2 pi z), |z| <= 1/4: an odd minimax polynomial, error 3e-9 */
INLINE vector sine_of(vector z)
{
    const vector u = z * z;
    vector p = u * 39.5367041f - 76.549782f;
    p = p * u + 81.6010041f;
    p = p * u - 41.341655f;
    p = p * u + 6.28318516f;
    return p * z;
}

/* Half turns are cut off exactly; their parity, the lowest bit of the shifted number, is the sign. */
INLINE void turn(vector t, vector *sine, vector *cosine)
{
    const vector shifted = 2.0f * t + SHIFT;
    const vector f = t - 0.5f * (shifted - SHIFT);
    const integers sign = (integers)shifted
                          << 31; // cppcheck-suppress shiftTooManyBitsSigned ; of vectors, wraps
    *sine = (vector)((integers)sine_of(f) ^ sign);
    *cosine = (vector)((integers)sine_of(0.25f - choose(f < 0.0f, -f, f)) ^ sign);
}
#endif

static void gelu(int64_t n, const pv_real *x, pv_real *y)
{
    vector density = {0};
    for (int64_t i = 0; i < n; i += LANES)
        *at(y + i) = get(x + i) * normal(get(x + i), &density);
}

static void gelu_slope(int64_t n, const pv_real *x, pv_real *y, pv_real *slope)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const vector value = get(x + i);
        vector density = {0};
        const vector phi = normal(value, &density);
        *at(y + i) = value * phi;
        *at(slope + i) = phi + value * density;
    }
}

static void silu_slope(int64_t n, const pv_real *x, pv_real *y, pv_real *slope)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const vector value = get(x + i), s = 1 / (1 + exponential(-value));
        *at(y + i) = value * s;
        *at(slope + i) = s + value * s * (1 - s);
    }
}

static void multiply(int64_t n, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] *= x[i];
}

static void add(int64_t n, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* ---- LayerNorm ---- */

INLINE vector square_root(vector x)
{
#if defined(__AVX512F__) && !defined(PV_REAL_IS_DOUBLE)
    return (vector)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__) && !defined(PV_REAL_IS_DOUBLE)
    return (vector)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < LANES; i++)
        x[i] = (pv_real)(sizeof(pv_real) == sizeof(float) ? sqrtf((float)x[i]) : sqrt((double)x[i]));
    return x;
#endif
}

/* The mean of a row and 1 / its standard deviation, in every lane. */
INLINE void row_moments(int width, int padded, const pv_real *x, vector *mean, vector *scale)
{
    const pv_real share = 1 / (pv_real)width;
    vector sum = {0}, square = {0};
    for (int k = 0; k < padded; k += LANES)
        sum += get(x + k);
    *mean = total(sum) * share;
    for (int k = 0; k < padded; k += LANES) {
        const vector d = get(x + k) - *mean;
        square += d * d;
    }
    /* The padding, which is 0, has its share in the sum of squares. */
    const vector padding = (pv_real)(padded - width) * *mean * *mean;
    *scale = 1 / square_root((total(square) - padding) * share + EPS);
}

static void norm(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                 const pv_real *bias, pv_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += padded, y += padded) {
        vector mean, scale;
        row_moments(width, padded, x, &mean, &scale);
        for (int k = 0; k < padded; k += LANES)
            *at(y + k) = (get(x + k) - mean) * scale * get(weight + k) + get(bias + k);
    }
}

static void norm_backward(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                          pv_real *dy, pv_real *dweight, pv_real *dbias)
{
    const pv_real share = 1 / (pv_real)width;
    for (int64_t r = 0; r < rows; r++, x += padded, dy += padded) {
        vector mean, scale, sum = {0}, dot = {0};
        row_moments(width, padded, x, &mean, &scale);
        for (int k = 0; k < padded; k += LANES) {
            const vector d = get(dy + k), g = d * get(weight + k), h = (get(x + k) - mean) * scale;
            sum += g;
            dot += g * h;
            *at(dweight + k) += d * h;
            *at(dbias + k) += d;
        }
        sum = total(sum) * share;
        dot = total(dot) * share;
        for (int k = 0; k < padded; k += LANES) {
            const vector h = (get(x + k) - mean) * scale;
            *at(dy + k) = scale * (get(dy + k) * get(weight + k) - sum - h * dot);
        }
    }
}

/* ---- Fourier features ---- */

static void fourier(int64_t rows, int in, int stride, int waves, const pv_real *x, const pv_real *b,
                    pv_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += stride, y += 2 * waves)
        for (int k = 0; k < waves; k += LANES) {
            vector t = x[0] * get(b + k);
            for (int i = 1; i < in; i++)
                t += x[i] * get(b + i * waves + k);
            turn(t, at(y + k), at(y + waves + k));
        }
}

static void fourier_backward(int64_t rows, int in, int stride, int waves, const pv_real *y, const pv_real *b,
                             const pv_real *dy, pv_real *dx)
{
    const pv_real two_pi = (pv_real)6.28318530717958647693;
    for (int64_t r = 0; r < rows; r++, y += 2 * waves, dy += 2 * waves)
        for (int i = 0; i < in; i++) {
            vector sum = {0};
            for (int k = 0; k < waves; k += LANES)
                sum += get(b + i * waves + k) *
                       (get(dy + k) * get(y + waves + k) - get(dy + waves + k) * get(y + k));
            dx[r * stride + i] = two_pi * total(sum)[0];
        }
}

/* ---- attention ---- */

static void softmax(int nodes, int width, pv_real *share)
{
    for (int v = 0; v < width; v += LANES) {
        vector most = get(share + v), sum = {0};
        for (int j = 1; j < nodes; j++) {
            const vector s = get(share + j * width + v);
            most = choose(s > most, s, most);
        }
        for (int j = 0; j < nodes; j++) {
            vector *s = at(share + j * width + v);
            sum += *s = exponential(*s - most);
        }
        const vector scale = 1 / sum;
        for (int j = 0; j < nodes; j++)
            *at(share + j * width + v) *= scale;
    }
}

static void attend(const pv_gnn_row *row, const pv_real *edges, pv_real *share)
{
    const pv_gnn_row r = *row;
    for (int j = 0; j < r.nodes; j++) {
        const pv_real *edge = edges + (int64_t)j * r.edge_stride, *key = r.keys + (int64_t)j * r.node_stride;
        for (int v = 0; v < r.width; v += LANES) {
            vector sum = {0};
            for (int c = v; c < r.channels; c += r.width)
                sum += (get(r.query + c) + get(edge + c)) * (get(key + c) + get(edge + r.channels + c));
            *at(share + j * r.width + v) = r.scale * fold(sum, r.heads);
        }
    }
    softmax(r.nodes, r.width, share);
}

static void gather(const pv_gnn_row *row, const pv_real *edges, const pv_real *share, pv_real *out)
{
    const pv_gnn_row r = *row;
    for (int j = 0; j < r.nodes; j++) {
        const pv_real *factor = edges + (int64_t)j * r.edge_stride + 2 * r.channels;
        const pv_real *value = r.values + (int64_t)j * r.node_stride;
        for (int v = 0; v < r.width; v += LANES) {
            const vector s = get(share + j * r.width + v);
            if (r.modulated)
                for (int c = v; c < r.channels; c += r.width)
                    *at(out + c) += s * get(value + c) * get(factor + c);
            else
                for (int c = v; c < r.channels; c += r.width)
                    *at(out + c) += s * get(value + c);
        }
    }
}

/* The gradient of the logits, from the shares and their gradients. */
static void softmax_backward(const pv_gnn_row *r, const pv_real *share, pv_real *dshare)
{
    for (int v = 0; v < r->width; v += LANES) {
        vector sum = {0};
        for (int j = 0; j < r->nodes; j++)
            sum += get(share + j * r->width + v) * get(dshare + j * r->width + v);
        for (int j = 0; j < r->nodes; j++) {
            vector *d = at(dshare + j * r->width + v);
            *d = get(share + j * r->width + v) * (*d - sum) * r->scale;
        }
    }
}

static void attend_backward(const pv_gnn_row *row, const pv_real *share, const pv_real *dout, pv_real *dshare,
                            pv_real *edges, pv_real *dquery, pv_real *dkeys, pv_real *dvalues)
{
    const pv_gnn_row r = *row;
    for (int j = 0; j < r.nodes; j++) {
        const pv_real *factor = edges + (int64_t)j * r.edge_stride + 2 * r.channels;
        const pv_real *value = r.values + (int64_t)j * r.node_stride;
        for (int v = 0; v < r.width; v += LANES) {
            vector sum = {0};
            for (int c = v; c < r.channels; c += r.width)
                sum += r.modulated ? get(dout + c) * get(value + c) * get(factor + c)
                                   : get(dout + c) * get(value + c);
            *at(dshare + j * r.width + v) += fold(sum, r.heads);
        }
    }
    softmax_backward(&r, share, dshare);
    for (int j = 0; j < r.nodes; j++) {
        pv_real *edge = edges + (int64_t)j * r.edge_stride, *factor = edge + 2 * r.channels;
        const int64_t node = (int64_t)j * r.node_stride;
        for (int v = 0; v < r.width; v += LANES) {
            const vector s = get(share + j * r.width + v), d = get(dshare + j * r.width + v);
            for (int c = v; c < r.channels; c += r.width) {
                const vector q = get(r.query + c) + get(edge + c);
                const vector k = get(r.keys + node + c) + get(edge + r.channels + c);
                const vector dq = d * k, dk = d * q, weighted = s * get(dout + c);
                *at(edge + c) = dq;
                *at(edge + r.channels + c) = dk;
                *at(dquery + c) += dq;
                *at(dkeys + node + c) += dk;
                if (!r.modulated) {
                    *at(dvalues + node + c) += weighted;
                    continue;
                }
                *at(dvalues + node + c) += weighted * get(factor + c);
                *at(factor + c) = weighted * get(r.values + node + c);
            }
        }
    }
}

static void spread_pooled(const pv_gnn_row *row, int in, const pv_real *weight, const pv_real *pooled,
                          pv_real *out)
{
    const pv_gnn_row r = *row;
    for (int k = 0; k < in; k++)
        for (int v = 0; v < r.width; v += LANES) {
            const vector p = get(pooled + k * r.width + v);
            for (int c = v; c < r.channels; c += r.width)
                *at(out + c) += p * get(weight + (int64_t)k * r.channels + c);
        }
}

static void spread_pooled_backward(const pv_gnn_row *row, int in, const pv_real *weight, const pv_real *pooled,
                                   const pv_real *dout, pv_real *dweight, pv_real *dpooled, pv_real *flipped)
{
    const pv_gnn_row r = *row;
    memset(flipped, 0, sizeof *flipped * (size_t)in * (size_t)r.width);
    for (int k = 0; k < in; k++) {
        for (int v = 0; v < r.width; v += LANES) {
            const vector p = get(pooled + k * r.width + v);
            vector sum = {0};
            for (int c = v; c < r.channels; c += r.width) {
                const int64_t i = (int64_t)k * r.channels + c;
                sum += get(weight + i) * get(dout + c);
                *at(dweight + i) += get(dout + c) * p;
            }
            *at(dpooled + k * r.width + v) = fold(sum, r.heads);
        }
        for (int h = 0; h < r.heads; h++)
            flipped[(int64_t)h * in + k] = dpooled[k * r.width + h];
    }
}

const pv_gnn_kernels PV_ISA_TABLE(pv_gnn_kernels) = {
    .gelu = gelu,
    .gelu_slope = gelu_slope,
    .silu_slope = silu_slope,
    .multiply = multiply,
    .add = add,
    .norm = norm,
    .norm_backward = norm_backward,
    .fourier = fourier,
    .fourier_backward = fourier_backward,
    .attend = attend,
    .gather = gather,
    .attend_backward = attend_backward,
    .spread_pooled = spread_pooled,
    .spread_pooled_backward = spread_pooled_backward,
};
