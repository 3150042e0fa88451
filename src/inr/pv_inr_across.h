/* A fit step whose vectors run across units: activations are [samples][units] of a few samples at a time,
 * which go forward, back and into the gradients before they leave the first cache.  No sum is one over lanes
 * but for the outputs.  For nets whose hidden layers are of whole blocks, and kernel files (*_kernels.c) of
 * the room that say first how large these are: the sums of DOWN rows and ACROSS vectors fill the registers,
 * beside the shorter side's factors and one of the longer side.  TOGETHER is of samples, of those that a net
 * has room for: whole vectors. */
#ifndef PV_INR_ACROSS_H
#define PV_INR_ACROSS_H

#include "pv_inr_loops.h"

enum {
    BLOCK_UNITS = ACROSS * PV_LANES,
    MOST_ROWS = DOWN > 8 ? DOWN : 8, /* of any block */
    THIN_ROWS = 4,                   /* FEW, or what APART makes of them */
    ANY_DOWN = DOWN > 8 ? 8 : DOWN,  /* of rows whose distance the compiler does not know */
    USUAL = 32,
};

/* Factors f[r][k] at at[r * row + k * step]. */
typedef struct factors {
    const float *at;
    int64_t row, step;
} factors;

/* What becomes of a block of sums. */
typedef enum ending { KEPT, RELU, TURNED, PASSED, ADDED } ending;

/* out[r][c], c along vectors, made of sums over k of f[r][k] in[k][c]: on top of `bias` (KEPT; RELU: through
 * that activation), times the slope that is there (TURNED), where value[r][c] > 0, as that is ReLU's slope
 * and needs no store (PASSED), `scale` times to be added to what is there (ADDED).  TURNED and PASSED make
 * gradients of phases, whose sums over r are added, `scale` times, to total[c].  Rows of `in` are in_row
 * apart, those of `out` and `value` out_row.  The other activations have a loop of their own, which needs the
 * registers. */
typedef struct across {
    int depth;
    factors f;
    const float *in, *bias, *value;
    int64_t in_row;
    float *out, *total;
    int64_t out_row;
    float scale;
} across;

/* sum[r][v] += f[r] in[v].  The shorter side of a block is in registers, of the longer one a vector at a
 * time. */
PV_INLINE void add_products(int down, across p, pv_vector sum[MOST_ROWS][ACROSS])
{
    const int shorter = ACROSS;
    if (DOWN > shorter) {
        pv_vector in[ACROSS];
        for (int v = 0; v < ACROSS; v++)
            in[v] = pv_vector_load_aligned(p.in + v * PV_LANES);
        for (int r = 0; r < down; r++) {
            const pv_vector f = pv_vector_splat(p.f.at[r * p.f.row]);
            for (int v = 0; v < ACROSS; v++)
                sum[r][v] += f * in[v];
        }
        return;
    }
    pv_vector f[MOST_ROWS];
    for (int r = 0; r < down; r++)
        f[r] = pv_vector_splat(p.f.at[r * p.f.row]);
    for (int v = 0; v < ACROSS; v++) {
        const pv_vector in = pv_vector_load_aligned(p.in + v * PV_LANES);
        for (int r = 0; r < down; r++)
            sum[r][v] += f[r] * in;
    }
}

/* Adds the sum over rows to total, of which two grow beside each other: one would wait for itself. */
PV_INLINE void add_total(int down, pv_vector sum[MOST_ROWS][ACROSS], float scale, float *total)
{
    for (int v = 0; v < ACROSS; v++) {
        pv_vector even = sum[0][v], odd = down > 1 ? sum[1][v] : (pv_vector){0};
#pragma GCC unroll 12
        for (int r = 2; r < down; r++)
            if (r % 2)
                odd += sum[r][v];
            else
                even += sum[r][v];
        *pv_vector_at(total + v * PV_LANES) += scale * (even + odd);
    }
}

