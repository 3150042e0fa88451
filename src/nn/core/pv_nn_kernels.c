#include "nn/core/pv_nn_kernels.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32, MAX_F = 256 };

/* Vectors of the instruction set this file is compiled for, and the tile of them that its registers hold. */
#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64, TILE_ROWS = 8 };
#elif defined(__AVX2__)
enum { VECTOR_BYTES = 32, TILE_ROWS = 6 };
#else
enum { VECTOR_BYTES = 16, TILE_ROWS = 4 };
#endif
enum { LANES = VECTOR_BYTES / (int)sizeof(pv_real), TILE_VECTORS = 2, OUTER_BLOCK = 128 };
typedef pv_real vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(pv_real)), may_alias));

/* sum[r][v] += the products over p of a[r * row + p * step] and vector v of b[p * ldb]: with `rows` and
 * `vectors` constant, the sums stay in registers. */
static inline __attribute__((always_inline)) void tile(int rows, int vectors, int64_t k, const pv_real *a,
                                                       int64_t row, int64_t step, const pv_real *b, int ldb,
                                                       vector sum[TILE_ROWS][TILE_VECTORS])
{
    for (int64_t p = 0; p < k; p++)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[r][v] += a[r * row + p * step] * ((const vector *)(b + p * ldb))[v];
}

static inline __attribute__((always_inline)) void
product_tile(int rows, int vectors, int n, int k, const pv_real *a, const pv_real *b, int add, pv_real *c)
{
    vector sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add ? ((vector *)(c + (int64_t)r * n))[v] : (vector){0};
    tile(rows, vectors, k, a, k, 1, b, n, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            ((vector *)(c + (int64_t)r * n))[v] = sum[r][v];
}

static void product(int64_t m, int n, int k, const pv_real *a, const pv_real *b, int add, pv_real *c)
{
    for (int column = 0; column < n;) {
        const int pair = n - column >= TILE_VECTORS * LANES;
        int64_t i = 0;
        for (; i + TILE_ROWS <= m; i += TILE_ROWS) {
            if (pair)
                product_tile(TILE_ROWS, TILE_VECTORS, n, k, a + i * k, b + column, add, c + i * n + column);
            else
                product_tile(TILE_ROWS, 1, n, k, a + i * k, b + column, add, c + i * n + column);
        }
        for (; i < m; i++) {
            if (pair)
                product_tile(1, TILE_VECTORS, n, k, a + i * k, b + column, add, c + i * n + column);
            else
                product_tile(1, 1, n, k, a + i * k, b + column, add, c + i * n + column);
        }
        column += pair ? TILE_VECTORS * LANES : LANES;
    }
}

static inline __attribute__((always_inline)) void outer_tile(int rows, int vectors, int m, int n, int64_t k,
                                                             pv_real alpha, const pv_real *a,
                                                             const pv_real *b, pv_real *c)
{
    vector sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[r][v] = (vector){0};
    tile(rows, vectors, k, a, 1, m, b, n, sum);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            ((vector *)(c + (int64_t)r * n))[v] += alpha * sum[r][v];
}

static void outer_block(int m, int n, int64_t k, pv_real alpha, const pv_real *a, const pv_real *b,
                        pv_real *c)
{
    for (int column = 0; column < n;) {
        const int pair = n - column >= TILE_VECTORS * LANES;
        int i = 0;
        for (; i + TILE_ROWS <= m; i += TILE_ROWS) {
            pv_real *at = c + (int64_t)i * n + column;
            if (pair)
                outer_tile(TILE_ROWS, TILE_VECTORS, m, n, k, alpha, a + i, b + column, at);
            else
                outer_tile(TILE_ROWS, 1, m, n, k, alpha, a + i, b + column, at);
        }
        for (; i < m; i++) {
            pv_real *at = c + (int64_t)i * n + column;
            if (pair)
                outer_tile(1, TILE_VECTORS, m, n, k, alpha, a + i, b + column, at);
            else
                outer_tile(1, 1, m, n, k, alpha, a + i, b + column, at);
        }
        column += pair ? TILE_VECTORS * LANES : LANES;
    }
}

/* In blocks of k that the first-level cache holds, for the tiles read them again and again. */
static void outer_product(int m, int n, int64_t k, pv_real alpha, const pv_real *a, const pv_real *b,
                          pv_real *c)
{
    for (int64_t p = 0; p < k; p += OUTER_BLOCK)
        outer_block(m, n, k - p < OUTER_BLOCK ? k - p : OUTER_BLOCK, alpha, a + p * m, b + p * n, c);
}

static void add_row(int64_t n, int f, pv_real alpha, const pv_real *row, pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < f; k++)
            y[i * f + k] += alpha * row[k];
}

