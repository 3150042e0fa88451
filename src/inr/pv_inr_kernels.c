/* The loops of evaluation and of a fit step: products, activations, gradients, Adam. */
#include "pv_inr_kernels.h"
#include "simd/pv_functions.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Vectors run over samples.  A block of UNITS x WIDE vectors of sums stays in registers, with room for WIDE
 * vectors of input and a broadcast weight; GRAD_A x GRAD_B likewise for the dot products over samples. */
#if defined(__AVX512F__)
enum { UNITS = 8, WIDE = 3, GRAD_A = 4, GRAD_B = 4 };
#else
enum { UNITS = 4, WIDE = 3, GRAD_A = 4, GRAD_B = 3 };
#endif
enum {
    COLUMNS = 4,                  /* of a block of sums in memory, at least GRAD_B */
    GRAD_SUMS = GRAD_A * COLUMNS, /* a multiple of PV_LANES */
};

static void sincos_kernel(int n, const float *t, float *sine, float *slope)
{
    for (int i = 0; i < n; i += PV_LANES)
        pv_vector_sine_slope(pv_vector_load_aligned(t + i), pv_vector_aligned(sine + i),
                             pv_vector_aligned(slope + i));
}

/* Another activation, or the sine of phases of any size, for `units` rows of n samples.  Not inlined: it
 * would crowd the loop beside it. */
static __attribute__((noinline)) void activate_apart(const pv_inr_net *net, int units, int n, float *value,
                                                     float *slope)
{
    const double pi = 3.14159265358979323846;
    for (int u = 0; u < units; u++, value += net->stride, slope += net->stride) {
        if (net->apply) {
            net->apply(n, value, value, slope);
            continue;
        }
        for (int i = 0; i < n; i++) {
            const double turns = remainder((double)value[i], 2);
            value[i] = (float)sin(pi * turns);
            slope[i] = (float)(pi * cos(pi * turns));
        }
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

PV_INLINE void multiply(int units, int wide, bool biased, product p)
{
    pv_vector sum[UNITS][WIDE];
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++)
            sum[u][v] = biased ? pv_vector_splat(p.bias[u]) : (pv_vector){0};
    for (int k = 0; k < p.depth; k++) {
        pv_vector in[WIDE];
        for (int v = 0; v < wide; v++)
            in[v] = pv_vector_load_aligned(p.in + v * PV_LANES);
        for (int u = 0; u < units; u++)
            for (int v = 0; v < wide; v++)
                sum[u][v] += pv_vector_splat(p.weight[u]) * in[v];
        p.in += p.stride;
        p.weight += p.step;
    }
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++) {
            pv_vector *out = pv_vector_aligned(p.out + u * p.stride + v * PV_LANES);
            if (biased)
                *out = sum[u][v];
            else
                *out *= sum[u][v];
        }
}

PV_INLINE product next_units(product p, int units)
{
    p.weight += units;
    if (p.bias) p.bias += units;
    p.out += units * p.stride;
    return p;
}

PV_INLINE void multiply_all(int units, int wide, bool biased, product p)
{
    for (; units >= UNITS; units -= UNITS, p = next_units(p, UNITS))
        multiply(UNITS, wide, biased, p);
    for (; UNITS > 4 && units >= 4; units -= 4, p = next_units(p, 4))
        multiply(4, wide, biased, p);
    for (; units > 0; units--, p = next_units(p, 1))
        multiply(1, wide, biased, p);
}

/* The output of `wide` vectors of samples from sample `first` on, with activations and slopes. */
PV_INLINE void forward_block(const pv_inr_net *net, const float *coords, int first, int wide)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const float *in = coords + first;
    for (int l = 0; l <= last; l++) {
        float *out = (l == last ? net->output : net->value[l + 1]) + first;
        multiply_all(d[l + 1], wide, true,
                     (product){d[l], d[l + 1], net->transposed[l], net->bias[l], in, out, net->stride});
        if (l == last) return;
        float *slope = net->slope[l + 1] + first;
        if (net->apart[l])
            activate_apart(net, d[l + 1], wide * PV_LANES, out, slope);
        else
            for (int64_t u = 0; u < d[l + 1]; u++)
                sincos_kernel(wide * PV_LANES, out + u * net->stride, out + u * net->stride,
                              slope + u * net->stride);
        in = out;
    }
}

/* Turns outputs into residuals, zero beyond `count` samples, and slopes into gradients of the phases. */
PV_INLINE void backward_block(const pv_inr_net *net, const float *values, int first, int wide, int count)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int c = 0; c < d[last + 1]; c++) {
        float *output = net->output + (int64_t)c * net->stride;
        for (int s = first; s < first + wide * PV_LANES; s += PV_LANES)
            *pv_vector_aligned(output + s) -= pv_vector_load_aligned(values + (int64_t)c * net->stride + s);
        for (int s = count > first ? count : first; s < first + wide * PV_LANES; s++)
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
    for (; first + (WIDE - 1) * PV_LANES < count; first += WIDE * PV_LANES)
        forward_block(net, coords, first, WIDE);
    for (; first < count; first += PV_LANES)
        forward_block(net, coords, first, 1);
}

