/* The loops of evaluation and of a fit step: products, activations, gradients, Adam. */
#include "pv_inr_kernels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Vectors run over samples.  A block of UNITS x WIDE vectors of sums stays in registers, with room for WIDE
 * vectors of input and a broadcast weight; GRAD_A x GRAD_B likewise for the dot products over samples. */
#if defined(__AVX512F__)
#include <immintrin.h>
enum { LANES = 16, UNITS = 8, WIDE = 3, GRAD_A = 4, GRAD_B = 4 };
#define EACH_LANE(F, h)                                                                                      \
    F(0, h), F(1, h), F(2, h), F(3, h), F(4, h), F(5, h), F(6, h), F(7, h), F(8, h), F(9, h), F(10, h),      \
        F(11, h), F(12, h), F(13, h), F(14, h), F(15, h)
#elif defined(__AVX2__)
#include <immintrin.h>
enum { LANES = 8, UNITS = 4, WIDE = 3, GRAD_A = 4, GRAD_B = 3 };
#define EACH_LANE(F, h) F(0, h), F(1, h), F(2, h), F(3, h), F(4, h), F(5, h), F(6, h), F(7, h)
#else
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
enum { LANES = 4, UNITS = 4, WIDE = 3, GRAD_A = 4, GRAD_B = 3 };
#define EACH_LANE(F, h) F(0, h), F(1, h), F(2, h), F(3, h)
#endif
enum {
    COLUMNS = 4,                  /* of a block of sums in memory, at least GRAD_B */
    GRAD_SUMS = GRAD_A * COLUMNS, /* a multiple of LANES */
};

typedef float vec __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t bits __attribute__((vector_size(4 * LANES), may_alias));

#define INLINE static inline __attribute__((always_inline))
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef SHUFFLE
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (bits){__VA_ARGS__})
#endif

INLINE vec splat(float value)
{
    return value - (vec){0};
}

INLINE vec *at(float *address)
{
    return (vec *)address;
}

INLINE vec get(const float *address)
{
    return *(const vec *)address;
}

INLINE vec square_root(vec value)
{
#if defined(__AVX512F__)
    return (vec)_mm512_sqrt_ps((__m512)value);
#elif defined(__AVX2__)
    return (vec)_mm256_sqrt_ps((__m256)value);
#elif defined(__SSE2__)
    return (vec)_mm_sqrt_ps((__m128)value);
#else
    for (int i = 0; i < LANES; i++)
        value[i] = sqrtf(value[i]);
    return value;
#endif
}

/* sin(pi t) and pi cos(pi t), |t| < 2^21.  Adding 1.5 * 2^23 rounds t to whole half turns, whose parity, the
 * sign of the result, is then the lowest bit; what is left, |f| <= 1/2, is exact.  The polynomials in f^2 are
 * minimax fits, with errors of 4e-9 and 5e-8 before rounding. */
INLINE void sincos_vec(vec t, vec *sine, vec *slope)
{
    const vec shift = splat(0x1.8p23f);
    const vec shifted = t + shift;
    const vec f = t - (shifted - shift), z = f * f;
    const bits sign = (bits)shifted << 31;
    vec s = z * 0x1.3c4b2cp-4f - 0x1.3232fap-1f;
    vec c = z * 0.690197849f - 4.18422493f;
    s = s * z + 0x1.46676ep+1f;
    c = c * z + 12.7498771f;
    s = s * z - 0x1.4abbb6p+2f;
    c = c * z - 15.503109f;
    s = s * z + 0x1.921fb4p+1f;
    c = c * z + 3.14159251f;
    *sine = (vec)((bits)(s * f) ^ sign);
    *slope = (vec)((bits)c ^ sign);
}

static void sincos_kernel(int n, const float *t, float *sine, float *slope)
{
    for (int i = 0; i < n; i += LANES)
        sincos_vec(get(t + i), at(sine + i), at(slope + i));
}

/* Another activation, or the sine of phases of any size.  Not inlined: it would crowd the loop that calls it.
 */
static __attribute__((noinline)) void activate_apart(const pv_inr_net *net, int n, float *value, float *slope)
{
    const double pi = 3.14159265358979323846;
    if (net->apply) {
        net->apply(n, value, value, slope);
        return;
    }
    for (int i = 0; i < n; i++) {
        const double turns = remainder((double)value[i], 2);
        value[i] = (float)sin(pi * turns);
        slope[i] = (float)(pi * cos(pi * turns));
    }
}

