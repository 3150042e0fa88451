/* A fit step whose hidden matrices are multiplied as squares of bfloat16. */
#include "pv_inr_narrow.h"
#include "simd/pv_amx.h"
#include "simd/pv_tile.h"

#if defined(__AVX512F__)
enum { MOST_UNITS = 8, WIDE = 4, GRAD_A = 4, GRAD_B = 4, UNROLL = 1 };
#else
enum { MOST_UNITS = 4, WIDE = 2, GRAD_A = 4, GRAD_B = 3, UNROLL = 4 };
#endif
#include "pv_inr_loops.h"

enum {
    SIDE = PV_AMX_SIDE,
    LEAST = 2 * SIDE, /* samples: the depth of a square */
    AWAKE = 16,       /* units that loops take before they call pv_amx_stay_awake() */
};

/* ---- operands */

/* Who rounds them. */
PV_INLINE pv_dot kind_of(bool own)
{
    return own ? PV_DOT_BFLOAT16_X86 : PV_DOT_BFLOAT16;
}

PV_INLINE pv_vector first_of(int n, const float *x)
{
    return n > 0 ? pv_vector_load_first(n < PV_LANES ? n : PV_LANES, x) : (pv_vector){0};
}

/* Rows of a matrix, whose columns are units. */
PV_INLINE void pack_matrix(pv_dot kind, int rows, int cols, const float *matrix, float *pairs)
{
    for (int r = 0; r < rows; r++, matrix += cols)
        for (int c = 0; c < cols; c += 2 * SIDE)
            for (int i = 0; i < SIDE; i += PV_LANES, pairs += PV_LANES) {
                const int low = c + i, high = low + SIDE;
                *pv_vector_aligned(pairs) = pv_dot_pair(kind, 1, first_of(cols - low, matrix + low),
                                                        first_of(cols - high, matrix + high));
            }
}

/* `samples` numbers of two units as pairs of the units, and as pairs of samples: two vectors of each make
 * one. */
PV_INLINE void pack_units(pv_dot kind, int samples, bool has_low, bool has_high, const float *low,
                          const float *high, float *pairs, float *low_samples, float *high_samples)
{
    for (int s = 0; s < samples; s += 2 * PV_LANES) {
        pv_vector pair[2], even, odd;
        for (int i = 0; i < 2; i++) {
            const int at = s + i * PV_LANES;
            pair[i] = pv_dot_pair(kind, 1, has_low ? pv_vector_load_aligned(low + at) : (pv_vector){0},
                                  has_high ? pv_vector_load_aligned(high + at) : (pv_vector){0});
            *pv_vector_aligned(pairs + at) = pair[i];
        }
        pv_dot_regroup(pair[0], pair[1], &even, &odd);
        *pv_vector_aligned(low_samples + s / 2) = even;
        *pv_vector_aligned(high_samples + s / 2) = odd;
    }
}

/* Rows of `stride` of numbers of `units` units: squares->units, and their pairs of samples. */
PV_INLINE void pack_rows(bool own, const pv_inr_squares *squares, int units, int samples, const float *in,
                         int64_t stride, float *of_samples)
{
    const pv_dot kind = kind_of(own);
    float *pairs = squares->units;
    for (int u = 0; u < units; u += 2 * SIDE)
        for (int i = u; i < u + SIDE; i++, pairs += PV_INR_SQUARES_BLOCK) {
            const float *low = in + i * stride, *high = low + SIDE * stride;
            float *const a = of_samples + (int64_t)i * PV_INR_SQUARES_WORDS;
            float *const b = a + SIDE * PV_INR_SQUARES_WORDS;
            if (i + SIDE < units)
                pack_units(kind, samples, true, true, low, high, pairs, a, b);
            else if (i < units)
                pack_units(kind, samples, true, false, low, low, pairs, a, b);
            else
                pack_units(kind, samples, false, false, in, in, pairs, a, b);
        }
}

/* Pairs of samples [units][samples] turned into [samples][units]. */
PV_INLINE void turn(int units, int samples, const float *of_units, float *of_samples)
{
    const int step = pv_inr_squares_units(units);
    for (int s = 0; s < samples / 2; s += PV_LANES)
        for (int u = 0; u < step; u += PV_LANES)
            pv_tile_transpose(of_units + u * PV_INR_SQUARES_WORDS + s, PV_INR_SQUARES_WORDS,
                              of_samples + (int64_t)s * step + u, step);
}

