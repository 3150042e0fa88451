/* Attention of a set with itself, a sample at a time on transposed matrices. */
#include "nn/core/pv_set_attention.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { Q, K, V, O, MAPS };

static int padded(const pv_nn_params *params, int positions)
{
    const int lanes = params->kernels->lanes;
    return (positions + lanes - 1) / lanes * lanes;
}

static void widen(int *widest, int n)
{
    *widest = n > *widest ? n : *widest;
}

pv_sab pv_sab_new(pv_nn_params *params, const char *prefix, int positions, int in, int out, int heads,
                  pv_sab_work *work)
{
    static const char *const leaves[MAPS] = {"fc_q", "fc_k", "fc_v", "fc_o"};
    pv_sab sab = {
        .params = params, .work = work, .positions = positions, .in = in, .out = out, .heads = heads};
    sab.kernels = PV_ISA_CHOOSE(pv_attention_kernels);
    sab.matrix = params->kernels->matrix;
    sab.np = padded(params, positions);
    for (int i = 0; i < MAPS; i++) {
        char name[2 * PV_NN_NAME];
        snprintf(name, sizeof name, "%s.%s", prefix, leaves[i]);
        sab.maps[i] = pv_linear_new(params, name, i == O ? out : in, out, true, PV_LINEAR_DWS);
    }
    widen(&work->positions, positions);
    widen(&work->in, in);
    widen(&work->out, out);
    widen(&work->heads, heads);
    return sab;
}

void pv_sab_work_reserve(pv_sab_work *work, const pv_nn_params *params)
{
    if (work->positions == 0) return;
    const int64_t np = padded(params, work->positions);
    PV_TAKE(params->memory, work->in * np, &work->x, &work->dx);
    PV_TAKE(params->memory, work->out * np, &work->q, &work->k, &work->v, &work->o, &work->z, &work->dq,
            &work->dk, &work->dv, &work->dout, &work->dz, &work->set);
    PV_TAKE(params->memory, work->heads * np, &work->share);
    PV_TAKE(params->memory, work->heads * np * np, &work->p);
    PV_TAKE(params->memory, np * np, &work->dp, &work->turned);
    for (int i = 0; i < MAPS; i++) {
        const int64_t values = (int64_t)(i == O ? work->out : work->in) * work->out;
        PV_TAKE(params->memory, values, &work->weights[i], &work->gradients[i]);
    }
}

/* c[m][n] = a b, added to c if `add`; element (i, p) of a [m][k] is at a[i * row + p * step]. */
static void multiply(const pv_sab *sab, int m, int n, int k, const pv_real *a, int row, int step,
                     const pv_real *b, bool add, pv_real *c)
{
    const pv_product_term term = {.a = a, .b = b, .row = row, .step = step, .ldb = n, .k = k};
    sab->matrix->product(m, n, 1, &term, add, c);
}

static void project(const pv_sab *sab, int which, const pv_real *x, pv_real *y)
{
    const pv_linear *map = &sab->maps[which];
    sab->kernels->fill_rows(map->out, sab->np, pv_nn_values(sab->params, map->bias), y);
    multiply(sab, map->out, sab->np, map->in, pv_nn_values(sab->params, map->weight), map->in, 1, x, true, y);
}

/* All intermediate results of one sample, up to z = fc_o(o). */
static void sample_forward(const pv_sab *sab, const pv_real *x)
{
    const pv_sab_work *w = sab->work;
    const int n = sab->positions, np = sab->np, width = sab->out / sab->heads;
    sab->matrix->transpose(n, sab->in, x, sab->in, w->x, np);
    project(sab, Q, w->x, w->q);
    project(sab, K, w->x, w->k);
    project(sab, V, w->x, w->v);
    for (int head = 0; head < sab->heads; head++) {
        const int64_t at = (int64_t)head * width * np;
        pv_real *p = w->p + (int64_t)head * n * np, *share = w->share + (int64_t)head * np;
        multiply(sab, n, np, width, w->k + at, 1, np, w->q + at, false, p);
        sab->kernels->softmax(n, np, (pv_real)(1 / sqrt(sab->out)), p, share);
        multiply(sab, width, np, n, w->v + at, np, 1, p, false, w->o + at);
        sab->kernels->add_shares(width, np, w->q + at, share, w->o + at);
    }
    project(sab, O, w->o, w->z);
}

/* y = beta y + scale x, beta being 0 or 1. */
static void put(const pv_sab *sab, int n, double scale, const pv_real *x, double beta, pv_real *y)
{
    if (beta == 0) memset(y, 0, sizeof *y * (size_t)n);
    sab->params->kernels->add_row(1, n, (pv_real)scale, x, y);
}

void pv_sab_forward(const pv_sab *sab, int count, double scale, const pv_real *x, double beta, pv_real *y)
{
    const pv_sab_work *w = sab->work;
    const int from = sab->positions * sab->in, to = sab->positions * sab->out, values = sab->out * sab->np;
    for (int sample = 0; sample < count; sample++, x += from, y += to) {
        sample_forward(sab, x);
        sab->params->kernels->relu(values, w->z, w->z);
        put(sab, values, 1, w->o, 1, w->z);
        sab->matrix->transpose(sab->out, sab->positions, w->z, sab->np, w->set, sab->out);
        put(sab, to, scale, w->set, beta, y);
    }
}