/* Dot products over samples of rows a with rows b, a matrix of gradients. */
typedef struct outer {
    const float *a, *b;
    int64_t stride;
    int vectors;
} outer;

/* sums[i][j] = a_i . b_j for GRAD_A rows a and `width` rows b; rows beyond `rows_a` repeat the last. */
PV_INLINE void dot_block(int width, outer o, int rows_a, float sums[GRAD_A][COLUMNS])
{
    pv_vector sum[GRAD_A][COLUMNS];
    const float *a[GRAD_A];
    for (int i = 0; i < GRAD_A; i++)
        a[i] = o.a + (i < rows_a ? i : rows_a - 1) * o.stride;
    for (int i = 0; i < GRAD_A; i++)
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = (pv_vector){0};
    for (int64_t s = 0; s < (int64_t)o.vectors * PV_LANES; s += PV_LANES) {
        pv_vector b[GRAD_B];
        for (int j = 0; j < width; j++)
            b[j] = pv_vector_load_aligned(o.b + j * o.stride + s);
        for (int i = 0; i < GRAD_A; i++)
            for (int j = 0; j < width; j++)
                sum[i][j] += pv_vector_load_aligned(a[i] + s) * b[j];
    }
    for (int g = 0; g < GRAD_SUMS; g += PV_LANES)
        *pv_vector_aligned(&sums[g / COLUMNS][0]) = pv_vector_sums(&sum[g / COLUMNS][0]);
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
PV_INLINE void sum_block(outer o, int rows, pv_vector *sum)
{
    const float *a[GRAD_A];
    pv_vector part[GRAD_A];
    for (int i = 0; i < GRAD_A; i++) {
        a[i] = o.a + (i < rows ? i : rows - 1) * o.stride;
        part[i] = (pv_vector){0};
    }
    for (int64_t s = 0; s < (int64_t)o.vectors * PV_LANES; s += PV_LANES)
        for (int i = 0; i < GRAD_A; i++)
            part[i] += pv_vector_load_aligned(a[i] + s);
    for (int i = 0; i < GRAD_A; i++)
        sum[i] = part[i];
}

/* gradient[i] += scale * the sum of row a_i. */
static void sum_all(outer o, int rows, float scale, float *gradient)
{
    for (int i = 0; i < rows; i += GRAD_SUMS) {
        const int high = rows - i < GRAD_SUMS ? rows - i : GRAD_SUMS;
        pv_vector sum[GRAD_SUMS] = {{0}};
        float sums[GRAD_SUMS] __attribute__((aligned(64)));
        for (int r = 0; r < high; r += GRAD_A)
            sum_block((outer){o.a + (i + r) * o.stride, NULL, o.stride, o.vectors}, high - r, sum + r);
        for (int g = 0; g < GRAD_SUMS; g += PV_LANES)
            *pv_vector_aligned(&sums[g]) = pv_vector_sums(&sum[g]);
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
    pv_vector sum = {0};
    for (int64_t c = 0; c < net->arch.dims[net->arch.layers]; c++)
        for (int64_t v = 0; v < vectors; v++) {
            const pv_vector error = pv_vector_load_aligned(net->output + c * net->stride + v * PV_LANES);
            sum += error * error;
        }
    for (int i = 0; i < PV_LANES; i++)
        total += (double)sum[i];
    return total;
}

static double gradient_kernel(const pv_inr_net *net, const float *coords, const float *values, int count,
                              float scale, float *gradient)
{
    int first = 0;
    for (; first + (WIDE - 1) * PV_LANES < count; first += WIDE * PV_LANES) {
        forward_block(net, coords, first, WIDE);
        backward_block(net, values, first, WIDE, count);
    }
    for (; first < count; first += PV_LANES) {
        forward_block(net, coords, first, 1);
        backward_block(net, values, first, 1, count);
    }
    weight_gradients(net, coords, first / PV_LANES, scale, gradient);
    return squared_error(net, first / PV_LANES);
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
    for (int i = 0; i < n; i += PV_LANES) {
        const pv_vector g = pv_vector_load_aligned(gradient + i);
        const pv_vector first =
            pv_vector_load_aligned(m + i) + (1 - beta1) * (g - pv_vector_load_aligned(m + i));
        const pv_vector second = pv_vector_load_aligned(v + i) * beta2 + (1 - beta2) * g * g;
        *pv_vector_aligned(m + i) = first;
        *pv_vector_aligned(v + i) = second;
        *pv_vector_aligned(row + i) -= step.rate * first / (pv_vector_sqrt(second) * step.root + eps);
    }
}

extern const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels);
const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels) = {
    sincos_kernel, load_kernel, forward_kernel, gradient_kernel, adam_kernel,
};
