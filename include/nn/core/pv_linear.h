/* Linear maps and stacks of them (Linear, ReLU, Linear, ...). */
#ifndef PV_LINEAR_H
#define PV_LINEAR_H

#include "base/pv_mem.h"
#include "nn/core/pv_nn_params.h"
#include "simd/pv_real.h"

#include <stdint.h>

/* PyTorch's Linear: y = x W^T + b, W [out][in]. */
typedef struct pv_linear {
    int in, out;
    int weight, bias; /* tensor ids; bias -1 when there is none */
} pv_linear;

/* Where initial values come from. */
typedef enum pv_linear_init {
    PV_LINEAR_PYTORCH, /* weight and bias U(+-1/sqrt(in)) */
    PV_LINEAR_DWS,     /* weight N(0, 2/(in+out) * 2 in/out), bias U(+-1e-4): the published model */
    PV_LINEAR_XAVIER,  /* weight U(+-sqrt(6/(in+out))), bias 0: the maps of a transformer */
    PV_LINEAR_SKIP,    /* weight 1/sqrt(in out), bias 0: the published skip of a layer */
    PV_LINEAR_AVERAGE, /* weight 1/(in out), bias 0: the published skip of the model */
} pv_linear_init;

/* Registers <prefix>.weight and, if `bias`, <prefix>.bias. */
pv_linear pv_linear_new(pv_nn_params *params, const char *prefix, int in, int out, bool bias,
                        pv_linear_init init);

/* y = beta y + alpha x W^T, without the bias.  Shapes   x [rows][in], y [rows][out] */
void pv_linear_forward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                       const pv_real *x, double beta, pv_real *y);

/* Adds alpha dy^T x to the weight's gradient and, unless dx is NULL, sets dx = beta dx + alpha dy W. */
void pv_linear_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        const pv_real *x, const pv_real *dy, double beta, pv_real *dx);

/* y += alpha b in every row; nothing without a bias. */
void pv_linear_add_bias(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        pv_real *y);

/* Adds alpha times the sum of the rows of dy to the bias' gradient. */
void pv_linear_bias_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                             const pv_real *dy);

enum { PV_STACK_MAX = 8 }; /* linear maps of the deepest stack */

/* `depth` linear maps with ReLU between them; all but the first are [out][out].  The bias of the last one is
 * not applied by forward and backward: in a DWS layer it belongs to a coarser view than the output. */
typedef struct pv_stack {
    int depth;
    pv_linear linear[PV_STACK_MAX];
    pv_real *hidden[PV_STACK_MAX - 1];  /* [max_rows][out] behind each ReLU */
    pv_real *dhidden[PV_STACK_MAX - 1]; /* their gradients */
} pv_stack;

/* Registers <prefix>.0, <prefix>.2, ... as a torch Sequential would.  Shapes   1 <= depth <= PV_STACK_MAX */
pv_stack pv_stack_new(pv_nn_params *params, const char *prefix, int in, int out, int depth, bool bias,
                      pv_linear_init init);

/* Takes the memory that backward needs for up to max_rows rows. */
void pv_stack_reserve(pv_stack *stack, pv_memory *memory, int64_t max_rows);

/* Multiply-adds a row, times two, forward. */
double pv_stack_row_flops(const pv_stack *stack);

/* y = beta y + alpha stack(x), without the last bias; the rows are number first_row.. of the batch. */
void pv_stack_forward(const pv_stack *stack, const pv_nn_params *params, int64_t first_row, int64_t rows,
                      double alpha, const pv_real *x, double beta, pv_real *y);

/* Adds to the gradients of all weights and inner biases; dx = beta dx + alpha J^T dy unless dx is NULL.
 * Computes what is behind the ReLUs anew, so that rows of one part after another may share the memory. */
void pv_stack_backward(const pv_stack *stack, const pv_nn_params *params, int64_t first_row, int64_t rows,
                       double alpha, const pv_real *x, const pv_real *dy, double beta, pv_real *dx);

/* The last linear map, whose bias the caller applies. */
static inline const pv_linear *pv_stack_last(const pv_stack *stack)
{
    return &stack->linear[stack->depth - 1];
}

/* What the last linear map was given by a forward of x. */
static inline const pv_real *pv_stack_input(const pv_stack *stack, const pv_real *x)
{
    return stack->depth > 1 ? stack->hidden[stack->depth - 2] : x;
}

#endif
