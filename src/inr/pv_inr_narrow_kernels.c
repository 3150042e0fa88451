/* A fit step whose hidden matrices are multiplied with operands of 16 bits. */
#include "pv_inr_narrow.h"
#include "simd/pv_tile.h"

#if defined(__AVX512F__)
enum { MOST_UNITS = 8, UNITS = 4, WIDE = 4, GRAD_A = 4, GRAD_B = 4, OUTER_ROWS = 8, UNROLL = 1 };
#else
enum { MOST_UNITS = 4, UNITS = 4, WIDE = 2, GRAD_A = 4, GRAD_B = 3, OUTER_ROWS = 4, UNROLL = 4 };
#endif
#include "pv_inr_loops.h"

#include <float.h>

/* The largest whole numbers of activations, slopes and weights, and what the absolute weights of a unit may
 * add up to for a sum of activations, and of slopes, to stay below 2^31. */
static const float VALUE_MOST = 8191, DELTA_MOST = 2047, WEIGHT_MOST = 32767, FORWARD_SUM = 262000,
                   BACK_SUM = 1048000;
enum { SUMMED = 64 }; /* pairs of an activation and a slope that may be added up */

/* An activation above 1 would leave the range of whole numbers. */
static float value_scale(pv_dot kind)
{
    return pv_dot_is_whole(kind) ? VALUE_MOST : 1;
}

/* A product of a kind with blocks of `wide` vectors, WIDE or 2.  Functions of their own, as its sums want all
 * registers. */
typedef void multiply_block(int units, int wide, product p);
#define MULTIPLY(name, kind, biased)                                                                         \
    static __attribute__((noinline)) void name(int units, int wide, product p)                               \
    {                                                                                                        \
        if (wide == WIDE)                                                                                    \
            multiply_all(kind, UNITS, units, WIDE, biased, p);                                               \
        else                                                                                                 \
            multiply_all(kind, MOST_UNITS, units, 2, biased, p);                                             \
    }
MULTIPLY(forward_float32, PV_DOT_FLOAT32, true)
MULTIPLY(back_float32, PV_DOT_FLOAT32, false)

/* gradient[i][j] += scale * the sum over n pairs of samples of a[i][] b[][j], `high` rows i and `wide`
 * vectors of columns j, of which `lanes` are wanted of the last. */
PV_INLINE void outer_block(pv_dot kind, int high, int wide, int lanes, int n, const float *a, int64_t step_a,
                           const float *b, int64_t step_b, float scale, float *gradient, int cols)
{
    pv_vector sum[OUTER_ROWS][2];
    for (int i = 0; i < high; i++)
        for (int v = 0; v < wide; v++)
            sum[i][v] = (pv_vector){0};
    for (int s = 0; s < n; s++, b += step_b) {
        pv_vector of_b[2];
        for (int v = 0; v < wide; v++)
            of_b[v] = pv_vector_load_aligned(b + v * PV_LANES);
        for (int i = 0; i < high; i++)
            for (int v = 0; v < wide; v++)
                sum[i][v] = pv_dot_add(kind, sum[i][v], pv_dot_splat(kind, a + i * step_a + s), of_b[v]);
    }
    for (int i = 0; i < high; i++)
        for (int v = 0; v < wide; v++) {
            float *at = gradient + i * cols + v * PV_LANES;
            const int count = v < wide - 1 ? PV_LANES : lanes;
            const pv_vector all = pv_dot_sum(kind, sum[i][v]) * scale + pv_vector_load_first(count, at);
            pv_vector_store_first(count, at, all);
        }
}

/* The products of a precision. */
typedef struct narrow_products {
    multiply_block *forward, *back;
    /* gradient [rows][cols] += scale * a b, of n pairs of samples. */
    void (*outer)(int rows, int cols, int n, const float *a, int64_t step_a, const float *b, int64_t step_b,
                  float scale, float *gradient);
} narrow_products;