/* Turns a gradient [out][np] of a projection into [positions][out]; adds to the projection's gradients, whose
 * input is x [positions][in]. */
static void project_backward(const pv_sab *sab, int which, const pv_real *dy, const pv_real *x)
{
    const pv_nn_kernels *kernels = sab->params->kernels;
    const pv_linear *map = &sab->maps[which];
    pv_real *set = sab->work->set;
    sab->matrix->transpose(map->out, sab->positions, dy, sab->np, set, map->out);
    kernels->sum_rows(sab->positions, map->out, 1, set, pv_nn_gradients(sab->params, map->bias));
    pv_gemm(kernels, true, false, map->in, map->out, sab->positions, 1, x, set, 1,
            sab->work->gradients[which]);
}

static void head_backward(const pv_sab *sab, int head)
{
    const pv_attention_kernels *kernels = sab->kernels;
    const pv_sab_work *w = sab->work;
    const int n = sab->positions, np = sab->np, width = sab->out / sab->heads;
    const int64_t at = (int64_t)head * width * np;
    const pv_real *p = w->p + (int64_t)head * n * np, *share = w->share + (int64_t)head * np;
    multiply(sab, n, np, width, w->v + at, 1, np, w->dout + at, false, w->dp);
    kernels->softmax_backward(n, np, (pv_real)(1 / sqrt(sab->out)), p, share, w->dp);
    sab->matrix->transpose(n, n, p, np, w->turned, np);
    kernels->add_shares(width, np, NULL, share, w->dout + at); /* for p is without them */
    multiply(sab, width, np, n, w->dout + at, np, 1, w->turned, false, w->dv + at);
    multiply(sab, width, np, n, w->k + at, np, 1, w->dp, true, w->dq + at);
    sab->matrix->transpose(n, n, w->dp, np, w->turned, np);
    multiply(sab, width, np, n, w->q + at, np, 1, w->turned, false, w->dk + at);
}

/* The gradient of the sample's input as [in][np] in work->dx, if wanted. */
static void sample_backward(const pv_sab *sab, const pv_real *x, const pv_real *dy, bool to_input)
{
    const pv_sab_work *w = sab->work;
    const int np = sab->np, out = sab->out;
    const size_t bytes = sizeof(pv_real) * (size_t)out * (size_t)np;
    sample_forward(sab, x);
    sab->matrix->transpose(sab->positions, out, dy, out, w->dout, np);
    memcpy(w->dz, w->dout, bytes);
    sab->params->kernels->relu_backward((int64_t)out * np, w->z, 1, w->dz);
    sab->matrix->transpose(out, sab->positions, w->o, np, w->z, out); /* z is not needed any more */
    project_backward(sab, O, w->dz, w->z);
    multiply(sab, out, np, out, w->weights[O], out, 1, w->dz, true, w->dout);
    memcpy(w->dq, w->dout, bytes);
    for (int head = 0; head < sab->heads; head++)
        head_backward(sab, head);
    const pv_real *const gradients[] = {[Q] = w->dq, [K] = w->dk, [V] = w->dv};
    for (int i = Q; i <= V; i++) {
        project_backward(sab, i, gradients[i], x);
        if (to_input) multiply(sab, sab->in, np, out, w->weights[i], out, 1, gradients[i], i != Q, w->dx);
    }
}

void pv_sab_backward(const pv_sab *sab, int count, double scale, const pv_real *x, const pv_real *dy,
                     double beta, pv_real *dx)
{
    const pv_sab_work *w = sab->work;
    const int from = sab->positions * sab->in, to = sab->positions * sab->out;
    for (int i = 0; i < MAPS; i++) {
        const pv_linear *m = &sab->maps[i];
        sab->matrix->transpose(m->out, m->in, pv_nn_values(sab->params, m->weight), m->in, w->weights[i],
                               m->out);
        memset(w->gradients[i], 0, sizeof *w->gradients[i] * (size_t)m->in * (size_t)m->out);
    }
    for (int64_t sample = 0; sample < count; sample++) {
        put(sab, to, scale, dy + sample * to, 0, w->set);
        sample_backward(sab, x + sample * from, w->set, dx != NULL);
        if (!dx) continue;
        sab->matrix->transpose(sab->in, sab->positions, w->dx, sab->np, w->x, sab->in);
        put(sab, from, 1, w->x, beta, dx + sample * from);
    }
    for (int i = 0; i < MAPS; i++) {
        const pv_linear *m = &sab->maps[i];
        sab->matrix->transpose(m->in, m->out, w->gradients[i], m->out, w->weights[i], m->in);
        put(sab, m->in * m->out, 1, w->weights[i], 1, pv_nn_gradients(sab->params, m->weight));
    }
}

double pv_sab_flops(const pv_sab *sab)
{
    const double n = sab->positions, in = sab->in, out = sab->out;
    return 2 * n * out * (3 * in + out) + 4 * n * n * out;
}