/* ---- sums in lanes */

/* sum += `wide` vectors, times those of another row if there is one. */
PV_INLINE void add_lanes(int wide, const pv_vector *a, const float *b, float *sum)
{
    pv_vector all = pv_vector_load_aligned(sum);
    for (int v = 0; v < wide; v++)
        if (b)
            all += a[v] * pv_vector_load_aligned(b + v * PV_LANES);
        else
            all += a[v];
    *pv_vector_aligned(sum) = all;
}

/* From slopes of unit u of layer l + 1, the gradients of its bias and of its weights for the first
 * `inputs` units of layer l, whose rows begin with `in`. */
PV_INLINE void add_unit(int wide, int inputs, const pv_inr_squares *squares, int l, int64_t u,
                        const pv_vector *delta, const float *in)
{
    const int *d = squares->net.arch.dims;
    float *const sum = squares->sums[l] + (d[l + 1] + u * d[l]) * PV_LANES;
    add_lanes(wide, delta, NULL, squares->sums[l] + u * PV_LANES);
    for (int64_t i = 0; i < inputs; i++)
        add_lanes(wide, delta, in + i * squares->net.stride, sum + i * PV_LANES);
}

/* CALL(wide, first) for blocks of WIDE vectors of samples, or of two at the end. */
#define EACH_BLOCK(samples, CALL)                                                                            \
    for (int first_ = 0; first_ < (samples);) {                                                              \
        if ((samples)-first_ >= WIDE * PV_LANES) {                                                           \
            CALL(WIDE, first_);                                                                              \
            first_ += WIDE * PV_LANES;                                                                       \
        } else {                                                                                             \
            CALL(2, first_);                                                                                 \
            first_ += 2 * PV_LANES;                                                                          \
        }                                                                                                    \
    }

/* ---- the way forward and back through a hidden matrix */

PV_INLINE void forward_hidden(bool own, const pv_inr_squares *squares, int l, int samples)
{
    const int *d = squares->net.arch.dims, pairs = pv_inr_squares_pairs(d[l]);
    pv_amx_multiply_all(own, pv_inr_squares_units(d[l + 1]) / SIDE, samples / SIDE,
                        (pv_amx_product){.depth = pairs / SIDE,
                                         .a = squares->forward[l],
                                         .a_row = pairs,
                                         .b = squares->units,
                                         .b_row = PV_INR_SQUARES_BLOCK,
                                         .start = squares->bias[l],
                                         .start_row = SIDE,
                                         .c = squares->work,
                                         .c_row = PV_INR_SQUARES_BLOCK});
}

/* From the residuals: the gradients of the last layer, and the slopes of the one before with the gradient
 * of its biases, and of its weights from the first `inputs` units before it. */
PV_INLINE void turn_outputs(int wide, int outputs, int inputs, const pv_inr_squares *squares, int first)
{
    const pv_inr_net *net = &squares->net;
    const int last = net->arch.layers - 1, units = net->arch.dims[last];
    const float *residual = net->output + first, *value = net->value[last] + first;
    float *slope = net->slope[last] + first;
    for (int64_t u = 0; u < units; u++, slope += net->stride, value += net->stride) {
        pv_vector delta[WIDE] = {{0}};
        for (int64_t c = 0; c < outputs; c++) {
            float *const sum = squares->sums[last] + (outputs + c * units + u) * PV_LANES;
            pv_vector all = pv_vector_load_aligned(sum);
            for (int v = 0; v < wide; v++) {
                const pv_vector r = pv_vector_load_aligned(residual + c * net->stride + v * PV_LANES);
                all += r * pv_vector_load_aligned(value + v * PV_LANES);
                delta[v] += net->weight[last][c * units + u] * r;
            }
            *pv_vector_aligned(sum) = all;
        }
        for (int v = 0; v < wide; v++) {
            delta[v] *= pv_vector_load_aligned(slope + v * PV_LANES);
            *pv_vector_aligned(slope + v * PV_LANES) = delta[v];
        }
        add_unit(wide, inputs, squares, last - 1, u, delta, squares->coords + first);
    }
}

