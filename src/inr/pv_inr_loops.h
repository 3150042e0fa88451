/* The loops that the fit kernels of every precision are made of.  Vectors run over samples.  For kernel files
 * (*_kernels.c) of the room only, which say first how large their blocks are: a block of at most MOST_UNITS
 * units and WIDE vectors of sums stays in registers, with room for WIDE vectors of input and a broadcast
 * weight; GRAD_A x GRAD_B likewise for the dot products over samples.  UNROLL inputs share the counting of a
 * loop: where threads share a core, what is left to one of them is instructions. */
#ifndef PV_INR_LOOPS_H
#define PV_INR_LOOPS_H

#include "pv_inr_net.h"
#include "simd/pv_dot.h"

#include <math.h>

enum {
    COLUMNS = 4,                  /* of a block of sums in memory, at least GRAD_B */
    GRAD_SUMS = GRAD_A * COLUMNS, /* a multiple of PV_LANES */
};

PV_INLINE pv_vector relu_of(pv_vector z)
{
    return pv_vector_max((pv_vector){0}, z); /* in this order NaN stays */
}

/* What of `gradient` comes through, by z or by what the activation made of it. */
PV_INLINE pv_vector relu_passes(pv_vector z, pv_vector gradient)
{
    return pv_vector_keep(pv_vector_greater(z, (pv_vector){0}), gradient);
}

PV_INLINE void relu_vector(pv_vector z, pv_vector *value, pv_vector *slope)
{
    *slope = relu_passes(z, pv_vector_splat(1));
    *value = relu_of(z);
}

/* 0 from |z| = 8 on, where exp(-z^2) is below 2e-28: products with numbers as small as it becomes would be
 * denormal, which processors are slow at. */
PV_INLINE void gauss_vector(pv_vector z, pv_vector *value, pv_vector *slope)
{
    const pv_vector square = z * z;
    const pv_mask none = pv_vector_greater(square, pv_vector_splat(64));
    const pv_vector y = pv_vector_choose(none, (pv_vector){0}, pv_vector_exp(-square));
    *slope = -2.0f * z * y;
    *value = y;
}

/* What the activation of a loop makes of z. */
PV_INLINE void activate_vector(pv_activation_loop loop, pv_vector z, pv_vector *value, pv_vector *slope)
{
    if (loop == PV_LOOP_SINE)
        pv_vector_sine_slope(z, value, slope);
    else if (loop == PV_LOOP_RELU)
        relu_vector(z, value, slope);
    else
        gauss_vector(z, value, slope);
}

PV_INLINE void activate_loop(pv_activation_loop loop, int n, const float *z, float *value, float *slope)
{
    for (int i = 0; i < n; i += PV_LANES)
        activate_vector(loop, pv_vector_load_aligned(z + i), pv_vector_aligned(value + i),
                        pv_vector_aligned(slope + i));
}

/* Another activation, or the sine of phases of any size, for `units` rows of n samples.  Not inlined: it
 * would crowd the loop beside it. */