static void sum_rows(int64_t n, int f, pv_real alpha, const pv_real *x, pv_real *restrict sum)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < f; k++)
            sum[k] += alpha * x[i * f + k];
}

static void relu(int64_t n, const pv_real *x, pv_real *y)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

static void relu_backward(int64_t n, const pv_real *x, pv_real scale, pv_real *restrict dy)
{
    for (int64_t i = 0; i < n; i++)
        dy[i] = x[i] > 0 ? dy[i] * scale : 0;
}

static void dropout(int64_t n, const uint16_t *draws, uint32_t keep, pv_real scale, pv_real *restrict x)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = draws[i] < keep ? x[i] * scale : 0;
}

static void pool_sum(int rows, int cols, int f, const pv_real *x, pv_real *restrict row,
                     pv_real *restrict col)
{
    if (row) memset(row, 0, sizeof *row * (size_t)rows * (size_t)f);
    if (col) memset(col, 0, sizeof *col * (size_t)cols * (size_t)f);
    for (int r = 0; r < rows; r++) {
        const pv_real *line = x + (int64_t)r * cols * f;
        for (int c = 0; row && c < cols; c++)
            for (int k = 0; k < f; k++)
                row[(int64_t)r * f + k] += line[c * f + k];
        for (int i = 0; col && i < cols * f; i++)
            col[i] += line[i];
    }
}

/* best = max(best, x) and the index where it was first reached. */
static inline void keep_max(int n, const pv_real *x, int32_t index, pv_real *restrict best,
                            int32_t *restrict arg)
{
    for (int k = 0; k < n; k++) {
        const int greater = x[k] > best[k];
        arg[k] = greater ? index : arg[k];
        best[k] = greater ? x[k] : best[k];
    }
}

static void pool_max(int rows, int cols, int f, const pv_real *x, pv_real *restrict row,
                     int32_t *restrict row_arg, pv_real *restrict col, int32_t *restrict col_arg)
{
    const size_t width = (size_t)cols * (size_t)f;
    if (col) {
        memcpy(col, x, sizeof *x * width);
        memset(col_arg, 0, sizeof *col_arg * width);
        for (int r = 1; r < rows; r++)
            keep_max((int)width, x + (int64_t)r * (int64_t)width, r, col, col_arg);
    }
    for (int r = 0; row && r < rows; r++) {
        const pv_real *line = x + (int64_t)r * (int64_t)width;
        memcpy(row + (int64_t)r * f, line, sizeof *x * (size_t)f);
        memset(row_arg + (int64_t)r * f, 0, sizeof *row_arg * (size_t)f);
        for (int c = 1; c < cols; c++)
            keep_max(f, line + (int64_t)c * f, c, row + (int64_t)r * f, row_arg + (int64_t)r * f);
    }
}

static void spread(int rows, int cols, int f, const pv_real *row, const pv_real *col, pv_real *restrict y)
{
    for (int r = 0; r < rows; r++) {
        pv_real *line = y + (int64_t)r * cols * f;
        if (!row) {
            for (int i = 0; i < cols * f; i++)
                line[i] += col[i];
            continue;
        }
        const pv_real *add = row + (int64_t)r * f;
        for (int c = 0; c < cols; c++)
            for (int k = 0; k < f; k++)
                line[c * f + k] += add[k] + col[c * f + k];
    }
}

