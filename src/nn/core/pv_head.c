/* A stack of linear maps with the bias of its last one. */
#include "nn/core/pv_head.h"

pv_head pv_head_new(pv_nn_params *params, pv_stack stack, int64_t max_batch)
{
    const int in = stack.linear[0].in;
    pv_stack_reserve(&stack, params->memory, max_batch);
    return (pv_head){.params = params,
                     .stack = stack,
                     .x = pv_take(params->memory, max_batch * in, sizeof(pv_real)),
                     .dx = pv_take(params->memory, max_batch * in, sizeof(pv_real))};
}

void pv_head_forward(const pv_head *head, int batch, pv_real *out)
{
    pv_stack_forward(&head->stack, head->params, 0, batch, 1, head->x, 0, out);
    pv_linear_add_bias(pv_stack_last(&head->stack), head->params, batch, 1, out);
}

void pv_head_backward(const pv_head *head, int batch, const pv_real *dout)
{
    pv_linear_bias_backward(pv_stack_last(&head->stack), head->params, batch, 1, dout);
    pv_stack_backward(&head->stack, head->params, 0, batch, 1, head->x, dout, 0, head->dx);
}