static __attribute__((noinline)) void activate_apart(const pv_inr_net *net, int units, int n, float *value,
                                                     float *slope)
{
    const double pi = 3.14159265358979323846;
    for (int u = 0; u < units; u++, value += net->stride, slope += net->stride) {
        if (net->loop == PV_LOOP_OWN) {
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

/* What layer l, one of the hidden ones, makes of the phases in `units` rows of n numbers of `value`. */
PV_INLINE void activate_rows(const pv_inr_net *net, int l, int units, int n, float *value, float *slope)
{
    if (net->apart[l])
        activate_apart(net, units, n, value, slope);
    else if (net->loop == PV_LOOP_SINE)
        for (int64_t u = 0; u < units; u++)
            activate_loop(PV_LOOP_SINE, n, value + u * net->stride, value + u * net->stride,
                          slope + u * net->stride);
    else if (net->loop == PV_LOOP_RELU)
        for (int64_t u = 0; u < units; u++)
            activate_loop(PV_LOOP_RELU, n, value + u * net->stride, value + u * net->stride,
                          slope + u * net->stride);
    else
        for (int64_t u = 0; u < units; u++)
            activate_loop(PV_LOOP_GAUSS, n, value + u * net->stride, value + u * net->stride,
                          slope + u * net->stride);
}

/* Of all its units, in their first n samples. */
PV_INLINE void activate(const pv_inr_net *net, int l, int n, float *value, float *slope)
{
    activate_rows(net, l, net->arch.dims[l + 1], n, value, slope);
}

/* units x wide vectors of sums over `depth` inputs: out = bias + weight^T in, or out *= weight^T in where
 * there is no bias (the chain rule through a sine).  weight is [depth][step]; in and out have rows of
 * `stride`.  Inputs may be pairs of operands (pv_dot.h), whose sums of whole numbers are `factor` apart. */
typedef struct product {
    int depth, step;
    const float *weight, *bias, *in;
    float *out;
    int64_t stride, in_stride;
    float factor;
} product;

PV_INLINE void multiply(pv_dot kind, int units, int wide, bool biased, product p)
{
    const bool whole = pv_dot_is_whole(kind), first = biased && kind == PV_DOT_FLOAT32;
    pv_vector sum[MOST_UNITS][WIDE];
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++)
            sum[u][v] = first ? pv_vector_splat(p.bias[u]) : (pv_vector){0};
#pragma GCC unroll UNROLL
    for (int k = 0; k < p.depth; k++) {
        pv_vector in[WIDE];
        for (int v = 0; v < wide; v++)
            in[v] = pv_vector_load_aligned(p.in + v * PV_LANES);
        for (int u = 0; u < units; u++)
            for (int v = 0; v < wide; v++)
                sum[u][v] = pv_dot_add(kind, sum[u][v], pv_dot_splat(kind, &p.weight[u]), in[v]);
        p.in += p.in_stride;
        p.weight += p.step;
    }
    for (int u = 0; u < units; u++)
        for (int v = 0; v < wide; v++) {
            pv_vector *out = pv_vector_aligned(p.out + u * p.stride + v * PV_LANES);
            pv_vector done = pv_dot_sum(kind, sum[u][v]);
            if (whole) done *= p.factor;
            if (biased && !first) done += p.bias[u];
            if (biased)
                *out = done;
            else
                *out *= done;
        }
}

PV_INLINE product next_units(product p, int units)
{
    p.weight += units;
    if (p.bias) p.bias += units;
    p.out += units * p.stride;
    return p;
}

/* For all units, `block` of them at a time. */
PV_INLINE void multiply_all(pv_dot kind, int block, int units, int wide, bool biased, product p)
{
    for (; units >= block; units -= block, p = next_units(p, block))
        multiply(kind, block, wide, biased, p);
    for (; block > 4 && units >= 4; units -= 4, p = next_units(p, 4))
        multiply(kind, 4, wide, biased, p);
    for (; units > 0; units--, p = next_units(p, 1))
        multiply(kind, 1, wide, biased, p);
}

/* Turns the outputs of `wide` vectors of samples from sample `first` on into residuals, zero beyond `count`
 * samples. */
PV_INLINE void take_residuals(const pv_inr_net *net, const float *values, int first, int wide, int count)
{
    for (int c = 0; c < net->arch.dims[net->arch.layers]; c++) {
        float *output = net->output + (int64_t)c * net->stride;
        for (int s = first; s < first + wide * PV_LANES; s += PV_LANES)
            *pv_vector_aligned(output + s) -= pv_vector_load_aligned(values + (int64_t)c * net->stride + s);
        for (int s = count > first ? count : first; s < first + wide * PV_LANES; s++)
            output[s] = 0;
    }
}

/* Dot products over samples of rows a with rows b, a matrix of gradients. */
typedef struct outer {
    const float *a, *b;
    int64_t stride;
    int vectors;
} outer;

/* sums[i][j] = a_i . b_j for GRAD_A rows a and `width` rows b; rows beyond `rows_a` repeat the last. */
PV_INLINE void dot_block(pv_dot kind, int width, outer o, int rows_a, float sums[GRAD_A][COLUMNS])
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
                sum[i][j] = pv_dot_add(kind, sum[i][j], pv_vector_load_aligned(a[i] + s), b[j]);
    }
    for (int i = 0; i < GRAD_A; i++)
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = pv_dot_sum(kind, sum[i][j]);
    for (int g = 0; g < GRAD_SUMS; g += PV_LANES)
        *pv_vector_aligned(&sums[g / COLUMNS][0]) = pv_vector_sums(&sum[g / COLUMNS][0]);
}

/* gradient[i * step_a + j * step_b] += scale * a_i . b_j for all rows a and b. */
PV_INLINE void dot_all(pv_dot kind, outer o, int rows_a, int rows_b, float scale, float *gradient, int step_a,
                       int step_b)
{
    for (int i = 0; i < rows_a; i += GRAD_A, o.a += GRAD_A * o.stride) {
        const int high = rows_a - i < GRAD_A ? rows_a - i : GRAD_A;
        outer part = o;
        for (int j = 0; j < rows_b;) {
            float sums[GRAD_A][COLUMNS] __attribute__((aligned(64)));
            const int width = rows_b - j < GRAD_B ? rows_b - j : GRAD_B;
            if (width == GRAD_B)
                dot_block(kind, GRAD_B, part, high, sums);
            else if (width == 3)
                dot_block(kind, 3, part, high, sums);
            else if (width == 2)
                dot_block(kind, 2, part, high, sums);
            else
                dot_block(kind, 1, part, high, sums);
            for (int p = 0; p < high; p++)
                for (int q = 0; q < width; q++)
                    gradient[(i + p) * step_a + (j + q) * step_b] += scale * sums[p][q];
            part.b += width * o.stride;
            j += width;
        }
    }
}

/* The same of a matrix of floats, rows_a x rows_b of `gradient`. */
static __attribute__((unused)) void dot_floats(outer o, int rows_a, int rows_b, float scale, float *gradient)
{
    if (rows_a < GRAD_A && rows_b > rows_a) /* the longer side fills the block */
        dot_all(PV_DOT_FLOAT32, (outer){o.b, o.a, o.stride, o.vectors}, rows_b, rows_a, scale, gradient, 1,
                rows_b);
    else
        dot_all(PV_DOT_FLOAT32, o, rows_a, rows_b, scale, gradient, rows_b, 1);
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
static __attribute__((unused)) void sum_all(outer o, int rows, float scale, float *gradient)
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

#endif