PV_INLINE void block_across(ending end, bool dense, int down, across p)
{
    pv_vector sum[MOST_ROWS][ACROSS];
    const int64_t step = dense ? 1 : p.f.step;
    for (int r = 0; r < down; r++)
        for (int v = 0; v < ACROSS; v++)
            sum[r][v] = end <= RELU ? pv_vector_load_aligned(p.bias + v * PV_LANES) : (pv_vector){0};
#pragma GCC unroll UNROLLED
    for (int k = 0; k < p.depth; k++, p.f.at += step, p.in += p.in_row)
        add_products(down, p, sum);
    for (int r = 0; r < down; r++)
        for (int v = 0; v < ACROSS; v++) {
            const int64_t at = r * p.out_row + v * PV_LANES;
            float *out = p.out + at;
            if (end == KEPT)
                *pv_vector_aligned(out) = sum[r][v];
            else if (end == RELU)
                *pv_vector_aligned(out) = relu_of(sum[r][v]);
            else if (end == TURNED)
                *pv_vector_aligned(out) = sum[r][v] *= pv_vector_load_aligned(out);
            else if (end == PASSED)
                *pv_vector_aligned(out) = sum[r][v] =
                    relu_passes(pv_vector_load_aligned(p.value + at), sum[r][v]);
            else
                *pv_vector_at(out) += p.scale * sum[r][v];
        }
    if (end == TURNED || end == PASSED) add_total(down, sum, p.scale, p.total);
}

/* How many of the rows that are left the next block takes: `most`, 8, 4, 2 or 1.  A block of few rows waits
 * for its own sums, so what is left behind the largest ones is shared out among others. */
PV_INLINE int next_rows(int most, int left)
{
    const int behind = left % most;
    if (left >= 2 * most || (left >= most && (behind == 0 || behind >= 8 || most <= 8))) return most;
    if (most > 8 && left >= 8) return 8;
    if (most > 4 && left >= 4) return 4;
    return left >= 2 ? 2 : 1;
}

/* All `rows` rows of `units` columns, in blocks of `most`. */
PV_INLINE void all_across(ending end, bool dense, int most, int rows, int units, across p)
{
    for (int u = 0; u < units; u += BLOCK_UNITS) {
        across part = p;
        for (int r = 0, some; r < rows; r += some) {
            some = next_rows(most, rows - r);
            if (some == most)
                block_across(end, dense, most, part);
            else if (most > 8 && some == 8)
                block_across(end, dense, 8, part);
            else if (most > 4 && some == 4)
                block_across(end, dense, 4, part);
            else if (some == 2)
                block_across(end, dense, 2, part);
            else
                block_across(end, dense, 1, part);
            part.f.at += some * p.f.row;
            part.out += some * p.out_row;
            if (end == PASSED) part.value += some * p.out_row;
        }
        p.in += BLOCK_UNITS;
        p.out += BLOCK_UNITS;
        if (end <= RELU) p.bias += BLOCK_UNITS;
        if (end == PASSED) p.value += BLOCK_UNITS;
        if (end == TURNED || end == PASSED) p.total += BLOCK_UNITS;
    }
}

/* The uses of a layer's products, each a function of its own, as each wants all registers.  By a pointer: a
 * struct that is copied right after its fields were written waits for them. */
#define USE_ACROSS(name, end, dense)                                                                         \
    static __attribute__((noinline)) void name(int rows, int units, const across *p)                         \
    {                                                                                                        \
        all_across(end, dense, ANY_DOWN, rows, units, *p);                                                   \
    }