/* units x wide vectors of sums over `depth` inputs: out = bias + weight^T in, or out *= weight^T in where
 * there is no bias (the chain rule through a sine).  weight is [depth][step]; in and out have rows of
 * `stride`. */
typedef struct product {
    int depth, step;
    const float *weight, *bias, *in;
    float *out;
    int64_t stride;
} product;

INLINE void multiply(int units, int wide, bool biased, product p)
{
    vec sum[UNITS][WIDE];
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++)
            sum[u][v] = biased ? splat(p.bias[u]) : (vec){0};
    for (int k = 0; k < p.depth; k++) {
        vec in[WIDE];
        for (int v = 0; v < wide; v++)
            in[v] = get(p.in + v * LANES);
        for (int u = 0; u < units; u++)
            for (int v = 0; v < wide; v++)
                sum[u][v] += splat(p.weight[u]) * in[v];
        p.in += p.stride;
        p.weight += p.step;
    }
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++) {
            vec *out = at(p.out + u * p.stride + v * LANES);
            if (biased)
                *out = sum[u][v];
            else
                *out *= sum[u][v];
        }
}

INLINE product next_units(product p, int units)
{
    p.weight += units;
    if (p.bias) p.bias += units;
    p.out += units * p.stride;
    return p;
}

INLINE void multiply_all(int units, int wide, bool biased, product p)
{
    for (; units >= UNITS; units -= UNITS, p = next_units(p, UNITS))
        multiply(UNITS, wide, biased, p);
    for (; UNITS > 4 && units >= 4; units -= 4, p = next_units(p, 4))
        multiply(4, wide, biased, p);
    for (; units > 0; units--, p = next_units(p, 1))
        multiply(1, wide, biased, p);
}

/* The output of `wide` vectors of samples from sample `first` on, with activations and slopes. */
INLINE void forward_block(const pv_inr_net *net, const float *coords, int first, int wide)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const float *in = coords + first;
    for (int l = 0; l <= last; l++) {
        float *out = (l == last ? net->output : net->value[l + 1]) + first;
        multiply_all(d[l + 1], wide, true,
                     (product){d[l], d[l + 1], net->transposed[l], net->bias[l], in, out, net->stride});
        if (l == last) return;
        float *slope = net->slope[l + 1] + first;
        for (int64_t u = 0; u < d[l + 1]; u++)
            if (net->apart[l])
                activate_apart(net, wide * LANES, out + u * net->stride, slope + u * net->stride);
            else
                sincos_kernel(wide * LANES, out + u * net->stride, out + u * net->stride,
                              slope + u * net->stride);
        in = out;
    }
}

/* Turns outputs into residuals, zero beyond `count` samples, and slopes into gradients of the phases. */
INLINE void backward_block(const pv_inr_net *net, const float *values, int first, int wide, int count)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int c = 0; c < d[last + 1]; c++) {
        float *output = net->output + (int64_t)c * net->stride;
        for (int s = first; s < first + wide * LANES; s += LANES)
            *at(output + s) -= get(values + (int64_t)c * net->stride + s);
        for (int s = count > first ? count : first; s < first + wide * LANES; s++)
            output[s] = 0;
    }
    for (int l = last; l > 0; l--) {
        const float *in = (l == last ? net->output : net->slope[l + 1]) + first;
        multiply_all(d[l], wide, false,
                     (product){d[l + 1], d[l], net->weight[l], NULL, in, net->slope[l] + first, net->stride});
    }
}

static void forward_kernel(const pv_inr_net *net, const float *coords, int count)
{
    int first = 0;
    for (; first + (WIDE - 1) * LANES < count; first += WIDE * LANES)
        forward_block(net, coords, first, WIDE);
    for (; first < count; first += LANES)
        forward_block(net, coords, first, 1);
}

#define OWN(lane, h)   (((lane) & (h)) ? LANES + (lane) : (lane))
#define OTHER(lane, h) (((lane) & (h)) ? LANES + ((lane) & ~(h)) : ((lane) | (h)))
#define FOLD(h)                                                                                              \
    for (int k = 0; k < (h); k++)                                                                            \
    row[k] = SHUFFLE(row[k], row[k + (h)], EACH_LANE(OWN, h)) +                                              \
             SHUFFLE(row[k], row[k + (h)], EACH_LANE(OTHER, h))

