/* Matrix products by the room's own kernels where a packed operand fits into a cache, else by BLAS; linear
 * maps and stacks of them. */
#include "nn/core/pv_linear.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>

enum { SMALL = 4096 }; /* numbers of a matrix that stays in the first-level cache */

static void blas(bool transpose_a, bool transpose_b, int m, int n, int k, double alpha, const pv_real *a,
                 const pv_real *b, double beta, pv_real *c)
{
    const CBLAS_TRANSPOSE ta = transpose_a ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE tb = transpose_b ? CblasTrans : CblasNoTrans;
    const int lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
#ifdef PV_REAL_IS_DOUBLE
    cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, n);
#else
    cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, (float)alpha, a, lda, b, ldb, (float)beta, c, n);
#endif
}

/* alpha op(b) as [k][n]. */
static void pack(bool transpose, int n, int k, double alpha, const pv_real *b, pv_real *packed)
{
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++)
            packed[i * n + j] = (pv_real)alpha * b[transpose ? j * k + i : i * n + j];
}

void pv_gemm(const pv_nn_kernels *kernels, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
             int64_t k, double alpha, const pv_real *a, const pv_real *b, double beta, pv_real *c)
{
    if (m == 0 || n == 0 || k == 0) return;
    const bool fits = n % kernels->lanes == 0 && (beta == 0 || beta == 1);
    if (fits && !transpose_a && n * k <= SMALL) {
        pv_real packed[SMALL];
        pack(transpose_b, (int)n, (int)k, alpha, b, packed);
        const pv_product_term term = pv_product_of(a, packed, (int)n, (int)k);
        kernels->matrix->product(m, (int)n, 1, &term, beta == 1, c);
    } else if (fits && transpose_a && !transpose_b && beta == 1 && m * n <= SMALL) {
        kernels->matrix->outer((int)m, (int)n, k, PV_OUTER_BLOCK, (pv_real)alpha, a, b, c);
    } else {
        blas(transpose_a, transpose_b, (int)m, (int)n, (int)k, alpha, a, b, beta, c);
    }
}

static pv_init weight_init(pv_linear_init init, double in, double out)
{
    const pv_init of[] = {
        [PV_LINEAR_PYTORCH] = {PV_INIT_UNIFORM, 1 / sqrt(in)},
        [PV_LINEAR_DWS] = {PV_INIT_NORMAL, sqrt(2 / (in + out)) * sqrt(2 * in / out)},
        [PV_LINEAR_XAVIER] = {PV_INIT_UNIFORM, sqrt(6 / (in + out))},
        [PV_LINEAR_SKIP] = {PV_INIT_CONSTANT, 1 / sqrt(in * out)},
        [PV_LINEAR_AVERAGE] = {PV_INIT_CONSTANT, 1 / (in * out)},
    };
    return of[init];
}

static pv_init bias_init(pv_linear_init init, double in)
{
    if (init == PV_LINEAR_PYTORCH) return (pv_init){PV_INIT_UNIFORM, 1 / sqrt(in)};
    return init == PV_LINEAR_DWS ? (pv_init){PV_INIT_UNIFORM, 1e-4} : (pv_init){PV_INIT_CONSTANT, 0};
}

pv_linear pv_linear_new(pv_nn_params *params, const char *prefix, int in, int out, bool bias,
                        pv_linear_init init)
{
    pv_linear linear = {.in = in, .out = out, .bias = -1};
    char name[PV_NN_NAME + 8];
    snprintf(name, sizeof name, "%s.weight", prefix);
    linear.weight = pv_nn_params_add(params, name, 2, out, in, true, weight_init(init, in, out));
    if (bias) {
        snprintf(name, sizeof name, "%s.bias", prefix);
        linear.bias = pv_nn_params_add(params, name, 1, out, 1, true, bias_init(init, in));
    }
    return linear;
}

void pv_linear_forward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                       const pv_real *x, double beta, pv_real *y)
{
    pv_gemm(params->kernels, false, true, rows, linear->out, linear->in, alpha, x,
            pv_nn_values(params, linear->weight), beta, y);
    if (linear->bias >= 0)
        params->kernels->add_row(rows, linear->out, (pv_real)alpha, pv_nn_values(params, linear->bias), y);
}

