#include "nn/pv_dws_head.h"

#include <string.h>

/* The order in which the pooled tensors are concatenated: weights 1..L-2, 0, L-1, then the biases. */
static int tensor_of(const pv_dws_space *space, int piece)
{
    const int last = space->layers - 1;
    if (piece < last - 1) return piece + 1;
    return piece == last - 1 ? 0 : piece;
}

/* Inputs and outputs of the INR are not permuted: they stay apart. */
static pv_dws_view view_of(const pv_dws_space *space, int tensor)
{
    const int last = space->layers - 1;
    if (tensor == space->tensors - 1) return PV_VIEW_FULL;
    return tensor > 0 && tensor < last ? PV_VIEW_ALL : PV_VIEW_COL;
}

static int width_of(const pv_dws_head *head, int tensor)
{
    return (int)pv_dws_entries(head->space, tensor, view_of(head->space, tensor)) * head->views.features;
}

pv_status pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                          pv_reduction reduction, int max_batch, pv_nn_params *params, pv_nn_memory *memory)
{
    if (out_fc < 1 || out_fc > PV_STACK_MAX)
        return pv_fail(PV_ERR_CONFIG, "model.out_fc: must be 1 to %d, not %d", PV_STACK_MAX, out_fc);
    *head = (pv_dws_head){.space = space, .params = params};
    pv_dws_views_open(&head->views, space, params->kernels, features, reduction);
    for (int t = 0; t < space->tensors; t++) {
        head->views.need[t][view_of(space, t)] = true;
        head->width += width_of(head, t);
    }
    pv_dws_views_reserve(&head->views, memory, max_batch);
    head->stack = pv_stack_new(params, "clf.layer", head->width, classes, out_fc, true, PV_LINEAR_PYTORCH);
    pv_stack_reserve(&head->stack, memory, max_batch);
    head->pooled = pv_nn_take(memory, (int64_t)max_batch * head->width, sizeof(pv_real));
    head->dpooled = pv_nn_take(memory, (int64_t)max_batch * head->width, sizeof(pv_real));
    return pv_nn_memory_status(memory);
}

void pv_dws_head_pool(pv_dws_head *head, int batch, int tensor, int first, int count, const pv_real *x)
{
    pv_dws_pool(&head->views, batch, tensor, first, count, x);
}

void pv_dws_head_forward(pv_dws_head *head, int batch, const pv_real *x, pv_real *logits)
{
    int at = 0;
    for (int piece = 0; piece < head->space->tensors; piece++) {
        const int t = tensor_of(head->space, piece), width = width_of(head, t);
        const pv_real *from = pv_dws_pooled(&head->views, batch, t, view_of(head->space, t), x);
        for (int sample = 0; sample < batch; sample++)
            memcpy(head->pooled + (int64_t)sample * head->width + at, from + (int64_t)sample * width,
                   sizeof *from * (size_t)width);
        at += width;
    }
    pv_stack_forward(&head->stack, head->params, 0, batch, 1, head->pooled, 0, logits);
    pv_linear_add_bias(pv_stack_last(&head->stack), head->params, batch, 1, logits);
}

void pv_dws_head_backward(pv_dws_head *head, int batch, const pv_real *dlogits)
{
    pv_stack_backward(&head->stack, head->params, 0, batch, 1, head->pooled, dlogits, 0, head->dpooled);
    pv_linear_bias_backward(pv_stack_last(&head->stack), head->params, batch, 1, dlogits);
    pv_dws_spread_clear(&head->views, batch);
    int at = 0;
    for (int piece = 0; piece < head->space->tensors; piece++) {
        const int t = tensor_of(head->space, piece), width = width_of(head, t);
        const pv_dws_view view = view_of(head->space, t);
        for (int sample = 0; view != PV_VIEW_FULL && sample < batch; sample++)
            memcpy(pv_dws_spread_to(&head->views, batch, t, view, NULL) + (int64_t)sample * width,
                   head->dpooled + (int64_t)sample * head->width + at, sizeof(pv_real) * (size_t)width);
        at += width;
    }
}

void pv_dws_head_spread(pv_dws_head *head, int batch, int tensor, int first, int count, pv_real *dx)
{
    const int64_t entries = pv_dws_entries(head->space, tensor, PV_VIEW_FULL) * head->views.features;
    pv_real *block = dx + pv_dws_at(head->space, tensor, PV_VIEW_FULL, batch, first, head->views.features);
    memset(block, 0, sizeof *block * (size_t)(count * entries));
    if (view_of(head->space, tensor) != PV_VIEW_FULL) {
        pv_dws_spread(&head->views, batch, tensor, first, count, dx);
        return;
    }
    for (int sample = 0; sample < count; sample++) /* the last piece: at the end of the pooled features */
        memcpy(block + sample * entries,
               head->dpooled + (int64_t)(first + sample + 1) * head->width - entries,
               sizeof *block * (size_t)entries);
}

const pv_real *pv_dws_head_features(const pv_dws_head *head, int *width)
{
    *width = pv_stack_last(&head->stack)->in;
    return pv_stack_input(&head->stack, head->pooled);
}

double pv_dws_head_flops(const pv_dws_head *head)
{
    return pv_stack_row_flops(&head->stack);
}
