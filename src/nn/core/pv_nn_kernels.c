/* Loops over features and parameters: biases, activations, batch norm, optimisers.  Plain C, which compilers
 * make vectors of. */
#include "nn/core/pv_nn_kernels.h"

#include "simd/pv_vector.h"

enum { BLOCK = 32, MAX_F = 256 };

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
    .lanes = PV_LANES,
    .matrix = &PV_ISA_TABLE(pv_matrix_kernels),
    .add_row = add_row,
    .sum_rows = sum_rows,
    .relu = relu,
    .relu_backward = relu_backward,
    .dropout = dropout,
    .moments = moments,
    .affine_relu = affine_relu,
    .norm_backward_sums = norm_backward_sums,
    .norm_backward = norm_backward,
    .adam = adam,
    .sgd = sgd,
};
