/* Attention of a set with itself, a sample at a time on transposed matrices. */
#include "nn/core/pv_set_attention.h"
#include "nn/core/pv_blas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { Q, K, V, O, PROJECTIONS };

static int padded(const pv_attention_kernels *kernels, int positions)
{
    return (positions + kernels->lanes - 1) / kernels->lanes * kernels->lanes;
}

static int greater(int a, int b)
{
    return a > b ? a : b;
}

pv_sab pv_sab_new(pv_nn_params *params, const char *prefix, int positions, int in, int out, int heads,
                  pv_sab_work *work)
{
    pv_sab sab = {.kernels = PV_ISA_CHOOSE(pv_attention_kernels),
                  .matrix = params->kernels->matrix,
                  .work = work,
                  .positions = positions,
                  .in = in,
                  .out = out,
                  .heads = heads};
    sab.np = padded(sab.kernels, positions);
    static const char *const leaves[PROJECTIONS] = {"fc_q", "fc_k", "fc_v", "fc_o"};
    pv_linear *const linears[PROJECTIONS] = {&sab.q, &sab.k, &sab.v, &sab.o};
    for (int i = 0; i < PROJECTIONS; i++) {
        char name[2 * PV_NN_NAME];
        snprintf(name, sizeof name, "%s.%s", prefix, leaves[i]);
        *linears[i] = pv_linear_new(params, name, i == O ? out : in, out, true, PV_LINEAR_DWS);
    }
    work->positions = greater(work->positions, positions);
    work->in = greater(work->in, in);
    work->out = greater(work->out, out);
    work->heads = greater(work->heads, heads);
    return sab;
}

void pv_sab_work_reserve(pv_sab_work *work, pv_memory *memory)
{
    if (work->positions == 0) return;
    const int64_t np = padded(PV_ISA_CHOOSE(pv_attention_kernels), work->positions);
    pv_real **of_in[] = {&work->x, &work->dx};
    pv_real **of_out[] = {&work->q,  &work->k,  &work->v,    &work->o,  &work->z,  &work->dq,
                          &work->dk, &work->dv, &work->dout, &work->dz, &work->set};
    for (size_t i = 0; i < sizeof of_in / sizeof *of_in; i++)
        *of_in[i] = pv_take(memory, work->in * np, sizeof(pv_real));
    for (size_t i = 0; i < sizeof of_out / sizeof *of_out; i++)
        *of_out[i] = pv_take(memory, work->out * np, sizeof(pv_real));
    work->share = pv_take(memory, work->heads * np, sizeof(pv_real));
    work->p = pv_take(memory, work->heads * np * np, sizeof(pv_real));
    work->dp = pv_take(memory, np * np, sizeof(pv_real));
    work->turned = pv_take(memory, np * np, sizeof(pv_real));
    for (int i = 0; i < PROJECTIONS; i++) {
        const int64_t values = (int64_t)(i == O ? work->out : work->in) * work->out;
        work->weights[i] = pv_take(memory, values, sizeof(pv_real));
        work->gradients[i] = pv_take(memory, values, sizeof(pv_real));
    }
}

/* c[m][n] = a b, added to c if `add`; element (i, p) of a [m][k] is at a[i * row + p * step]. */
static void multiply(const pv_sab *sab, int m, int n, int k, const pv_real *a, int row, int step,
                     const pv_real *b, bool add, pv_real *c)
{
    const pv_product_term term = {.a = a, .b = b, .row = row, .step = step, .ldb = n, .k = k};
    sab->matrix->product(m, n, 1, &term, add, c);
}

static void project(const pv_sab *sab, const pv_nn_params *params, const pv_linear *linear, const pv_real *x,
                    pv_real *y)
{
    sab->kernels->fill_rows(linear->out, sab->np, pv_nn_values(params, linear->bias), y);
    multiply(sab, linear->out, sab->np, linear->in, pv_nn_values(params, linear->weight), linear->in, 1, x,
             true, y);
}

/* All intermediate results of one sample, up to z = fc_o(o). */
static void sample_forward(const pv_sab *sab, const pv_nn_params *params, const pv_real *x)
{
    const pv_attention_kernels *kernels = sab->kernels;
    const pv_sab_work *w = sab->work;
    const int n = sab->positions, np = sab->np, width = sab->out / sab->heads;
    sab->matrix->transpose(n, sab->in, x, sab->in, w->x, np);
    project(sab, params, &sab->q, w->x, w->q);
    project(sab, params, &sab->k, w->x, w->k);
    project(sab, params, &sab->v, w->x, w->v);
    for (int head = 0; head < sab->heads; head++) {
        const int64_t at = (int64_t)head * width * np;
        pv_real *p = w->p + (int64_t)head * n * np;
        multiply(sab, n, np, width, w->k + at, 1, np, w->q + at, false, p);
        pv_real *share = w->share + (int64_t)head * np;
        kernels->softmax(n, np, (pv_real)(1 / sqrt(sab->out)), p, share);
        multiply(sab, width, np, n, w->v + at, np, 1, p, false, w->o + at);
        kernels->add_shares(width, np, w->q + at, share, w->o + at);
    }
    project(sab, params, &sab->o, w->o, w->z);
}

