/* GELU, SiLU, LayerNorm, and attention of one row after the other. */
#include "nn/core/pv_transformer_kernels.h"

#include "simd/pv_functions.h"

static const pv_real EPS = (pv_real)1e-5; /* of LayerNorm */

/* ---- functions of one number ---- */

static const pv_real ROOT_HALF = (pv_real)0.70710678118654752440,
                     ROOT_TWO_PI_INVERSE = (pv_real)0.39894228040143267794;

#ifdef PV_REAL_IS_DOUBLE
/* Phi(x), the distribution of a standard normal, and its density. */
PV_INLINE pv_vector normal(pv_vector x, pv_vector *density)
{
    pv_vector phi = x;
    for (int i = 0; i < PV_LANES; i++) {
        phi[i] = 0.5 * erfc(-x[i] * ROOT_HALF);
        (*density)[i] = ROOT_TWO_PI_INVERSE * exp(-0.5 * x[i] * x[i]);
    }
    return phi;
}

#else
/* Phi(x) from erfc(a) = exp(-a^2) t P(t), t = 1 / (1 + 0.4 a), P a minimax fit whose error is 1e-9. */
PV_INLINE pv_vector normal(pv_vector x, pv_vector *density)
{
    const pv_vector gauss = pv_vector_exp(-0.5f * x * x);
    const pv_vector a = pv_vector_abs(x) * ROOT_HALF;
    const pv_vector t = 1.0f / (1.0f + 0.4f * a);
    pv_vector p = t * 0.0781560599f - 0.412105944f;
    p = p * t + 0.717515265f;
    p = p * t - 0.407361607f;
    p = p * t + 0.427982119f;
    p = p * t + 0.133498007f;
    p = p * t + 0.237419093f;
    p = p * t + 0.224897007f;
    const pv_vector tail = 0.5f * gauss * (t * p);
    *density = ROOT_TWO_PI_INVERSE * gauss;
    return pv_vector_choose(pv_vector_less(x, (pv_vector){0}), tail, 1.0f - tail);
}
#endif

static void gelu(int64_t n, const pv_real *x, pv_real *y)
{
    pv_vector density = {0};
    for (int64_t i = 0; i < n; i += PV_LANES)
        *pv_vector_at(y + i) = pv_vector_load(x + i) * normal(pv_vector_load(x + i), &density);
}

static void gelu_slope(int64_t n, const pv_real *x, pv_real *y, pv_real *slope)
{
    for (int64_t i = 0; i < n; i += PV_LANES) {
        const pv_vector value = pv_vector_load(x + i);
        pv_vector density = {0};
        const pv_vector phi = normal(value, &density);
        *pv_vector_at(y + i) = value * phi;
        *pv_vector_at(slope + i) = phi + value * density;
    }
}

static void silu_slope(int64_t n, const pv_real *x, pv_real *y, pv_real *slope)
{
    for (int64_t i = 0; i < n; i += PV_LANES) {
        const pv_vector value = pv_vector_load(x + i), s = 1 / (1 + pv_vector_exp(-value));
        *pv_vector_at(y + i) = value * s;
        *pv_vector_at(slope + i) = s + value * s * (1 - s);
    }
}

static void multiply(int64_t n, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] *= x[i];
}

static void both_signs(int64_t rows, int width, const pv_real *x, const pv_real *bias, pv_real *y)
{
    for (int64_t r = 0; r < rows; r++, x += width, y += width)
        for (int k = 0; k < width; k += PV_LANES) {
            const pv_vector value = pv_vector_load(x + k), shift = pv_vector_load(bias + k);
            *pv_vector_at(y + k) = value + shift;
            *pv_vector_at(y + rows * width + k) = shift - value;
        }
}

static void multiply_both(int64_t n, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i += PV_LANES) {
        const pv_vector value = pv_vector_load(y + i);
        *pv_vector_at(y + i) = value * pv_vector_load(x + i);
        *pv_vector_at(y + n + i) = value * pv_vector_load(x + n + i);
    }
}

