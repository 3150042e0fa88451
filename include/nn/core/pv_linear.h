/* Matrix products, linear maps, and stacks of them (Linear, ReLU, Linear, ...). */
#ifndef PV_LINEAR_H
#define PV_LINEAR_H

#include "nn/core/pv_nn_params.h"

/* c = alpha op(a) op(b) + beta c, op transposing if asked.
 * Shapes   op(a) [m][k], op(b) [k][n], c [m][n]; all row-major without gaps.  Empty products leave c alone.
 * The long thin products of a weight-space layer go to the room's own kernels, the others to BLAS. */
void pv_gemm(const pv_nn_kernels *kernels, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
             int64_t k, double alpha, const pv_real *a, const pv_real *b, double beta, pv_real *c);

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

/* y = beta y + alpha (x W^T + b).  Shapes   x [rows][in], y [rows][out] */
void pv_linear_forward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                       const pv_real *x, double beta, pv_real *y);

/* Adds alpha dy^T x and alpha times the sum of dy's rows to the gradients of weight and bias and, unless dx
 * is NULL, sets dx = beta dx + alpha dy W. */
void pv_linear_backward(const pv_linear *linear, const pv_nn_params *params, int64_t rows, double alpha,
                        const pv_real *x, const pv_real *dy, double beta, pv_real *dx);

enum { PV_STACK_MAX = 8 }; /* linear maps of the deepest stack */

/* `depth` linear maps with ReLU between them; all but the first are [out][out]. */
typedef struct pv_stack {
    int depth;
    pv_linear linear[PV_STACK_MAX];
    pv_real *hidden[PV_STACK_MAX - 1];  /* [max_rows][out] behind each ReLU */
    pv_real *dhidden[PV_STACK_MAX - 1]; /* their gradients */
} pv_stack;

/* Registers <prefix>.0, <prefix>.2, ... as a torch Sequential would.  Shapes   1 <= depth <= PV_STACK_MAX */
pv_stack pv_stack_new(pv_nn_params *params, const char *prefix, int in, int out, int depth, bool bias,
                      pv_linear_init init);

/* Takes the memory for passes of at most max_rows rows. */
void pv_stack_reserve(pv_stack *stack, pv_memory *memory, int64_t max_rows);

/* Multiply-adds a row, times two, forward. */
double pv_stack_row_flops(const pv_stack *stack);

/* y = beta y + alpha stack(x). */
void pv_stack_forward(const pv_stack *stack, const pv_nn_params *params, int64_t rows, double alpha,
                      const pv_real *x, double beta, pv_real *y);

/* Adds to the gradients of all weights and biases; dx = beta dx + alpha J^T dy unless dx is NULL.  Computes
 * what is behind the ReLUs anew, so that rows of one part after another may share the memory. */
void pv_stack_backward(const pv_stack *stack, const pv_nn_params *params, int64_t rows, double alpha,
                       const pv_real *x, const pv_real *dy, double beta, pv_real *dx);

/* What the last linear map was given by a forward of x.  Shapes   [rows][*width] */
const pv_real *pv_stack_features(const pv_stack *stack, const pv_real *x, int *width);

/* The stack behind an encoder: what classifies, or projects for contrastive training. */
typedef struct pv_head {
    pv_nn_params *params;
    pv_stack stack;  /* depth 0: there is no head */
    pv_real *x, *dx; /* [max_batch][in]: what the encoder gives, and its gradient */
} pv_head;

/* Takes a stack that is registered, and the memory for it. */
pv_head pv_head_new(pv_nn_params *params, pv_stack stack, int64_t max_batch);

/* From `x` to out [batch][out]; and back: adds to the gradients of the stack's tensors, sets `dx`. */
void pv_head_forward(const pv_head *head, int batch, pv_real *out);
void pv_head_backward(const pv_head *head, int batch, const pv_real *dout);

#endif
