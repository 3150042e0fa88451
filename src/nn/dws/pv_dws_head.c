/* The invariant head: pools the margins, classifies them, and spreads their gradients. */
#include "pv_dws_head.h"

#include <string.h>

/* The order in which the pooled tensors are concatenated: weights 1..L-2, 0, L-1, then the biases. */
static int tensor_of(const pv_dws_space *space, int k)
{
    const int last = space->layers - 1;
    if (k < last - 1) return k + 1;
    return k == last - 1 ? 0 : k;
}

/* Inputs and outputs of the INR are not permuted: they stay apart. */
static pv_dws_margin margin_of(const pv_dws_space *space, int tensor)
{
    const int last = space->layers - 1;
    if (tensor == space->tensors - 1) return PV_MARGIN_FULL;
    return tensor > 0 && tensor < last ? PV_MARGIN_ALL : PV_MARGIN_COL;
}

static int width_of(const pv_dws_head *head, int tensor)
{
    return (int)pv_dws_entries(head->space, tensor, margin_of(head->space, tensor)) * head->margins.features;
}

pv_status pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                          pv_pooling reduction, int max_batch, int max_count, pv_nn_params *params,
                          pv_memory *memory)
{
    if (out_fc < 1 || out_fc > PV_STACK_MAX)
        return pv_fail(PV_ERR_CONFIG, "model.out_fc: must be 1 to %d, not %d", PV_STACK_MAX, out_fc);
    *head = (pv_dws_head){.space = space, .params = params};
    pv_dws_margins_new(&head->margins, space, features, reduction, max_count, memory);
    for (int t = 0; t < space->tensors; t++)
        head->width += width_of(head, t);
    head->stack = pv_stack_new(params, "clf.layer", head->width, classes, out_fc, true, PV_LINEAR_PYTORCH);
    pv_stack_reserve(&head->stack, memory, max_batch);
    head->pooled = pv_take(memory, (int64_t)max_batch * head->width, sizeof(pv_real));
    head->dpooled = pv_take(memory, (int64_t)max_batch * head->width, sizeof(pv_real));
    return pv_memory_status(memory);
}

void pv_dws_head_take(pv_dws_head *head, int first, int count, const pv_real *x)
{
    pv_real *to = head->pooled + (int64_t)first * head->width;
    for (int k = 0; k < head->space->tensors; k++) {
        const int t = tensor_of(head->space, k), width = width_of(head, t);
        const pv_real *from = pv_dws_pooled(&head->margins, count, t, margin_of(head->space, t), x);
        for (int sample = 0; sample < count; sample++)
            memcpy(to + (int64_t)sample * head->width, from + (int64_t)sample * width,
                   sizeof *from * (size_t)width);
        to += width;
    }
}

void pv_dws_head_forward(pv_dws_head *head, int batch, pv_real *logits)
{
    pv_stack_forward(&head->stack, head->params, 0, batch, 1, head->pooled, 0, logits);
    pv_linear_add_bias(pv_stack_last(&head->stack), head->params, batch, 1, logits);
}

void pv_dws_head_backward(pv_dws_head *head, int batch, const pv_real *dlogits)
{
    pv_stack_backward(&head->stack, head->params, 0, batch, 1, head->pooled, dlogits, 0, head->dpooled);
    pv_linear_bias_backward(pv_stack_last(&head->stack), head->params, batch, 1, dlogits);
}

void pv_dws_head_spread(pv_dws_head *head, int first, int count, const pv_real *x, double keep, pv_real *dx,
                        pv_dws_picks *picks)
{
    const pv_dws_space *space = head->space;
    const int f = head->margins.features;
    const pv_real *from = head->dpooled + (int64_t)first * head->width;
    for (int margin = PV_MARGIN_ROW; margin < PV_MARGIN_COUNT; margin++)
        memset(head->margins.spread[margin], 0, sizeof(pv_real) * (size_t)(space->total[margin] * count * f));
    for (int k = 0; k < space->tensors; k++) {
        const int t = tensor_of(space, k), width = width_of(head, t);
        const int64_t at = pv_dws_at(space, t, PV_MARGIN_FULL, count, 0, f);
        const pv_dws_block block = pv_dws_margins_block(&head->margins, count, t);
        const bool picked = picks && picks[t].entry;
        if (!picked)
            memset(dx + at, 0, sizeof *dx * (size_t)(block.rows * block.cols) * (size_t)count * (size_t)f);
        pv_real *to = pv_dws_spread_to(&head->margins, count, t, margin_of(space, t), dx);
        for (int sample = 0; sample < count; sample++)
            memcpy(to + (int64_t)sample * width, from + (int64_t)sample * head->width,
                   sizeof *to * (size_t)width);
        from += width;
        const pv_dws_values best = pv_dws_margins_pooled(&head->margins, count, t);
        const pv_dws_values spread = pv_dws_margins_spread(&head->margins, count, t);
        if (picked) {
            picks[t].count = head->margins.back->pick(&block, x + at, best.all, spread.all, (pv_real)keep,
                                                      picks[t].entry, picks[t].dy);
            continue;
        }
        const pv_dws_gate gate = {.x = x + at, .best = best, .relu = true, .keep = (pv_real)keep};
        pv_dws_margins_settle(&head->margins, count, t);
        head->margins.back->deactivate(&block, &gate, &spread, dx + at);
    }
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