/* From the residuals: the last layer's biases, its weights, and the slopes of the layer before, if any. */
PV_INLINE void add_outputs(int wide, const pv_inr_squares *squares, int first)
{
    const pv_inr_net *net = &squares->net;
    const int last = net->arch.layers - 1;
    for (int64_t c = 0; c < net->arch.dims[last + 1]; c++) {
        pv_vector residual[WIDE];
        for (int v = 0; v < wide; v++)
            residual[v] = pv_vector_load_aligned(net->output + c * net->stride + first + v * PV_LANES);
        add_unit(wide, last == 0 ? net->arch.dims[0] : 0, squares, last, c, residual,
                 squares->coords + first);
    }
    if (last == 0) return;
    if (last == 1)
        turn_outputs(wide, net->arch.dims[2], net->arch.dims[0], squares, first);
    else if (net->arch.dims[last + 1] == 1)
        turn_outputs(wide, 1, 0, squares, first);
    else if (net->arch.dims[last + 1] == 3)
        turn_outputs(wide, 3, 0, squares, first);
    else
        turn_outputs(wide, net->arch.dims[last + 1], 0, squares, first);
}

/* Slopes of layer l, from what has come back to it. */
PV_INLINE void turn_units(int wide, int inputs, const pv_inr_squares *squares, int l, int first)
{
    const pv_inr_net *net = &squares->net;
    const float *sum = squares->work + first, *const coords = squares->coords + first;
    float *slope = net->slope[l] + first;
    for (int64_t u = 0; u < net->arch.dims[l]; u++, slope += net->stride, sum += PV_INR_SQUARES_BLOCK) {
        pv_vector delta[WIDE];
        for (int v = 0; v < wide; v++) {
            const int at = v * PV_LANES;
            delta[v] = pv_vector_load_aligned(slope + at) * pv_vector_load_aligned(sum + at);
            if (inputs == 0) *pv_vector_aligned(slope + at) = delta[v];
        }
        add_unit(wide, inputs, squares, l - 1, u, delta, coords);
    }
}

/* The loops over the first layer's inputs are of a length that the compiler knows where it is a usual one. */
PV_INLINE void turn_back(int wide, const pv_inr_squares *squares, int l, int first)
{
    const int inputs = l == 1 ? squares->net.arch.dims[0] : 0;
    if (inputs == 0)
        turn_units(wide, 0, squares, l, first);
    else if (inputs == 2)
        turn_units(wide, 2, squares, l, first);
    else if (inputs == 3)
        turn_units(wide, 3, squares, l, first);
    else
        turn_units(wide, inputs, squares, l, first);
}

PV_INLINE void backward_hidden(bool own, const pv_inr_squares *squares, int l, int samples)
{
    const pv_inr_net *net = &squares->net;
    const int units = net->arch.dims[l], pairs = pv_inr_squares_pairs(net->arch.dims[l + 1]);
    pv_amx_multiply_all(own, pv_inr_squares_units(units) / SIDE, samples / SIDE,
                        (pv_amx_product){.depth = pairs / SIDE,
                                         .a = squares->back[l],
                                         .a_row = pairs,
                                         .b = squares->units,
                                         .b_row = PV_INR_SQUARES_BLOCK,
                                         .c = squares->work,
                                         .c_row = PV_INR_SQUARES_BLOCK});
}

PV_INLINE void add_matrix(bool own, const pv_inr_squares *squares, int l, int samples)
{
    const pv_inr_net *net = &squares->net;
    const int in = pv_inr_squares_units(net->arch.dims[l]), out = pv_inr_squares_units(net->arch.dims[l + 1]);
    pv_amx_multiply_all(own, out / SIDE, in / SIDE,
                        (pv_amx_product){.depth = samples / LEAST,
                                         .a = squares->of_samples,
                                         .a_row = PV_INR_SQUARES_WORDS,
                                         .b = squares->value[l],
                                         .b_row = in,
                                         .start = squares->matrix[l],
                                         .start_row = in,
                                         .start_across = SIDE,
                                         .c = squares->matrix[l],
                                         .c_row = in});
}