void pv_linear_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    const pv_nn_kernels *kernels = params->kernels;
    pv_gemm(kernels, true, false, linear->out, linear->in, rows, alpha, dy, x, 1,
            pv_nn_gradients(params, linear->weight));
    if (linear->bias >= 0)
        kernels->sum_rows(rows, linear->out, (pv_real)alpha, dy, pv_nn_gradients(params, linear->bias));
    if (dx)
        pv_gemm(kernels, false, false, rows, linear->in, linear->out, alpha, dy,
                pv_nn_values(params, linear->weight), beta, dx);
}

pv_stack pv_stack_new(pv_nn_params *params, const char *prefix, int in, int out, int depth, bool bias,
                      pv_linear_init init)
{
    pv_stack stack = {.depth = depth};
    for (int i = 0; i < depth; i++) {
        char name[PV_NN_NAME];
        snprintf(name, sizeof name, "%s.%d", prefix, 2 * i);
        stack.linear[i] = pv_linear_new(params, name, i ? out : in, out, bias, init);
    }
    return stack;
}

void pv_stack_reserve(pv_stack *stack, pv_memory *memory, int64_t max_rows)
{
    for (int i = 0; i < stack->depth - 1; i++) {
        PV_TAKE(memory, max_rows * stack->linear[i].out, &stack->hidden[i], &stack->dhidden[i]);
    }
}

double pv_stack_row_flops(const pv_stack *stack)
{
    double flops = 0;
    for (int i = 0; i < stack->depth; i++)
        flops += 2.0 * stack->linear[i].in * stack->linear[i].out;
    return flops;
}

const pv_real *pv_stack_features(const pv_stack *stack, const pv_real *x, int *width)
{
    *width = stack->linear[stack->depth - 1].in;
    return stack->depth > 1 ? stack->hidden[stack->depth - 2] : x;
}

/* All linear maps but the last, with their ReLUs.  Returns what the last one is given. */
static const pv_real *hidden_forward(const pv_stack *stack, const pv_nn_params *params, int64_t rows,
                                     const pv_real *x)
{
    for (int i = 0; i < stack->depth - 1; i++) {
        pv_linear_forward(&stack->linear[i], params, rows, 1, x, 0, stack->hidden[i]);
        params->kernels->relu(rows * stack->linear[i].out, stack->hidden[i], stack->hidden[i]);
        x = stack->hidden[i];
    }
    return x;
}

void pv_stack_forward(const pv_stack *stack, const pv_nn_params *params, int64_t rows, double alpha,
                      const pv_real *x, double beta, pv_real *y)
{
    x = hidden_forward(stack, params, rows, x);
    pv_linear_forward(&stack->linear[stack->depth - 1], params, rows, alpha, x, beta, y);
}

void pv_stack_backward(const pv_stack *stack, const pv_nn_params *params, int64_t rows, double alpha,
                       const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    hidden_forward(stack, params, rows, x);
    for (int i = stack->depth - 1; i > 0; i--, alpha = 1) {
        pv_real *const dhidden = stack->dhidden[i - 1];
        pv_linear_backward(&stack->linear[i], params, rows, alpha, stack->hidden[i - 1], dy, 0, dhidden);
        params->kernels->relu_backward(rows * stack->linear[i].in, stack->hidden[i - 1], 1, dhidden);
        dy = dhidden;
    }
    pv_linear_backward(&stack->linear[0], params, rows, alpha, x, dy, beta, dx);
}

pv_head pv_head_new(pv_nn_params *params, pv_stack stack, int64_t max_batch)
{
    pv_head head = {.params = params, .stack = stack};
    pv_stack_reserve(&head.stack, params->memory, max_batch);
    PV_TAKE(params->memory, max_batch * stack.linear[0].in, &head.x, &head.dx);
    return head;
}

void pv_head_forward(const pv_head *head, int batch, pv_real *out)
{
    pv_stack_forward(&head->stack, head->params, batch, 1, head->x, 0, out);
}

void pv_head_backward(const pv_head *head, int batch, const pv_real *dout)
{
    pv_stack_backward(&head->stack, head->params, batch, 1, head->x, dout, 0, head->dx);
}
