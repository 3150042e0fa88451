/* Linear maps and stacks of them, on pv_gemm. */
#include "nn/core/pv_linear.h"
#include "nn/core/pv_blas.h"

#include <math.h>
#include <stdio.h>

static pv_init weight_init(pv_linear_init init, double in, double out)
{
    switch (init) {
    case PV_LINEAR_DWS:
        return (pv_init){PV_INIT_NORMAL, sqrt(2 / (in + out)) * sqrt(2 * in / out)};
    case PV_LINEAR_XAVIER:
        return (pv_init){PV_INIT_UNIFORM, sqrt(6 / (in + out))};
    case PV_LINEAR_SKIP:
        return (pv_init){PV_INIT_CONSTANT, 1 / sqrt(in * out)};
    case PV_LINEAR_AVERAGE:
        return (pv_init){PV_INIT_CONSTANT, 1 / (in * out)};
    case PV_LINEAR_PYTORCH:
        break;
    }
    return (pv_init){PV_INIT_UNIFORM, 1 / sqrt(in)};
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
}

void pv_linear_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    pv_gemm(params->kernels, true, false, linear->out, linear->in, rows, alpha, dy, x, 1,
            pv_nn_gradients(params, linear->weight));
    if (dx)
        pv_gemm(params->kernels, false, false, rows, linear->in, linear->out, alpha, dy,
                pv_nn_values(params, linear->weight), beta, dx);
}

void pv_linear_add_bias(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        pv_real *y)
{
    if (linear->bias < 0) return;
    params->kernels->add_row(rows, linear->out, (pv_real)alpha, pv_nn_values(params, linear->bias), y);
}

void pv_linear_bias_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                             const pv_real *dy)
{
    if (linear->bias < 0) return;
    params->kernels->sum_rows(rows, linear->out, (pv_real)alpha, dy, pv_nn_gradients(params, linear->bias));
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
        stack->hidden[i] = pv_take(memory, max_rows * stack->linear[i].out, sizeof(pv_real));
        stack->dhidden[i] = pv_take(memory, max_rows * stack->linear[i].out, sizeof(pv_real));
    }
}

double pv_stack_row_flops(const pv_stack *stack)
{
    double flops = 0;
    for (int i = 0; i < stack->depth; i++)
        flops += 2.0 * stack->linear[i].in * stack->linear[i].out;
    return flops;
}

/* All linear maps but the last, with their ReLUs.  Returns what the last one is given. */
static const pv_real *hidden_forward(const pv_stack *stack, const pv_nn_params *params, int64_t first_row,
                                     int64_t rows, const pv_real *x)
{
    for (int i = 0; i < stack->depth - 1; i++) {
        const pv_linear *linear = &stack->linear[i];
        pv_real *hidden = stack->hidden[i] + first_row * linear->out;
        pv_linear_forward(linear, params, rows, 1, x, 0, hidden);
        pv_linear_add_bias(linear, params, rows, 1, hidden);
        params->kernels->relu(rows * linear->out, hidden, hidden);
        x = hidden;
    }
    return x;
}

void pv_stack_forward(const pv_stack *stack, const pv_nn_params *params, int64_t first_row, int64_t rows,
                      double alpha, const pv_real *x, double beta, pv_real *y)
{
    pv_linear_forward(pv_stack_last(stack), params, rows, alpha,
                      hidden_forward(stack, params, first_row, rows, x), beta, y);
}

void pv_stack_backward(const pv_stack *stack, const pv_nn_params *params, int64_t first_row, int64_t rows,
                       double alpha, const pv_real *x, const pv_real *dy, double beta, pv_real *dx)
{
    hidden_forward(stack, params, first_row, rows, x);
    for (int i = stack->depth - 1; i > 0; i--) {
        const pv_linear *linear = &stack->linear[i];
        const pv_real *hidden = stack->hidden[i - 1] + first_row * linear->in;
        pv_real *dhidden = stack->dhidden[i - 1] + first_row * linear->in;
        pv_linear_backward(linear, params, rows, alpha, hidden, dy, 0, dhidden);
        params->kernels->relu_backward(rows * linear->in, hidden, 1, dhidden);
        pv_linear_bias_backward(&stack->linear[i - 1], params, rows, 1, dhidden);
        dy = dhidden;
        alpha = 1;
    }
    pv_linear_backward(&stack->linear[0], params, rows, alpha, x, dy, beta, dx);
}