/* target[i] += scale * the lanes of sum i. */
static void take_lanes(int n, const float *sum, float scale, float *target)
{
    for (int i = 0; i < n; i += PV_LANES, sum += PV_LANES * PV_LANES) {
        const int some = n - i < PV_LANES ? n - i : PV_LANES;
        pv_vector rows[PV_LANES];
        for (int r = 0; r < PV_LANES; r++)
            rows[r] = r < some ? pv_vector_load_aligned(sum + r * PV_LANES) : (pv_vector){0};
        const pv_vector all = pv_vector_load_first(some, target + i) + pv_vector_sums(rows) * scale;
        pv_vector_store_first(some, target + i, all);
    }
}

static void take_matrix(int rows, int cols, const float *sums, float scale, float *target)
{
    const int step = pv_inr_squares_units(cols);
    for (int r = 0; r < rows; r++, sums += step, target += cols)
        for (int c = 0; c < cols; c += PV_LANES) {
            const int some = cols - c < PV_LANES ? cols - c : PV_LANES;
            pv_vector_store_first(some, target + c,
                                  first_of(some, target + c) + scale * pv_vector_load_aligned(sums + c));
        }
}

/* ---- a step: `begin`, `gradient` of every tile, `end` */

/* The block's net takes its weights from the fitter's. */
static void share(const pv_inr_net *net, pv_inr_net *block)
{
    for (int l = 0; l < net->arch.layers; l++) {
        block->weight[l] = net->weight[l];
        block->transposed[l] = net->transposed[l];
        block->bias[l] = net->bias[l];
        block->apart[l] = net->apart[l];
    }
}

PV_INLINE void begin(bool own, const pv_inr_net *net, pv_inr_narrow *narrow)
{
    const pv_inr_squares *squares = &narrow->squares;
    const pv_dot kind = kind_of(own);
    share(net, &narrow->squares.net);
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 1; l < last; l++) {
        pack_matrix(kind, d[l + 1], d[l], net->weight[l], squares->forward[l]);
        pack_matrix(kind, d[l], d[l + 1], net->transposed[l], squares->back[l]);
        for (int u = 0; u < d[l + 1]; u++)
            for (int i = 0; i < SIDE; i += PV_LANES)
                *pv_vector_aligned(squares->bias[l] + u * SIDE + i) = pv_vector_splat(net->bias[l][u]);
    }
    memset(squares->memory, 0, sizeof(float) * (size_t)squares->step_sums);
    pv_amx_begin(own);
}

/* A product in float32.  A function of its own, as its sums want all registers. */
static __attribute__((noinline)) void forward_plain(int units, int samples, product p)
{
    for (; samples >= WIDE * PV_LANES; samples -= WIDE * PV_LANES) {
        multiply_all(PV_DOT_FLOAT32, 4, units, WIDE, true, p);
        p.in += WIDE * PV_LANES, p.out += WIDE * PV_LANES;
    }
    if (samples > 0) multiply_all(PV_DOT_FLOAT32, MOST_UNITS, units, 2, true, p);
}

PV_INLINE void activate_awake(bool own, const pv_inr_net *net, int l, int samples)
{
    for (int u = 0; u < net->arch.dims[l + 1]; u += AWAKE) {
        const int left = net->arch.dims[l + 1] - u;
        activate_rows(net, l, left < AWAKE ? left : AWAKE, samples,
                      net->value[l + 1] + u * (int64_t)net->stride,
                      net->slope[l + 1] + u * (int64_t)net->stride);
        pv_amx_stay_awake(own);
    }
}

PV_INLINE void forward(bool own, const pv_inr_squares *squares, int samples)
{
    const pv_inr_net *net = &squares->net;
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    for (int l = 0; l <= last; l++) {
        float *const out = l == last ? net->output : net->value[l + 1];
        if (l > 0 && l < last) {
            turn(d[l], samples, squares->of_samples, squares->value[l]);
            forward_hidden(own, squares, l, samples);
        } else
            forward_plain(d[l + 1], samples,
                          (product){d[l], d[l + 1], net->transposed[l], net->bias[l],
                                    l == 0 ? squares->coords : net->value[l], out, net->stride, net->stride,
                                    1});
        if (l == last) return;
        activate_awake(own, net, l, samples);
        if (l + 1 == last) continue;
        pack_rows(own, squares, d[l + 1], samples, out, net->stride, squares->of_samples);
    }
}