/* Walks x[n][f] in blocks of rows and stripes of features that fit the stack. */
static void moments(int64_t n, int f, const pv_real *x, double *sum, double *square)
{
    for (int first = 0; first < f; first += MAX_F) {
        const int width = f - first < MAX_F ? f - first : MAX_F;
        for (int64_t i = 0; i < n; i += BLOCK) {
            const int64_t end = i + BLOCK < n ? i + BLOCK : n;
            const pv_real *centre = x + i * f + first;
            pv_real s[MAX_F], q[MAX_F];
            for (int k = 0; k < width; k++)
                s[k] = q[k] = 0;
            for (int64_t j = i + 1; j < end; j++)
                for (int k = 0; k < width; k++) {
                    const pv_real d = x[j * f + first + k] - centre[k];
                    s[k] += d;
                    q[k] += d * d;
                }
            const double count = (double)(end - i);
            for (int k = 0; k < width; k++) {
                const double c = centre[k];
                sum[first + k] += (double)s[k] + count * c;
                square[first + k] += (double)q[k] + 2 * c * (double)s[k] + count * c * c;
            }
        }
    }
}

static void affine_relu(int64_t n, int f, const pv_real *x, const pv_real *scale, const pv_real *shift,
                        pv_real *restrict y)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < f; k++) {
            const pv_real v = x[i * f + k] * scale[k] + shift[k];
            y[i * f + k] = v < 0 ? 0 : v;
        }
}

static void norm_backward_sums(int64_t n, int f, const pv_real *y, const pv_real *mean, const pv_real *dz,
                               double *sum, double *dot)
{
    for (int first = 0; first < f; first += MAX_F) {
        const int width = f - first < MAX_F ? f - first : MAX_F;
        for (int64_t i = 0; i < n; i += BLOCK) {
            const int64_t end = i + BLOCK < n ? i + BLOCK : n;
            pv_real s[MAX_F], q[MAX_F];
            for (int k = 0; k < width; k++)
                s[k] = q[k] = 0;
            for (int64_t j = i; j < end; j++)
                for (int k = 0; k < width; k++) {
                    const pv_real d = dz[j * f + first + k];
                    s[k] += d;
                    q[k] += d * (y[j * f + first + k] - mean[first + k]);
                }
            for (int k = 0; k < width; k++) {
                sum[first + k] += (double)s[k];
                dot[first + k] += (double)q[k];
            }
        }
    }
}

static void norm_backward(int64_t n, int f, const pv_real *y, const pv_real *mean, const pv_real *a,
                          const pv_real *b, const pv_real *c, pv_real *restrict dz)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < f; k++)
            dz[i * f + k] = a[k] * dz[i * f + k] + b[k] * (y[i * f + k] - mean[k]) + c[k];
}

static inline pv_real root(pv_real x)
{
    return (pv_real)(sizeof(pv_real) == sizeof(float) ? sqrtf((float)x) : sqrt((double)x));
}

static void adam(int64_t n, const pv_adam_step *step, const pv_real *g, pv_real *restrict p,
                 pv_real *restrict m, pv_real *restrict v, pv_real *restrict vmax)
{
    const pv_adam_step s = *step;
    for (int64_t i = 0; i < n; i++) {
        const pv_real gradient = g[i] + s.l2 * p[i];
        m[i] = s.beta1 * m[i] + s.rest1 * gradient;
        v[i] = s.beta2 * v[i] + s.rest2 * gradient * gradient;
        pv_real second = v[i];
        if (vmax) second = vmax[i] = vmax[i] > second ? vmax[i] : second;
        p[i] = s.decay * p[i] - s.rate * m[i] / (root(second) * s.scale + s.eps);
    }
}

static void sgd(int64_t n, pv_real lr, pv_real momentum, pv_real l2, const pv_real *g, pv_real *restrict p,
                pv_real *restrict buffer)
{
    for (int64_t i = 0; i < n; i++) {
        buffer[i] = momentum * buffer[i] + g[i] + l2 * p[i];
        p[i] -= lr * buffer[i];
    }
}

const pv_nn_kernels PV_ISA_TABLE(pv_nn_kernels) = {
    .lanes = LANES,
    .product = product,
    .outer_product = outer_product,
    .add_row = add_row,
    .sum_rows = sum_rows,
    .relu = relu,
    .relu_backward = relu_backward,
    .dropout = dropout,
    .pool_sum = pool_sum,
    .pool_max = pool_max,
    .spread = spread,
    .moments = moments,
    .affine_relu = affine_relu,
    .norm_backward_sums = norm_backward_sums,
    .norm_backward = norm_backward,
    .adam = adam,
    .sgd = sgd,
};