/* A use between hidden layers, for two of the usual width once more, of numbers that the compiler knows. */
#define USE_HIDDEN(name, end, dense, rows_, depth_, row_, step_)                                             \
    USE_ACROSS(name##_any, end, dense)                                                                       \
    static __attribute__((noinline)) void name##_usual(int rows, const across *use)                          \
    {                                                                                                        \
        across p = *use;                                                                                     \
        (void)rows;                                                                                          \
        p.depth = depth_;                                                                                    \
        p.f.row = row_;                                                                                      \
        p.f.step = step_;                                                                                    \
        p.in_row = p.out_row = USUAL;                                                                        \
        all_across(end, dense, DOWN, rows_, USUAL, p);                                                       \
    }                                                                                                        \
    static void name(bool usual, int rows, int units, const across *p)                                       \
    {                                                                                                        \
        if (usual)                                                                                           \
            name##_usual(rows, p);                                                                           \
        else                                                                                                 \
            name##_any(rows, units, p);                                                                      \
    }
USE_ACROSS(first_across, KEPT, false)
USE_ACROSS(first_relu, RELU, false)
USE_HIDDEN(forward_across, KEPT, true, rows, USUAL, USUAL, 1)
USE_HIDDEN(forward_relu, RELU, true, rows, USUAL, USUAL, 1)
USE_ACROSS(back_last, TURNED, false)
USE_ACROSS(back_last_relu, PASSED, false)
USE_HIDDEN(back_across, TURNED, true, rows, USUAL, USUAL, 1)
USE_HIDDEN(back_relu, PASSED, true, rows, USUAL, USUAL, 1)
USE_HIDDEN(add_across, ADDED, false, USUAL, p.depth, 1, USUAL)

static bool is_usual(const pv_inr_net *net, int l)
{
    return net->arch.dims[l] == USUAL && net->arch.dims[l + 1] == USUAL;
}

/* output[c][s] of whole vectors of samples, from their last activations. */
static void outputs_across(const pv_inr_net *net, int first, int wide)
{
    const int last = net->arch.layers - 1, units = net->arch.dims[last];
    for (int c = 0; c < net->arch.dims[last + 1]; c++)
        for (int s = 0; s < wide * PV_LANES; s += PV_LANES) {
            pv_vector sum[PV_LANES];
            for (int r = 0; r < PV_LANES; r++)
                sum[r] = (pv_vector){0};
            for (int k = 0; k < units; k += PV_LANES) {
                const pv_vector weight = pv_vector_load(net->weight[last] + c * units + k);
                for (int r = 0; r < PV_LANES; r++)
                    sum[r] += weight * pv_vector_load_aligned(net->value[last] + (s + r) * units + k);
            }
            *pv_vector_aligned(net->output + c * (int64_t)net->stride + first + s) =
                pv_vector_sums(sum) + net->bias[last][c];
        }
}

/* at[r * row + c * column] += scale * the sum over n samples of f[r][s] x[s][c], for few rows f, f_row
 * apart. */
typedef struct thin {
    int n, units;
    const float *f, *x;
    int64_t f_row;
    float scale, *at;
    int64_t row, column;
} thin;

/* Of sample s + i / down to the sum of row i % down. */
PV_INLINE void add_samples(int down, int rows, thin p, int64_t s, pv_vector sum[THIN_ROWS][ACROSS])
{
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < ACROSS; v++) {
            const pv_vector x = pv_vector_load_aligned(p.x + (s + i / down) * p.units + v * PV_LANES);
            sum[i][v] += pv_vector_splat(p.f[i % down * p.f_row + s + i / down]) * x;
        }
}

/* Adds `down` rows of a block of columns to what they are sums of: where both of two lie in turn, by
 * vectors. */
PV_INLINE void add_thin(int down, thin p, pv_vector sum[THIN_ROWS][ACROSS])
{
    float sums[BLOCK_UNITS] __attribute__((aligned(64)));
    if (down == 2 && p.row == 1 && p.column == 2) {
        for (int v = 0; v < ACROSS; v++, p.at += 2 * PV_LANES) {
            pv_vector low, high;
            pv_vector_interleave(sum[0][v], sum[1][v], &low, &high);
            *pv_vector_at(p.at) += p.scale * low;
            *pv_vector_at(p.at + PV_LANES) += p.scale * high;
        }
        return;
    }
    for (int r = 0; r < down; r++) {
        for (int v = 0; v < ACROSS; v++)
            *pv_vector_aligned(sums + v * PV_LANES) = sum[r][v];
        for (int64_t c = 0; c < BLOCK_UNITS; c++)
            p.at[r * p.row + c * p.column] += p.scale * sums[c];
    }
}

/* A block of columns.  Each of so few sums would wait for itself: it is made of `apart` others, one or two or
 * four. */
PV_INLINE void thin_block(int down, int apart, thin p)
{
    pv_vector sum[THIN_ROWS][ACROSS];
    int s = 0;
    for (int i = 0; i < down * apart; i++)
        for (int v = 0; v < ACROSS; v++)
            sum[i][v] = (pv_vector){0};
    for (; s + apart <= p.n; s += apart)
        add_samples(down, down * apart, p, s, sum);
    for (; s < p.n; s++)
        add_samples(down, down, p, s, sum);
    for (int r = 0; r < down; r++)
        for (int v = 0; v < ACROSS; v++) {
            if (apart > 1) sum[r][v] += sum[down + r][v];
            if (apart > 2) sum[r][v] += sum[2 * down + r][v] + sum[3 * down + r][v];
        }
    add_thin(down, p, sum);
}

