/* Evaluation and a fit step in float32: forward, gradients, Adam. */
#include "pv_inr_kernels.h"
#include "simd/pv_tile.h"

#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
enum { MOST_UNITS = 8, WIDE = 3, GRAD_A = 4, GRAD_B = 4, UNROLL = 1 };
enum { DOWN = 12, ACROSS = 2, UNROLLED = 1, TOGETHER = 64, FEW = 2, APART = 4 };
#else
enum { MOST_UNITS = 4, WIDE = 3, GRAD_A = 4, GRAD_B = 3, UNROLL = 4 };
enum { DOWN = 3, ACROSS = 4, UNROLLED = 4, TOGETHER = 48, FEW = 3, APART = 1 };
#endif
#include "pv_inr_loops.h"
#if defined(__AVX2__)
#include "pv_inr_across.h"
#define IS_SEPARABLE is_separable
#else
#define IS_SEPARABLE NULL
#endif

#define ACTIVATE(name, loop)                                                                                 \
    static void name##_kernel(int n, const float *z, float *value, float *slope)                             \
    {                                                                                                        \
        activate_loop(loop, n, z, value, slope);                                                             \
    }
ACTIVATE(sincos, PV_LOOP_SINE)
ACTIVATE(relu, PV_LOOP_RELU)
ACTIVATE(gauss, PV_LOOP_GAUSS)

/* The output of `wide` vectors of samples from sample `first` on, with activations and slopes. */
PV_INLINE void forward_block(const pv_inr_net *net, const float *coords, int first, int wide)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const float *in = coords + first;
    for (int l = 0; l <= last; l++) {
        float *out = (l == last ? net->output : net->value[l + 1]) + first;
        multiply_all(PV_DOT_FLOAT32, MOST_UNITS, d[l + 1], wide, true,
                     (product){d[l], d[l + 1], net->transposed[l], net->bias[l], in, out, net->stride,
                               net->stride, 1});
        if (l == last) return;
        activate(net, l, wide * PV_LANES, out, net->slope[l + 1] + first);
        in = out;
    }
}

/* Turns outputs into residuals, zero beyond `count` samples, and slopes into gradients of the phases. */
PV_INLINE void backward_block(const pv_inr_net *net, const float *values, int first, int wide, int count)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    take_residuals(net, values, first, wide, count);
    for (int l = last; l > 0; l--) {
        const float *in = (l == last ? net->output : net->slope[l + 1]) + first;
        multiply_all(PV_DOT_FLOAT32, MOST_UNITS, d[l], wide, false,
                     (product){d[l + 1], d[l], net->weight[l], NULL, in, net->slope[l] + first, net->stride,
                               net->stride, 1});
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

static void weight_gradients(const pv_inr_net *net, const float *coords, int vectors, float scale,
                             float *gradient)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 0; l <= last; l++) {
        const float *delta = l == last ? net->output : net->slope[l + 1];
        const float *in = l == 0 ? coords : net->value[l];
        const float weight_scale = l == last ? scale : scale * net->scale;
        const outer o = {delta, in, net->stride, vectors};
        dot_floats(o, d[l + 1], d[l], weight_scale, gradient);
        gradient += d[l + 1] * d[l];
        sum_all(o, d[l + 1], weight_scale, gradient);
        gradient += d[l + 1];
    }
}

