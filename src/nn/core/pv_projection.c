/* The projection behind an encoder, a stack of two linear maps. */
#include "nn/core/pv_projection.h"

enum { DEPTH = 2 };

void pv_projection_new(pv_projection *projection, int width, int64_t max_batch, pv_nn_params *params,
                       pv_memory *memory)
{
    projection->width = width;
    pv_nn_params_next_stage(params);
    projection->stack = pv_stack_new(params, "projection", width, width, DEPTH, true, PV_LINEAR_PYTORCH);
    pv_stack_reserve(&projection->stack, memory, max_batch);
    projection->embedding = pv_take(memory, max_batch * width, sizeof(pv_real));
    projection->dembedding = pv_take(memory, max_batch * width, sizeof(pv_real));
}

void pv_projection_forward(pv_projection *projection, const pv_nn_params *params, int batch, pv_real *out)
{
    pv_stack_forward(&projection->stack, params, 0, batch, 1, projection->embedding, 0, out);
    pv_linear_add_bias(pv_stack_last(&projection->stack), params, batch, 1, out);
}

void pv_projection_backward(pv_projection *projection, const pv_nn_params *params, int batch,
                            const pv_real *dout)
{
    pv_linear_bias_backward(pv_stack_last(&projection->stack), params, batch, 1, dout);
    pv_stack_backward(&projection->stack, params, 0, batch, 1, projection->embedding, dout, 0,
                      projection->dembedding);
}