static __attribute__((noinline)) void thin_across(int rows, const thin *use)
{
    thin p = *use;
    for (int u = 0; u < p.units; u += BLOCK_UNITS, p.x += BLOCK_UNITS, p.at += BLOCK_UNITS * p.column) {
        thin part = p;
        for (int r = 0; r < rows; r += FEW, part.f += FEW * p.f_row, part.at += FEW * p.row) {
            if (rows - r == 1)
                thin_block(1, APART, part);
            else if (rows - r == 2 || FEW == 2)
                thin_block(2, APART > 1 ? APART / 2 : 1, part);
            else
                thin_block(FEW, 1, part);
        }
    }
}

/* Whether hidden layers are of whole blocks of units: narrow ones would leave registers empty. */
static bool fits_across(const pv_inr_net *net)
{
    for (int l = 1; l < net->arch.layers; l++)
        if (net->arch.dims[l] % BLOCK_UNITS != 0) return false;
    return net->arch.layers > 1;
}

/* Whether the first layer's sines are made of those of a grid's parts. */
static bool is_separable(const pv_inr_net *net)
{
    return net->run > 0 && net->loop == PV_LOOP_SINE && !net->apart[0] && fits_across(net);
}

/* On a grid a phase is one of the run, and one of the place in it, added up.  Sines of sums are products of
 * those of the parts, of which there are few. */
static void lay_run(const pv_inr_net *net, const float *coords)
{
    const int units = net->arch.dims[1];
    const pv_vector half_turn = pv_vector_splat(0.318309886183790672f);
    for (int i = 0; i < net->run; i++)
        for (int u = 0; u < units; u += PV_LANES) {
            pv_vector slope, *sine = pv_vector_aligned(net->run_sine + i * units + u);
            pv_vector_sine_slope(pv_vector_splat(coords[i]) * pv_vector_load_aligned(net->transposed[0] + u),
                                 sine, &slope);
            *pv_vector_aligned(net->run_cosine + i * units + u) = slope * half_turn;
        }
}

/* The first layer's activations and slopes of n samples of one run, whose coordinates begin at `coords`, from
 * place `place` of it on. */
PV_INLINE void activate_run(const pv_inr_net *net, const float *coords, int place, int n, float *value,
                            float *slope)
{
    const int units = net->arch.dims[1];
    for (int u = 0; u < units; u += 2 * PV_LANES) {
        pv_vector sine[2], cosine[2], slope_sine[2], slope_cosine[2];
        for (int v = 0; v < 2; v++) {
            const int at = u + v * PV_LANES;
            pv_vector phase = pv_vector_load_aligned(net->bias[0] + at);
            for (int c = 1; c < net->arch.dims[0]; c++)
                phase += coords[c * (int64_t)net->stride] *
                         pv_vector_load_aligned(net->transposed[0] + c * units + at);
            pv_vector_sine_slope(phase, &sine[v], &slope_cosine[v]);
            cosine[v] = slope_cosine[v] * 0.318309886183790672f;
            slope_sine[v] = sine[v] * 3.14159265358979324f;
        }
        for (int64_t s = 0; s < n; s++)
            for (int v = 0; v < 2; v++) {
                const int64_t at = (place + s) * units + u + v * PV_LANES, to = at - (int64_t)place * units;
                const pv_vector place_sine = pv_vector_load_aligned(net->run_sine + at);
                const pv_vector place_cosine = pv_vector_load_aligned(net->run_cosine + at);
                *pv_vector_aligned(value + to) = sine[v] * place_cosine + cosine[v] * place_sine;
                *pv_vector_aligned(slope + to) = slope_cosine[v] * place_cosine - slope_sine[v] * place_sine;
            }
    }
}

static void activate_grid(const pv_inr_net *net, const float *coords, int first, int n)
{
    for (int s = 0, some; s < n; s += some) {
        const int place = (first + s) % net->run, units = net->arch.dims[1];
        some = net->run - place < n - s ? net->run - place : n - s;
        activate_run(net, coords + first + s, place, some, net->value[1] + s * units,
                     net->slope[1] + s * units);
    }
}