/* y = beta y + scale x, beta being 0 or 1. */
static void put(const pv_nn_params *params, int n, double scale, const pv_real *x, double beta, pv_real *y)
{
    if (beta == 0) memset(y, 0, sizeof *y * (size_t)n);
    params->kernels->add_row(1, n, (pv_real)scale, x, y);
}

void pv_sab_forward(const pv_sab *sab, const pv_nn_params *params, int count, double scale, const pv_real *x,
                    double beta, pv_real *y)
{
    const pv_sab_work *w = sab->work;
    const int64_t from = (int64_t)sab->positions * sab->in, to = (int64_t)sab->positions * sab->out;
    for (int sample = 0; sample < count; sample++) {
        sample_forward(sab, params, x + sample * from);
        sab->kernels->add_relu((int64_t)sab->out * sab->np, w->o, w->z, w->z);
        sab->matrix->transpose(sab->out, sab->positions, w->z, sab->np, w->set, sab->out);
        put(params, (int)to, scale, w->set, beta, y + sample * to);
    }
}

/* Turns a gradient [out][np] of a projection into [positions][out]; adds to the projection's gradients, whose
 * input is x [positions][in]. */
static void project_backward(const pv_sab *sab, const pv_nn_params *params, const pv_linear *linear,
                             int which, const pv_real *dy, const pv_real *x)
{
    const pv_sab_work *w = sab->work;
    sab->matrix->transpose(linear->out, sab->positions, dy, sab->np, w->set, linear->out);
    params->kernels->sum_rows(sab->positions, linear->out, 1, w->set, pv_nn_gradients(params, linear->bias));
    pv_gemm(params->kernels, true, false, linear->in, linear->out, sab->positions, 1, x, w->set, 1,
            w->gradients[which]);
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
static void sample_backward(const pv_sab *sab, const pv_nn_params *params, const pv_real *x,
                            const pv_real *dy, bool to_input)
{
    const pv_attention_kernels *kernels = sab->kernels;
    const pv_sab_work *w = sab->work;
    const int np = sab->np, out = sab->out;
    const int64_t values = (int64_t)out * np;
    sample_forward(sab, params, x);
    sab->matrix->transpose(sab->positions, out, dy, out, w->dout, np);
    kernels->where_positive(values, w->z, w->dout, w->dz);
    sab->matrix->transpose(out, sab->positions, w->o, np, w->z, out); /* z is not needed any more */
    project_backward(sab, params, &sab->o, O, w->dz, w->z);
    multiply(sab, out, np, out, w->weights[O], out, 1, w->dz, true, w->dout);
    memcpy(w->dq, w->dout, sizeof *w->dq * (size_t)values);
    for (int head = 0; head < sab->heads; head++)
        head_backward(sab, head);
    const pv_linear *const linears[] = {&sab->q, &sab->k, &sab->v};
    const pv_real *const gradients[] = {w->dq, w->dk, w->dv};
    for (int i = Q; i <= V; i++) {
        project_backward(sab, params, linears[i], i, gradients[i], x);
        if (to_input) multiply(sab, sab->in, np, out, w->weights[i], out, 1, gradients[i], i != Q, w->dx);
    }
}

static const pv_linear *projection(const pv_sab *sab, int which)
{
    return which == Q ? &sab->q : which == K ? &sab->k : which == V ? &sab->v : &sab->o;
}

void pv_sab_backward(const pv_sab *sab, const pv_nn_params *params, int count, double scale, const pv_real *x,
                     const pv_real *dy, double beta, pv_real *dx)
{
    const pv_sab_work *w = sab->work;
    const int64_t from = (int64_t)sab->positions * sab->in, to = (int64_t)sab->positions * sab->out;
    for (int i = 0; i < PROJECTIONS; i++) {
        const pv_linear *l = projection(sab, i);
        sab->matrix->transpose(l->out, l->in, pv_nn_values(params, l->weight), l->in, w->weights[i], l->out);
        memset(w->gradients[i], 0, sizeof *w->gradients[i] * (size_t)l->in * (size_t)l->out);
    }
    for (int sample = 0; sample < count; sample++) {
        put(params, (int)to, scale, dy + sample * to, 0, w->set);
        sample_backward(sab, params, x + sample * from, w->set, dx != NULL);
        if (!dx) continue;
        sab->matrix->transpose(sab->in, sab->positions, w->dx, sab->np, w->x, sab->in);
        put(params, (int)from, 1, w->x, beta, dx + sample * from);
    }
    for (int i = 0; i < PROJECTIONS; i++) {
        const pv_linear *l = projection(sab, i);
        sab->matrix->transpose(l->in, l->out, w->gradients[i], l->out, w->weights[i], l->in);
        put(params, l->in * l->out, 1, w->weights[i], 1, pv_nn_gradients(params, l->weight));
    }
}

double pv_sab_flops(const pv_sab *sab)
{
    const double n = sab->positions, in = sab->in, out = sab->out;
    return 2 * n * out * (3 * in + out) + 4 * n * n * out;
}