PV_INLINE void outer_rows(pv_dot kind, int high, int cols, int n, const float *a, int64_t step_a,
                          const float *b, int64_t step_b, float scale, float *gradient)
{
    int j = 0;
    for (; j + 2 * PV_LANES <= cols; j += 2 * PV_LANES)
        outer_block(kind, high, 2, PV_LANES, n, a, step_a, b + j, step_b, scale, gradient + j, cols);
    if (j + PV_LANES < cols)
        outer_block(kind, high, 2, cols - j - PV_LANES, n, a, step_a, b + j, step_b, scale, gradient + j,
                    cols);
    else if (j < cols)
        outer_block(kind, high, 1, cols - j, n, a, step_a, b + j, step_b, scale, gradient + j, cols);
}

PV_INLINE void outer_all(pv_dot kind, int rows, int cols, int n, const float *a, int64_t step_a,
                         const float *b, int64_t step_b, float scale, float *gradient)
{
    for (int s = 0; s < n; s += SUMMED, a += SUMMED, b += SUMMED * step_b) {
        const int some = n - s < SUMMED ? n - s : SUMMED;
        int i = 0;
        for (; i + OUTER_ROWS <= rows; i += OUTER_ROWS)
            outer_rows(kind, OUTER_ROWS, cols, some, a + i * step_a, step_a, b, step_b, scale,
                       gradient + i * cols);
        for (; i < rows; i++)
            outer_rows(kind, 1, cols, some, a + i * step_a, step_a, b, step_b, scale, gradient + i * cols);
    }
}

/* Pairs of rows of a matrix, [ceil(rows / 2)][cols]. */
PV_INLINE void pack_matrix(pv_dot kind, float scale, int rows, int cols, const float *matrix, float *pairs)
{
    for (int i = 0; i < rows; i += 2, matrix += 2 * cols, pairs += cols)
        for (int j = 0; j < cols; j += PV_LANES) {
            const int n = cols - j < PV_LANES ? cols - j : PV_LANES;
            const pv_vector low = pv_vector_load_first(n, matrix + j);
            const pv_vector high = i + 1 < rows ? pv_vector_load_first(n, matrix + cols + j) : (pv_vector){0};
            pv_vector_store_first(n, pairs + j, pv_dot_pair(kind, scale, low, high));
        }
}

PV_INLINE pv_vector larger(pv_vector most, pv_vector x)
{
    return pv_vector_max((pv_vector)((pv_bits)x & UINT32_C(0x7fffffff)), most);
}

/* The largest |x| of `rows` rows of n numbers, those of rows of more than one in whole pairs of vectors. */
static float largest(int rows, int n, const float *x, int64_t stride)
{
    pv_vector most[4] = {{0}};
    float value = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i += 2 * PV_LANES) {
            pv_vector *const one = most + (r & 1) * 2;
            one[0] = larger(one[0], pv_vector_load_aligned(x + r * stride + i));
            one[1] = larger(one[1], pv_vector_load_aligned(x + r * stride + i + PV_LANES));
        }
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < PV_LANES; i++)
            value = most[k][i] > value ? most[k][i] : value;
    return value;
}

/* The largest sum of |x| over a column, and the largest |x|. */
static float most_of_columns(int rows, int cols, const float *matrix, float *largest_one)
{
    float most = 0;
    *largest_one = 0;
    for (int j = 0; j < cols; j += PV_LANES) {
        const int n = cols - j < PV_LANES ? cols - j : PV_LANES;
        pv_vector sum = {0}, one = {0};
        for (int i = 0; i < rows; i++) {
            const pv_vector x = pv_vector_abs(pv_vector_load_first(n, matrix + i * cols + j));
            sum += x;
            one = pv_vector_max(x, one);
        }
        for (int k = 0; k < n; k++) {
            most = sum[k] > most ? sum[k] : most;
            *largest_one = one[k] > *largest_one ? one[k] : *largest_one;
        }
    }
    return most;
}

/* 0, or NaN where one of n numbers is not finite: a whole number would hide it. */
static float flaw(int n, const float *x)
{
    pv_vector sum = {0};
    float value = 0;
    for (int i = 0; i < n; i += PV_LANES)
        sum += pv_vector_load_first(n - i < PV_LANES ? n - i : PV_LANES, x + i) * 0;
    for (int i = 0; i < PV_LANES; i++)
        value += sum[i];
    return value;
}