static void add(int64_t n, const pv_real *x, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* ---- LayerNorm ---- */

/* As many rows as a vector has numbers, so that a row's number is a lane where all rows' sums are folded, and
 * one root serves all.  Of fewer rows the last one is taken again: no row's bits depend on its neighbours. */
typedef struct norm_block {
    int count; /* of rows, to PV_LANES */
    int width, padded;
    const pv_real *x;
} norm_block;

/* By rows. */
typedef pv_real row_numbers[PV_LANES] __attribute__((aligned(PV_VECTOR_BYTES)));

PV_INLINE const pv_real *row_of(norm_block b, int r)
{
    return b.x + (int64_t)(r < b.count ? r : b.count - 1) * b.padded;
}

/* The mean of each row and 1 / its standard deviation. */
PV_INLINE void row_moments(norm_block b, row_numbers mean, row_numbers scale)
{
    const pv_real share = 1 / (pv_real)b.width;
    pv_vector sum[PV_LANES], square[PV_LANES];
#pragma GCC unroll 16
    for (int r = 0; r < PV_LANES; r++) {
        const pv_real *x = row_of(b, r);
        sum[r] = (pv_vector){0};
        for (int k = 0; k < b.padded; k += PV_LANES)
            sum[r] += pv_vector_load(x + k);
    }
    const pv_vector means = pv_vector_sums(sum) * share;
    *pv_vector_aligned(mean) = means;
#pragma GCC unroll 16
    for (int r = 0; r < PV_LANES; r++) {
        const pv_real *x = row_of(b, r);
        square[r] = (pv_vector){0};
        for (int k = 0; k < b.padded; k += PV_LANES) {
            const pv_vector d = pv_vector_load(x + k) - mean[r];
            square[r] += d * d;
        }
    }
    /* The padding, which is 0, has its share in the sum of squares. */
    const pv_vector padding = (pv_real)(b.padded - b.width) * means * means;
    *pv_vector_aligned(scale) = 1 / pv_vector_sqrt((pv_vector_sums(square) - padding) * share + EPS);
}

PV_INLINE void norm_rows(norm_block b, const pv_real *weight, const pv_real *bias, pv_real *y)
{
    row_numbers mean, scale;
    row_moments(b, mean, scale);
    for (int r = 0; r < b.count; r++, b.x += b.padded, y += b.padded)
        for (int k = 0; k < b.padded; k += PV_LANES)
            *pv_vector_at(y + k) =
                (pv_vector_load(b.x + k) - mean[r]) * scale[r] * pv_vector_load(weight + k) +
                pv_vector_load(bias + k);
}

PV_INLINE void norm_rows_back(norm_block b, const pv_real *weight, pv_real *dy, pv_real *dweight,
                              pv_real *dbias)
{
    const pv_real share = 1 / (pv_real)b.width;
    row_numbers mean, scale, sums, dots;
    pv_vector sum[PV_LANES] = {{0}}, dot[PV_LANES] = {{0}};
    row_moments(b, mean, scale);
    for (int r = 0; r < b.count; r++)
        for (int k = 0; k < b.padded; k += PV_LANES) {
            const int64_t at = (int64_t)r * b.padded + k;
            const pv_vector d = pv_vector_load(dy + at), g = d * pv_vector_load(weight + k),
                            h = (pv_vector_load(b.x + at) - mean[r]) * scale[r];
            sum[r] += g;
            dot[r] += g * h;
            *pv_vector_at(dweight + k) += d * h;
            *pv_vector_at(dbias + k) += d;
        }
    *pv_vector_aligned(sums) = pv_vector_sums(sum) * share;
    *pv_vector_aligned(dots) = pv_vector_sums(dot) * share;
    for (int r = 0; r < b.count; r++)
        for (int k = 0; k < b.padded; k += PV_LANES) {
            const int64_t at = (int64_t)r * b.padded + k;
            const pv_vector h = (pv_vector_load(b.x + at) - mean[r]) * scale[r];
            *pv_vector_at(dy + at) =
                scale[r] * (pv_vector_load(dy + at) * pv_vector_load(weight + k) - sums[r] - h * dots[r]);
        }
}

PV_INLINE void norm_all(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                        const pv_real *bias, pv_real *y)
{
    for (; rows >= PV_LANES; rows -= PV_LANES, x += PV_LANES * padded, y += PV_LANES * padded)
        norm_rows((norm_block){PV_LANES, width, padded, x}, weight, bias, y);
    if (rows > 0) norm_rows((norm_block){(int)rows, width, padded, x}, weight, bias, y);
}

PV_INLINE void norm_all_back(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                             pv_real *dy, pv_real *dweight, pv_real *dbias)
{
    for (; rows >= PV_LANES; rows -= PV_LANES, x += PV_LANES * padded, dy += PV_LANES * padded)
        norm_rows_back((norm_block){PV_LANES, width, padded, x}, weight, dy, dweight, dbias);
    if (rows > 0) norm_rows_back((norm_block){(int)rows, width, padded, x}, weight, dy, dweight, dbias);
}

/* Rows of usual widths stay in registers where the compiler knows how many vectors they are. */
static void norm(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                 const pv_real *bias, pv_real *y)
{
    if (padded == 2 * PV_LANES)
        norm_all(rows, width, 2 * PV_LANES, x, weight, bias, y);
    else if (padded == 4 * PV_LANES)
        norm_all(rows, width, 4 * PV_LANES, x, weight, bias, y);
    else
        norm_all(rows, width, padded, x, weight, bias, y);
}

static void norm_backward(int64_t rows, int width, int padded, const pv_real *x, const pv_real *weight,
                          pv_real *dy, pv_real *dweight, pv_real *dbias)
{
    if (padded == 2 * PV_LANES)
        norm_all_back(rows, width, 2 * PV_LANES, x, weight, dy, dweight, dbias);
    else if (padded == 4 * PV_LANES)
        norm_all_back(rows, width, 4 * PV_LANES, x, weight, dy, dweight, dbias);
    else
        norm_all_back(rows, width, padded, x, weight, dy, dweight, dbias);
}

/* ---- attention of one row ---- */

static void softmax(int nodes, int width, pv_real *share)
{
    for (int v = 0; v < width; v += PV_LANES) {
        pv_vector most = pv_vector_load(share + v), sum = {0};
        for (int j = 1; j < nodes; j++)
            most = pv_vector_max(pv_vector_load(share + j * width + v), most);
        for (int j = 0; j < nodes; j++) {
            pv_vector_anywhere *s = pv_vector_at(share + j * width + v);
            sum += *s = pv_vector_exp(*s - most);
        }
        const pv_vector scale = 1 / sum;
        for (int j = 0; j < nodes; j++)
            *pv_vector_at(share + j * width + v) *= scale;
    }
}

/* What attention compares, with what an edge adds to it. */
PV_INLINE pv_vector with_edge(const pv_real *x, const pv_real *edge)
{
    if (!edge) return pv_vector_load(x);
    return pv_vector_load(x) + pv_vector_load(edge);
}

PV_INLINE void logits(const pv_attention_row *r, const pv_real *edges, pv_real *share)
{
    for (int j = 0; j < r->nodes; j++) {
        const pv_real *edge = edges ? edges + (int64_t)j * r->edge_stride : NULL;
        const pv_real *key = r->keys + (int64_t)j * r->node_stride;
        for (int v = 0; v < r->width; v += PV_LANES) {
            pv_vector sum = {0};
            for (int c = v; c < r->channels; c += r->width)
                sum += with_edge(r->query + c, edge ? edge + c : NULL) *
                       with_edge(key + c, edge ? edge + r->channels + c : NULL);
            *pv_vector_at(share + j * r->width + v) = r->scale * pv_vector_fold(sum, r->heads);
        }
    }
}

static void attend(const pv_attention_row *row, const pv_real *edges, pv_real *share)
{
    const pv_attention_row r = *row;
    if (edges)
        logits(&r, edges, share);
    else
        logits(&r, NULL, share);
    softmax(r.nodes, r.width, share);
}

static void gather(const pv_attention_row *row, const pv_real *edges, const pv_real *share, pv_real *out)
{
    const pv_attention_row r = *row;
    for (int j = 0; j < r.nodes; j++) {
        const pv_real *value = r.values + (int64_t)j * r.node_stride;
        const pv_real *factor = r.modulated ? edges + (int64_t)j * r.edge_stride + 2 * r.channels : NULL;
        for (int v = 0; v < r.width; v += PV_LANES) {
            const pv_vector s = pv_vector_load(share + j * r.width + v);
            if (factor)
                for (int c = v; c < r.channels; c += r.width)
                    *pv_vector_at(out + c) += s * pv_vector_load(value + c) * pv_vector_load(factor + c);
            else
                for (int c = v; c < r.channels; c += r.width)
                    *pv_vector_at(out + c) += s * pv_vector_load(value + c);
        }
    }
}

/* Adds to dshare what comes from the output. */
PV_INLINE void shares_backward(const pv_attention_row *r, const pv_real *dout, const pv_real *edges,
                               pv_real *dshare)
{
    for (int j = 0; j < r->nodes; j++) {
        const pv_real *value = r->values + (int64_t)j * r->node_stride;
        const pv_real *factor = r->modulated ? edges + (int64_t)j * r->edge_stride + 2 * r->channels : NULL;
        for (int v = 0; v < r->width; v += PV_LANES) {
            pv_vector sum = {0};
            for (int c = v; c < r->channels; c += r->width)
                sum += factor
                           ? pv_vector_load(dout + c) * pv_vector_load(value + c) * pv_vector_load(factor + c)
                           : pv_vector_load(dout + c) * pv_vector_load(value + c);
            *pv_vector_at(dshare + j * r->width + v) += pv_vector_fold(sum, r->heads);
        }
    }
}

/* The gradient of the logits, from the shares and their gradients. */
static void softmax_backward(const pv_attention_row *r, const pv_real *share, pv_real *dshare)
{
    for (int v = 0; v < r->width; v += PV_LANES) {
        pv_vector sum = {0};
        for (int j = 0; j < r->nodes; j++)
            sum += pv_vector_load(share + j * r->width + v) * pv_vector_load(dshare + j * r->width + v);
        for (int j = 0; j < r->nodes; j++) {
            pv_vector_anywhere *d = pv_vector_at(dshare + j * r->width + v);
            *d = pv_vector_load(share + j * r->width + v) * (*d - sum) * r->scale;
        }
    }
}

/* One node's share in the gradients of query, key and value, and its edge replaced by its gradient. */
PV_INLINE void node_backward(const pv_attention_row *r, int j, const pv_real *share, const pv_real *dlogit,
                             const pv_real *dout, pv_real *edge, pv_real *dquery, pv_real *dkey,
                             pv_real *dvalue)
{
    const int64_t node = (int64_t)j * r->node_stride;
    pv_real *const of_key = edge ? edge + r->channels : NULL, *const factor =
                                                                  edge ? edge + 2 * r->channels : NULL;
    for (int v = 0; v < r->width; v += PV_LANES) {
        const pv_vector s = pv_vector_load(share + j * r->width + v);
        const pv_vector d = pv_vector_load(dlogit + j * r->width + v);
        for (int c = v; c < r->channels; c += r->width) {
            const pv_vector q = with_edge(r->query + c, edge ? edge + c : NULL);
            const pv_vector k = with_edge(r->keys + node + c, edge ? of_key + c : NULL);
            const pv_vector weighted = s * pv_vector_load(dout + c);
            pv_vector dq = d * k, dk = d * q;
            PV_OPAQUE(dq); /* the sums are the same with edges, where it is stored, and without */
            PV_OPAQUE(dk);
            if (edge) {
                *pv_vector_at(edge + c) = dq;
                *pv_vector_at(of_key + c) = dk;
            }
            *pv_vector_at(dquery + c) += dq;
            *pv_vector_at(dkey + c) += dk;
            if (edge && r->modulated) {
                *pv_vector_at(dvalue + c) += weighted * pv_vector_load(factor + c);
                *pv_vector_at(factor + c) = weighted * pv_vector_load(r->values + node + c);
            } else {
                *pv_vector_at(dvalue + c) += weighted;
            }
        }
    }
}

static void attend_backward(const pv_attention_row *row, const pv_real *share, const pv_real *dout,
                            pv_real *dshare, pv_real *edges, pv_real *dquery, pv_real *dkeys,
                            pv_real *dvalues)
{
    const pv_attention_row r = *row;
    shares_backward(&r, dout, edges, dshare);
    softmax_backward(&r, share, dshare);
    for (int j = 0; j < r.nodes; j++, dkeys += r.node_stride, dvalues += r.node_stride)
        if (edges)
            node_backward(&r, j, share, dshare, dout, edges + (int64_t)j * r.edge_stride, dquery, dkeys,
                          dvalues);
        else
            node_backward(&r, j, share, dshare, dout, NULL, dquery, dkeys, dvalues);
}

const pv_transformer_kernels PV_ISA_TABLE(pv_transformer_kernels) = {
    .gelu = gelu,
    .gelu_slope = gelu_slope,
    .silu_slope = silu_slope,
    .multiply = multiply,
    .multiply_both = multiply_both,
    .both_signs = both_signs,
    .add = add,
    .norm = norm,
    .norm_backward = norm_backward,
    .attend = attend,
    .gather = gather,
    .attend_backward = attend_backward,
};