/* The squared error of `count` samples, whose gradients are added to the sums. */
PV_INLINE double add_block(bool own, const pv_inr_squares *squares, int count)
{
    const pv_inr_net *net = &squares->net;
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const int samples = (count + LEAST - 1) / LEAST * LEAST;
    forward(own, squares, samples);
    take_residuals(net, squares->values, 0, samples / PV_LANES, count);
#define ADD_OUTPUTS(wide, first) add_outputs(wide, squares, first)
    EACH_BLOCK(samples, ADD_OUTPUTS)
#undef ADD_OUTPUTS
    pv_amx_stay_awake(own);
    for (int l = last - 1; l > 0; l--) {
        pack_rows(own, squares, d[l + 1], samples, net->slope[l + 1], net->stride, squares->of_samples);
        backward_hidden(own, squares, l, samples);
        add_matrix(own, squares, l, samples); /* meanwhile */
#define TURN_BACK(wide, first) turn_back(wide, squares, l, first)
        EACH_BLOCK(samples, TURN_BACK)
#undef TURN_BACK
        pv_amx_stay_awake(own);
    }
    return squared_error(net, samples / PV_LANES);
}

static void copy_block(int channels, const float *tile, int64_t tile_stride, float *block, int64_t stride)
{
    for (int64_t c = 0; c < channels; c++)
        memcpy(block + c * stride, tile + c * tile_stride, sizeof *block * PV_INR_SQUARES_BLOCK);
}

PV_INLINE double gradient_of(bool own, const pv_inr_net *net, const pv_inr_squares *squares,
                             const float *coords, const float *values, int count)
{
    const int inputs = net->arch.dims[0], outputs = net->arch.dims[net->arch.layers];
    double sum = 0;
    for (int first = 0; first < count; first += PV_INR_SQUARES_BLOCK) {
        const int left = count - first;
        copy_block(inputs, coords + first, net->stride, squares->coords, squares->net.stride);
        copy_block(outputs, values + first, net->stride, squares->values, squares->net.stride);
        sum += add_block(own, squares, left < PV_INR_SQUARES_BLOCK ? left : PV_INR_SQUARES_BLOCK);
    }
    return sum;
}

static void end(bool own, const pv_inr_net *net, const pv_inr_narrow *narrow, float scale, float *gradient)
{
    const pv_inr_squares *squares = &narrow->squares;
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    pv_amx_end(own);
    for (int l = 0; l <= last; l++) {
        const float weight_scale = l == last ? scale : scale * net->scale;
        const int size = d[l] * d[l + 1];
        if (l > 0 && l < last)
            take_matrix(d[l + 1], d[l], squares->matrix[l], weight_scale, gradient);
        else
            take_lanes(size, squares->sums[l] + d[l + 1] * PV_LANES, weight_scale, gradient);
        take_lanes(d[l + 1], squares->sums[l], weight_scale, gradient + size);
        gradient += size + d[l + 1];
    }
}

#define LOOPS(name, own)                                                                                     \
    static void begin_##name(const pv_inr_net *net, pv_inr_narrow *narrow)                                   \
    {                                                                                                        \
        begin(own, net, narrow);                                                                             \
    }                                                                                                        \
    static double gradient_##name(const pv_inr_net *net, const pv_inr_narrow *narrow, const float *coords,   \
                                  const float *values, int count, float scale, float *gradient)              \
    {                                                                                                        \
        (void)scale, (void)gradient; /* end() adds to it */                                                  \
        return gradient_of(own, net, &narrow->squares, coords, values, count);                               \
    }                                                                                                        \
    static void end_##name(const pv_inr_net *net, const pv_inr_narrow *narrow, float scale, float *gradient) \
    {                                                                                                        \
        end(own, net, narrow, scale, gradient);                                                              \
    }
LOOPS(plain, false)
#if defined(__AVX512F__)
LOOPS(own, true)
#endif

extern const pv_inr_squares_kernels PV_ISA_TABLE(pv_inr_squares_kernels);
const pv_inr_squares_kernels PV_ISA_TABLE(pv_inr_squares_kernels) = {
    .plain = {begin_plain, gradient_plain, end_plain},
#if defined(__AVX512F__)
    .own = {begin_own, gradient_own, end_own},
#endif
};