PV_INLINE void pack(pv_dot kind, const pv_inr_net *net, pv_inr_narrow *narrow)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    float flaws = 0;
    for (int l = 0; l < last && pv_dot_is_whole(kind); l++)
        flaws += flaw(d[l + 1] * d[l], net->weight[l]) + flaw(d[l + 1], net->bias[l]);
    for (int l = 1; l < last; l++) {
        const float *weight = net->weight[l], *transposed = net->transposed[l];
        float scale = 1;
        if (pv_dot_is_whole(kind)) {
            float one;
            const float in = most_of_columns(d[l], d[l + 1], transposed, &one);
            const float out = most_of_columns(d[l + 1], d[l], weight, &one);
            scale = fminf(fminf(FORWARD_SUM / in, BACK_SUM / out), WEIGHT_MOST / one) + flaws;
            if (one < FLT_MIN * 0x1p16f) scale = 1 + flaws; /* all but 0 */
        }
        narrow->scale[l] = scale;
        pack_matrix(kind, scale, d[l], d[l + 1], transposed, narrow->forward[l]);
        pack_matrix(kind, scale, d[l + 1], d[l], weight, narrow->back[l]);
    }
}

/* Operands of `units` rows of `wide` vectors of samples from sample `first` on: pairs of units, and in rows
 * of `samples`, `step` apart, pairs of samples. */
PV_INLINE void pack_block(pv_dot kind, const pv_inr_narrow *narrow, float scale, int units, int wide,
                          const float *in, int64_t stride, float *samples, int64_t step)
{
    float *pairs = narrow->units;
    for (int u = 0; u < units; u += 2, pairs += PV_INR_NARROW_BLOCK) {
        const float *low = in + u * stride, *high = low + stride;
        float *const a = samples + u * step, *const b = a + step;
        for (int s = 0; s < wide * PV_LANES; s += 2 * PV_LANES) {
            pv_vector pair[2], even, odd;
            for (int i = 0; i < 2; i++) {
                const int at = s + i * PV_LANES;
                pair[i] = pv_dot_pair(kind, scale, pv_vector_load_aligned(low + at),
                                      u + 1 < units ? pv_vector_load_aligned(high + at) : (pv_vector){0});
                *pv_vector_aligned(pairs + at) = pair[i];
            }
            pv_dot_regroup(pair[0], pair[1], &even, &odd);
            *pv_vector_aligned(a + s / 2) = even;
            if (u + 1 < units) *pv_vector_aligned(b + s / 2) = odd;
        }
    }
}

/* The same of activations, whose pairs of samples are kept with the units beside each other. */
PV_INLINE void pack_values(pv_dot kind, const pv_inr_net *net, const pv_inr_narrow *narrow, int l, int first,
                           int wide)
{
    const int units = net->arch.dims[l], step = narrow->step[l];
    pack_block(kind, narrow, value_scale(kind), units, wide, net->value[l] + first, net->stride,
               narrow->turning, PV_INR_NARROW_BLOCK / 2);
    for (int s = 0; s < wide * PV_LANES / 2; s += PV_LANES)
        for (int u = 0; u < units; u += PV_LANES)
            pv_tile_transpose(narrow->turning + u * (PV_INR_NARROW_BLOCK / 2) + s, PV_INR_NARROW_BLOCK / 2,
                              narrow->value[l] + (int64_t)(first / 2 + s) * step + u, step);
}

/* The output of `wide` vectors of samples from sample `first` on, with activations and slopes, and operands
 * of activations. */