/* From coordinates to outputs, for n samples from `first` on. */
static void forward_samples(const pv_inr_net *net, const float *coords, int first, int n)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const bool separable = is_separable(net), relu = net->loop == PV_LOOP_RELU;
    if (separable) activate_grid(net, coords, first, n);
    for (int l = separable; l < last; l++) {
        const factors of_coords = {coords + first, 1, net->stride}, hidden = {net->value[l], d[l], 1};
        const across p = {.depth = d[l],
                          .f = l == 0 ? of_coords : hidden,
                          .in = net->transposed[l],
                          .bias = net->bias[l],
                          .in_row = d[l + 1],
                          .out = net->value[l + 1],
                          .out_row = d[l + 1]};
        if (l == 0)
            (relu ? first_relu : first_across)(n, d[1], &p);
        else
            (relu ? forward_relu : forward_across)(is_usual(net, l), n, d[l + 1], &p);
        if (!relu) activate_rows(net, l, 1, n * d[l + 1], p.out, net->slope[l + 1]);
    }
    outputs_across(net, first, (n + PV_LANES - 1) / PV_LANES);
}

/* Through the weights of layer l to the phases before it, from gradients f of what it made; to `total` the
 * gradient of the biases of those phases. */
static void back_through(const pv_inr_net *net, int l, int n, factors f, float scale, float *total)
{
    const bool relu = net->loop == PV_LOOP_RELU;
    const int in = net->arch.dims[l];
    const across p = {.depth = net->arch.dims[l + 1],
                      .f = f,
                      .in = net->weight[l],
                      .value = net->value[l],
                      .in_row = in,
                      .out = net->slope[l],
                      .total = total,
                      .out_row = in,
                      .scale = scale};
    if (l == net->arch.layers - 1)
        (relu ? back_last_relu : back_last)(n, in, &p);
    else
        (relu ? back_relu : back_across)(is_usual(net, l), n, in, &p);
}

/* From residuals to gradients of all but the outputs' biases, which end `gradient`. */
static void back_samples(const pv_inr_net *net, const float *coords, int first, int n, float scale,
                         float *gradient)
{
    const int last = net->arch.layers - 1, *d = net->arch.dims;
    const float *output = net->output + first, hidden_scale = scale * net->scale;
    float *at = gradient; /* of layer l's weights; the biases of the layer before end there */
    for (int l = 0; l < last; l++)
        at += d[l + 1] * d[l] + d[l + 1];
    thin_across(d[last + 1],
                &(thin){n, d[last], output, net->value[last], net->stride, scale, at, d[last], 1});
    back_through(net, last, n, (factors){output, 1, net->stride}, hidden_scale, at - d[last]);
    for (int l = last - 1; l > 0; l--) {
        const int in = d[l], out = d[l + 1];
        const float *slope = net->slope[l + 1];
        at -= out + out * in;
        add_across(is_usual(net, l), out, in,
                   &(across){.depth = n,
                             .f = {slope, 1, out},
                             .in = net->value[l],
                             .in_row = in,
                             .out = at,
                             .out_row = in,
                             .scale = hidden_scale});
        back_through(net, l, n, (factors){slope, out, 1}, hidden_scale, at - in);
    }
    thin_across(
        d[0], &(thin){n, d[1], coords + first, net->slope[1], net->stride, hidden_scale, gradient, 1, d[0]});
}

static double gradient_across(const pv_inr_net *net, const float *coords, const float *values, int count,
                              float scale, float *gradient)
{
    const int last = net->arch.layers - 1, outputs = net->arch.dims[last + 1];
    if (is_separable(net)) lay_run(net, coords);
    for (int first = 0; first < count; first += TOGETHER) {
        const int n = count - first < TOGETHER ? count - first : TOGETHER;
        forward_samples(net, coords, first, n);
        take_residuals(net, values, first, (n + PV_LANES - 1) / PV_LANES, count);
        back_samples(net, coords, first, n, scale, gradient);
    }
    const int vectors = (count + PV_LANES - 1) / PV_LANES;
    int params = 0;
    for (int l = 0; l <= last; l++)
        params += net->arch.dims[l + 1] * (net->arch.dims[l] + 1);
    sum_all((outer){net->output, NULL, net->stride, vectors}, outputs, scale, gradient + params - outputs);
    return squared_error(net, vectors);
}

#endif