/* The sums of LANES vectors, lane i that of row[i]: each fold halves the vectors and the lanes of a sum. */
INLINE vec sum_lanes(vec *row)
{
#if defined(__AVX512F__)
    FOLD(8);
#endif
#if defined(__AVX2__)
    FOLD(4);
#endif
    FOLD(2);
    FOLD(1);
    return row[0];
}

/* Dot products over samples of rows a with rows b, a matrix of gradients. */
typedef struct outer {
    const float *a, *b;
    int64_t stride;
    int vectors;
} outer;

/* sums[i][j] = a_i . b_j for GRAD_A rows a and `width` rows b; rows beyond `rows_a` repeat the last. */
INLINE void dot_block(int width, outer o, int rows_a, float sums[GRAD_A][COLUMNS])
{
    vec sum[GRAD_A][COLUMNS];
    const float *a[GRAD_A];
    for (int i = 0; i < GRAD_A; i++)
        a[i] = o.a + (i < rows_a ? i : rows_a - 1) * o.stride;
    for (int i = 0; i < GRAD_A; i++)
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = (vec){0};
    for (int64_t s = 0; s < (int64_t)o.vectors * LANES; s += LANES) {
        vec b[GRAD_B];
        for (int j = 0; j < width; j++)
            b[j] = get(o.b + j * o.stride + s);
        for (int i = 0; i < GRAD_A; i++)
            for (int j = 0; j < width; j++)
                sum[i][j] += get(a[i] + s) * b[j];
    }
    for (int g = 0; g < GRAD_SUMS; g += LANES)
        *at(&sums[g / COLUMNS][0]) = sum_lanes(&sum[g / COLUMNS][0]);
}

/* gradient[i * step_a + j * step_b] += scale * a_i . b_j for all rows a and b. */
static void dot_all(outer o, int rows_a, int rows_b, float scale, float *gradient, int step_a, int step_b)
{
    for (int i = 0; i < rows_a; i += GRAD_A, o.a += GRAD_A * o.stride) {
        const int high = rows_a - i < GRAD_A ? rows_a - i : GRAD_A;
        outer part = o;
        for (int j = 0; j < rows_b;) {
            float sums[GRAD_A][COLUMNS] __attribute__((aligned(64)));
            const int width = rows_b - j < GRAD_B ? rows_b - j : GRAD_B;
            if (width == GRAD_B)
                dot_block(GRAD_B, part, high, sums);
            else if (width == 3)
                dot_block(3, part, high, sums);
            else if (width == 2)
                dot_block(2, part, high, sums);
            else
                dot_block(1, part, high, sums);
            for (int p = 0; p < high; p++)
                for (int q = 0; q < width; q++)
                    gradient[(i + p) * step_a + (j + q) * step_b] += scale * sums[p][q];
            part.b += width * o.stride;
            j += width;
        }
    }
}

/* sum[i] = the vectors of row a_i added up, for GRAD_A rows; those beyond `rows` repeat the last. */
INLINE void sum_block(outer o, int rows, vec *sum)
{
    const float *a[GRAD_A];
    vec part[GRAD_A];
    for (int i = 0; i < GRAD_A; i++) {
        a[i] = o.a + (i < rows ? i : rows - 1) * o.stride;
        part[i] = (vec){0};
    }
    for (int64_t s = 0; s < (int64_t)o.vectors * LANES; s += LANES)
        for (int i = 0; i < GRAD_A; i++)
            part[i] += get(a[i] + s);
    for (int i = 0; i < GRAD_A; i++)
        sum[i] = part[i];
}

/* gradient[i] += scale * the sum of row a_i. */
static void sum_all(outer o, int rows, float scale, float *gradient)
{
    for (int i = 0; i < rows; i += GRAD_SUMS) {
        const int high = rows - i < GRAD_SUMS ? rows - i : GRAD_SUMS;
        vec sum[GRAD_SUMS] = {{0}};
        float sums[GRAD_SUMS] __attribute__((aligned(64)));
        for (int r = 0; r < high; r += GRAD_A)
            sum_block((outer){o.a + (i + r) * o.stride, NULL, o.stride, o.vectors}, high - r, sum + r);
        for (int g = 0; g < GRAD_SUMS; g += LANES)
            *at(&sums[g]) = sum_lanes(&sum[g]);
        for (int r = 0; r < high; r++)
            gradient[i + r] += scale * sums[r];
    }
}