PV_INLINE void forward_block(pv_dot kind, const narrow_products *products, const pv_inr_net *net,
                             const pv_inr_narrow *narrow, const float *coords, int first, int wide)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    product p = {.in = coords + first, .stride = net->stride};
    for (int l = 0; l <= last; l++) {
        float *out = (l == last ? net->output : net->value[l + 1]) + first;
        p.step = d[l + 1], p.bias = net->bias[l], p.out = out;
        if (l > 0 && l < last) {
            p.depth = (d[l] + 1) / 2, p.weight = narrow->forward[l];
            p.in = narrow->units, p.in_stride = PV_INR_NARROW_BLOCK;
            p.factor = 1 / (narrow->scale[l] * value_scale(kind));
            products->forward(d[l + 1], wide, p);
        } else {
            p.depth = d[l], p.weight = net->transposed[l], p.in_stride = net->stride;
            forward_float32(d[l + 1], wide, p);
        }
        if (l == last) return;
        activate(net, l, wide * PV_LANES, out, net->slope[l + 1] + first);
        if (l + 1 < last) pack_values(kind, net, narrow, l + 1, first, wide);
        p.in = out;
    }
}

/* Residuals, and the gradients of the last layer's input. */
PV_INLINE void turn_block(const pv_inr_net *net, const float *values, int first, int wide, int count)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    take_residuals(net, values, first, wide, count);
    if (last > 0)
        back_float32(d[last], wide,
                     (product){d[last + 1], d[last], net->weight[last], NULL, net->output + first,
                               net->slope[last] + first, net->stride, net->stride, 1});
}

/* Gradients of phases through matrix l, with slopes taken as whole numbers times `scale`. */
PV_INLINE void backward_block(pv_dot kind, const narrow_products *products, const pv_inr_net *net,
                              const pv_inr_narrow *narrow, int l, float scale, float factor, int first,
                              int wide)
{
    const int *d = net->arch.dims;
    pack_block(kind, narrow, scale, d[l + 1], wide, net->slope[l + 1] + first, net->stride,
               narrow->delta + first / 2, narrow->half);
    products->back(d[l], wide,
                   (product){(d[l + 1] + 1) / 2, d[l], narrow->back[l], NULL, narrow->units,
                             net->slope[l] + first, net->stride, PV_INR_NARROW_BLOCK, factor});
}

/* What makes whole numbers of the slopes of layer l. */
static float delta_scale(pv_dot kind, const pv_inr_net *net, int l, int vectors)
{
    if (!pv_dot_is_whole(kind)) return 1;
    const float most = largest(net->arch.dims[l], vectors * PV_LANES, net->slope[l], net->stride);
    return most > FLT_MIN * 0x1p16f ? DELTA_MOST / most : 0;
}

/* Blocks of WIDE vectors, or of two at the end. */
#define EACH_BLOCK(count, call)                                                                              \
    for (int first = 0; first < (count);) {                                                                  \
        const bool full = (count)-first > 2 * PV_LANES;                                                      \
        if (full)                                                                                            \
            call(first, WIDE);                                                                               \
        else                                                                                                 \
            call(first, 2);                                                                                  \
        first += (full ? WIDE : 2) * PV_LANES;                                                               \
    }

/* Back through hidden matrix l, and its gradient. */
PV_INLINE void backward(pv_dot kind, const narrow_products *products, const pv_inr_net *net,
                        const pv_inr_narrow *narrow, int l, int vectors, float scale, float *gradient)
{
    const int *d = net->arch.dims;
    const float whole = delta_scale(kind, net, l + 1, vectors);
    const float back = whole > 0 ? 1 / whole : 0, factor = back / narrow->scale[l];
#define BLOCK(first, wide) backward_block(kind, products, net, narrow, l, whole, factor, first, wide)
    EACH_BLOCK(vectors * PV_LANES, BLOCK)
#undef BLOCK
    products->outer(d[l + 1], d[l], vectors / 2 * PV_LANES, narrow->delta, narrow->half, narrow->value[l],
                    narrow->step[l], scale * back / value_scale(kind), gradient);
}

PV_INLINE double gradient_of(pv_dot kind, const narrow_products *products, const pv_inr_net *net,
                             const pv_inr_narrow *narrow, const float *coords, const float *values, int count,
                             float scale, float *gradient)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const int vectors = (count + 2 * PV_LANES - 1) / (2 * PV_LANES) * 2;
