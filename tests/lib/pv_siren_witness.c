/* A fit by plain loops in double precision, to compare the kernels with. */
#include "pv_siren_witness.h"
#include "base/pv_mem.h"
#include "inr/pv_inr_kernels.h"
#include "inr/pv_inr_narrow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* h[0..M]: the activations of one sample, h[M] the output; slope[l] = cos of what h[l] is the sine of. */
typedef struct trace {
    double h[PV_INR_MAX_LAYERS + 1][PV_INR_MAX_WIDTH];
    double slope[PV_INR_MAX_LAYERS + 1][PV_INR_MAX_WIDTH];
} trace;

static void run(const pv_arch *arch, const double *row, const float *x, trace *t)
{
    for (int i = 0; i < arch->dims[0]; i++)
        t->h[0][i] = (double)x[i];
    for (int l = 1; l <= arch->layers; l++) {
        const int rows = arch->dims[l], cols = arch->dims[l - 1];
        const double *bias = row + rows * cols;
        for (int i = 0; i < rows; i++) {
            double sum = bias[i];
            for (int j = 0; j < cols; j++)
                sum += row[i * cols + j] * t->h[l - 1][j];
            const double phase = (double)arch->w0 * sum;
            t->h[l][i] = l == arch->layers ? sum + (double)arch->offset : sin(phase);
            t->slope[l][i] = cos(phase);
        }
        row = bias + rows;
    }
}

void pv_witness_eval(const pv_arch *arch, const double *row, const float *x, double *y)
{
    trace *t = malloc(sizeof *t);
    run(arch, row, x, t);
    memcpy(y, t->h[arch->layers], (size_t)arch->dims[arch->layers] * sizeof *y);
    free(t);
}

/* Adds one sample's gradient, given delta = dloss/dh_M. */
static void pull_back(const pv_arch *arch, const double *row, const trace *t, double *delta, double *gradient)
{
    int end = pv_arch_params(arch);
    for (int l = arch->layers; l >= 1; l--) {
        const int rows = arch->dims[l], cols = arch->dims[l - 1], offset = end - rows * (cols + 1);
        double below[PV_INR_MAX_WIDTH] = {0};
        for (int i = 0; i < rows; i++) {
            if (l < arch->layers) delta[i] *= (double)arch->w0 * t->slope[l][i];
            gradient[offset + rows * cols + i] += delta[i];
            for (int j = 0; j < cols; j++) {
                gradient[offset + i * cols + j] += delta[i] * t->h[l - 1][j];
                below[j] += delta[i] * row[offset + i * cols + j];
            }
        }
        memcpy(delta, below, sizeof below);
        end = offset;
    }
}

double pv_witness_gradient(const pv_arch *arch, const double *row, int n, const float *coords,
                           const float *values, double *gradient)
{
    const int inputs = arch->dims[0], outputs = arch->dims[arch->layers];
    double loss = 0;
    trace *t = malloc(sizeof *t);
    memset(gradient, 0, (size_t)pv_arch_params(arch) * sizeof *gradient);
    for (int s = 0; s < n; s++) {
        double delta[PV_INR_MAX_WIDTH];
        run(arch, row, coords + s * inputs, t);
        for (int c = 0; c < outputs; c++) {
            const double error = t->h[arch->layers][c] - (double)values[s * outputs + c];
            loss += error * error / n / outputs;
            delta[c] = 2 * error / n / outputs;
        }
        pull_back(arch, row, t, delta, gradient);
    }
    free(t);
    return loss;
}

void pv_witness_fit(const pv_arch *arch, const float *start, int n, const float *coords, const float *values,
                    int steps, double lr, bool cosine, double *row, double *losses)
{
    const int params = pv_arch_params(arch);
    double *gradient = calloc((size_t)params, sizeof *gradient);
    double *m = calloc((size_t)params, sizeof *m), *v = calloc((size_t)params, sizeof *v);
    for (int i = 0; i < params; i++)
        row[i] = (double)start[i];
    for (int t = 1; t <= steps; t++) {
        const double half_turns = (t - 1.0) / steps,
                     rate = cosine ? lr * pow(cos(half_turns * acos(0)), 2) : lr;
        losses[t - 1] = pv_witness_gradient(arch, row, n, coords, values, gradient);
        for (int i = 0; i < params; i++) {
            m[i] = 0.9 * m[i] + 0.1 * gradient[i];
            v[i] = 0.999 * v[i] + 0.001 * gradient[i] * gradient[i];
            row[i] -= rate * (m[i] / (1 - pow(0.9, t))) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
        }
    }
    losses[steps] = pv_witness_gradient(arch, row, n, coords, values, gradient);
    free(gradient);
    free(m);
    free(v);
}

void pv_kernel_gradient(const pv_inr_narrow_loops *loops, pv_precision precision, const pv_arch *arch,
                        const float *row, int n, const float *coords, const float *values, float *gradient)
{
    const pv_inr_kernels *kernels = PV_ISA_CHOOSE(pv_inr_kernels);
    const int inputs = arch->dims[0], outputs = arch->dims[arch->layers];
    float *coord_tiles = NULL, *value_tiles = NULL;
    pv_inr_net net = {0};
    pv_inr_narrow narrow = {0};
    pv_status st = PV_OK;
    memset(gradient, 0, (size_t)pv_arch_params(arch) * sizeof *gradient);
    PV_TRY(pv_inr_net_open(arch, n, pv_inr_net_run(n, inputs, coords), &net));
    const int tiles = pv_inr_net_tiles(&net, n);
    const float scale = 2.0f / (float)(n * outputs);
    PV_ALLOC(coord_tiles, (int64_t)tiles * inputs * net.stride);
    PV_ALLOC(value_tiles, (int64_t)tiles * outputs * net.stride);
    net.reach = pv_inr_net_reach((int64_t)n * inputs, coords);
    pv_inr_net_lay_out(&net, n, inputs, coords, coord_tiles);
    pv_inr_net_lay_out(&net, n, outputs, values, value_tiles);
    kernels->load(&net, row);
    if (loops) PV_TRY(pv_inr_narrow_open(&net, precision, &narrow));
    if (loops) loops->pack(&net, &narrow);
    for (int t = 0; t < tiles; t++) {
        const int left = n - t * net.tile, count = left < net.tile ? left : net.tile;
        const float *x = coord_tiles + (int64_t)t * inputs * net.stride;
        const float *y = value_tiles + (int64_t)t * outputs * net.stride;
        if (loops)
            loops->gradient(&net, &narrow, x, y, count, scale, gradient);
        else
            kernels->gradient(&net, x, y, count, scale, gradient);
    }
    if (loops && loops->end) loops->end(&net, &narrow, scale, gradient);
done:
    pv_inr_net_close(&net);
    pv_inr_narrow_close(&narrow);
    free(coord_tiles);
    free(value_tiles);
}