static void weight_gradients(const pv_inr_net *net, const float *coords, int vectors, float scale,
                             float *gradient)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 0; l <= last; l++) {
        const float *delta = l == last ? net->output : net->slope[l + 1];
        const float *in = l == 0 ? coords : net->value[l];
        const float weight_scale = l == last ? scale : scale * net->scale;
        const outer o = {delta, in, net->stride, vectors};
        if (d[l + 1] < GRAD_A && d[l] > d[l + 1]) /* the longer side fills the block */
            dot_all((outer){in, delta, net->stride, vectors}, d[l], d[l + 1], weight_scale, gradient, 1,
                    d[l]);
        else
            dot_all(o, d[l + 1], d[l], weight_scale, gradient, d[l], 1);
        gradient += d[l + 1] * d[l];
        sum_all(o, d[l + 1], weight_scale, gradient);
        gradient += d[l + 1];
    }
}

/* The sum over a tile of the squared residuals in net->output. */
static double squared_error(const pv_inr_net *net, int vectors)
{
    double total = 0;
    vec sum = {0};
    for (int64_t c = 0; c < net->arch.dims[net->arch.layers]; c++)
        for (int64_t v = 0; v < vectors; v++) {
            const vec error = get(net->output + c * net->stride + v * LANES);
            sum += error * error;
        }
    for (int i = 0; i < LANES; i++)
        total += (double)sum[i];
    return total;
}

static double gradient_kernel(const pv_inr_net *net, const float *coords, const float *values, int count,
                              float scale, float *gradient)
{
    int first = 0;
    for (; first + (WIDE - 1) * LANES < count; first += WIDE * LANES) {
        forward_block(net, coords, first, WIDE);
        backward_block(net, values, first, WIDE, count);
    }
    for (; first < count; first += LANES) {
        forward_block(net, coords, first, 1);
        backward_block(net, values, first, 1, count);
    }
    weight_gradients(net, coords, first / LANES, scale, gradient);
    return squared_error(net, first / LANES);
}

/* The largest |x| of n floats, as the bits of a float: ordered like the floats, and without branches. */
static float largest(int n, const float *x)
{
    uint32_t most = 0;
    for (int i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        word &= UINT32_C(0x7fffffff);
        most = word > most ? word : most;
    }
    float value;
    memcpy(&value, &most, sizeof value);
    return value;
}

static void load_kernel(pv_inr_net *net, const float *row)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 0; l <= last; l++) {
        const int rows = d[l + 1], cols = d[l];
        const float scale = l == last ? 1.0f : net->scale;
        float *weight = net->weight[l], *transposed = net->transposed[l], *bias = net->bias[l];
        for (int i = 0; i < rows * cols; i++)
            weight[i] = row[i] * scale;
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++)
                transposed[j * rows + i] = weight[i * cols + j];
        row += rows * cols;
        for (int i = 0; i < rows; i++)
            bias[i] = row[i] * scale + (l == last ? net->arch.offset : 0.0f);
        row += rows;
        /* False for NaN, which the quick way carries through as well. */
        const float reach = l == 0 ? net->reach : 1.0f;
        const float most = (float)cols * reach * largest(rows * cols, weight) + largest(rows, bias);
        net->apart[l] = net->apply || most > 0x1p21f;
    }
}

static void adam_kernel(int n, pv_inr_adam step, const float *gradient, float *m, float *v, float *row)
{
    const float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
    for (int i = 0; i < n; i += LANES) {
        const vec g = get(gradient + i);
        const vec first = get(m + i) + (1 - beta1) * (g - get(m + i));
        const vec second = get(v + i) * beta2 + (1 - beta2) * g * g;
        *at(m + i) = first;
        *at(v + i) = second;
        *at(row + i) -= step.rate * first / (square_root(second) * step.root + eps);
    }
}

extern const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels);
const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels) = {
    sincos_kernel, load_kernel, forward_kernel, gradient_kernel, adam_kernel,
};