static __attribute__((noinline)) double add_gradient(const pv_inr_net *net, const float *coords,
                                                     const float *values, int count, float scale,
                                                     float *gradient)
{
    int first = 0;
#if defined(__AVX2__)
    if (fits_across(net)) return gradient_across(net, coords, values, count, scale, gradient);
#endif
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

/* Gaussians and their slopes become as small as a float can be, and so do the moments of weights whose
 * gradient stays 0. */
static double gradient_kernel(const pv_inr_net *net, const float *coords, const float *values, int count,
                              float scale, float *gradient)
{
    const unsigned mode = pv_mode_without_denormals();
    const double sum = add_gradient(net, coords, values, count, scale, gradient);
    pv_mode_restore(mode);
    return sum;
}

/* A row with what a step of Adam reads and writes beside it, from the tensor on that is being loaded. */
typedef struct state {
    const float *gradient;
    float *m, *v, *row;
} state;

/* The first n of a vector of weights after a step. */
PV_INLINE pv_vector take_step(int n, pv_inr_adam step, state s)
{
    const float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f;
    const pv_vector g = pv_vector_load_first(n, s.gradient), m = pv_vector_load_first(n, s.m);
    const pv_vector first = m + (1 - beta1) * (g - m);
    const pv_vector second = pv_vector_load_first(n, s.v) * beta2 + (1 - beta2) * g * g;
    pv_vector row = pv_vector_load_first(n, s.row);
    row -= step.rate * first / (pv_vector_sqrt(second) * step.root + eps);
    pv_vector_store_first(n, s.m, first);
    pv_vector_store_first(n, s.v, second);
    pv_vector_store_first(n, s.row, row);
    return row;
}

PV_INLINE state behind(state s, int n)
{
    return (state){s.gradient + n, s.m + n, s.v + n, s.row + n};
}

/* scaled = scale times the next n numbers of the row, after a step of Adam if one is given; returns the
 * largest |scaled| that is a number.  The processor divides and takes roots while it scales. */
PV_INLINE float load_tensor(const pv_inr_adam *step, int n, float scale, state *s, float *scaled)
{
    pv_vector most = {0};
    float largest = 0;
    int i = 0;
    for (; i + PV_LANES <= n; i += PV_LANES, *s = behind(*s, PV_LANES)) {
        const pv_vector y = (step ? take_step(PV_LANES, *step, *s) : pv_vector_load(s->row)) * scale;
        pv_vector_store(scaled + i, y);
        most = pv_vector_max(pv_vector_abs(y), most);
    }
    if (i < n) {
        const pv_vector y =
            (step ? take_step(n - i, *step, *s) : pv_vector_load_first(n - i, s->row)) * scale;
        pv_vector_store_first(n - i, scaled + i, y);
        most = pv_vector_max(pv_vector_abs(y), most);
        *s = behind(*s, n - i);
    }
    for (int l = 0; l < PV_LANES; l++)
        largest = most[l] > largest ? most[l] : largest;
    return largest;
}

PV_INLINE void load_net(const pv_inr_adam *step, pv_inr_net *net, state s)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 0; l <= last; l++) {
        const int rows = d[l + 1], cols = d[l];
        const float scale = l == last ? 1.0f : net->scale;
        const float weight = load_tensor(step, rows * cols, scale, &s, net->weight[l]);
        pv_tile_transpose_all(rows, cols, net->weight[l], cols, net->transposed[l], rows);
        const float bias = load_tensor(step, rows, scale, &s, net->bias[l]);
        for (int i = 0; l == last && i < rows; i++)
            net->bias[l][i] += net->arch.offset;
        /* Both ways carry NaN through. */
        const float reach = l == 0 ? net->reach : 1.0f;
        const float most = (float)cols * reach * weight + bias;
        net->apart[l] = net->loop == PV_LOOP_OWN || (net->loop == PV_LOOP_SINE && most > 0x1p21f);
    }
}

static void load_kernel(pv_inr_net *net, const float *row)
{
    load_net(NULL, net, (state){NULL, NULL, NULL, (float *)row});
}

static __attribute__((noinline)) void step_and_load(pv_inr_net *net, pv_inr_adam step, state s)
{
    load_net(&step, net, s);
}

static void adam_kernel(pv_inr_net *net, pv_inr_adam step, const float *gradient, float *m, float *v,
                        float *row)
{
    const unsigned mode = pv_mode_without_denormals();
    step_and_load(net, step, (state){gradient, m, v, row});
    pv_mode_restore(mode);
}

extern const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels);
const pv_inr_kernels PV_ISA_TABLE(pv_inr_kernels) = {
    {[PV_LOOP_SINE] = sincos_kernel, [PV_LOOP_RELU] = relu_kernel, [PV_LOOP_GAUSS] = gauss_kernel},
    load_kernel,
    forward_kernel,
    gradient_kernel,
    IS_SEPARABLE,
    adam_kernel,
};