#define BLOCK(first, wide)                                                                                   \
    forward_block(kind, products, net, narrow, coords, first, wide),                                         \
        turn_block(net, values, first, wide, count)
    EACH_BLOCK(count, BLOCK)
#undef BLOCK
    gradient += pv_arch_params(&net->arch);
    for (int l = last; l >= 0; l--) {
        const float *delta = l == last ? net->output : net->slope[l + 1];
        const outer o = {delta, l == 0 ? coords : net->value[l], net->stride, vectors};
        const float weight_scale = l == last ? scale : scale * net->scale;
        gradient -= d[l + 1];
        sum_all(o, d[l + 1], weight_scale, gradient);
        gradient -= d[l + 1] * d[l];
        if (l > 0 && l < last)
            backward(kind, products, net, narrow, l, vectors, weight_scale, gradient);
        else
            dot_floats(o, d[l + 1], d[l], weight_scale, gradient);
    }
    return squared_error(net, vectors);
}

#define LOOPS(name, kind)                                                                                    \
    MULTIPLY(forward_##name, kind, true)                                                                     \
    MULTIPLY(back_##name, kind, false)                                                                       \
    static __attribute__((noinline)) void outer_##name(int rows, int cols, int n, const float *a,            \
                                                       int64_t step_a, const float *b, int64_t step_b,       \
                                                       float scale, float *gradient)                         \
    {                                                                                                        \
        outer_all(kind, rows, cols, n, a, step_a, b, step_b, scale, gradient);                               \
    }                                                                                                        \
    static void pack_##name(const pv_inr_net *net, pv_inr_narrow *narrow)                                    \
    {                                                                                                        \
        pack(kind, net, narrow);                                                                             \
    }                                                                                                        \
    static double gradient_##name(const pv_inr_net *net, const pv_inr_narrow *narrow, const float *coords,   \
                                  const float *values, int count, float scale, float *gradient)              \
    {                                                                                                        \
        static const narrow_products products = {forward_##name, back_##name, outer_##name};                 \
        return gradient_of(kind, &products, net, narrow, coords, values, count, scale, gradient);            \
    }
LOOPS(bfloat16, PV_DOT_BFLOAT16)
LOOPS(int16, PV_DOT_INT16)
#if defined(__AVX512F__)
LOOPS(bfloat16_own, PV_DOT_BFLOAT16_X86)
LOOPS(int16_own, PV_DOT_INT16_X86)
#endif

/* Whether the processor's bfloat16 products round as the plain ones do. */
static bool bfloat16_is_plain(void)
{
#if defined(__AVX512F__)
    pv_bits random = pv_lane_numbers * UINT32_C(2654435761) + 1, differ = {0};
    pv_vector own = {0}, plain = {0};
    for (int round = 0; round < 4096; round++) {
        pv_vector operand[2];
        for (int i = 0; i < 2; i++) { /* signs, fractions and exponents from 2^-15 to 1 */
            random = random * UINT32_C(1664525) + UINT32_C(1013904223);
            operand[i] = (pv_vector)((random & UINT32_C(0x87ff87ff)) | UINT32_C(0x38003800));
        }
        own = pv_dot_add(PV_DOT_BFLOAT16_X86, own, operand[0], operand[1]);
        plain = pv_dot_add(PV_DOT_BFLOAT16, plain, operand[0], operand[1]);
        differ |= (pv_bits)own ^ (pv_bits)plain;
    }
    for (int i = 0; i < PV_LANES; i++)
        if (differ[i] != 0) return false;
    return true;
#else
    return false;
#endif
}

extern const pv_inr_narrow_kernels PV_ISA_TABLE(pv_inr_narrow_kernels);
const pv_inr_narrow_kernels PV_ISA_TABLE(pv_inr_narrow_kernels) = {
    .bfloat16_is_plain = bfloat16_is_plain,
    .bfloat16 = {pack_bfloat16, gradient_bfloat16},
    .int16 = {pack_int16, gradient_int16},
#if defined(__AVX512F__)
    .bfloat16_own = {pack_bfloat16_own, gradient_bfloat16_own},
    .int16_own = {pack_int16_own, gradient_int16_own},
#endif
};
