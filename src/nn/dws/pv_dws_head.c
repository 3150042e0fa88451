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

void pv_dws_head_new(pv_dws_head *head, const pv_dws_space *space, int features, int classes, int out_fc,
                     pv_pooling reduction, int64_t max_batch, int max_count, pv_nn_params *params)
{
    *head = (pv_dws_head){.space = space};
    pv_dws_margins_new(&head->margins, space, features, reduction, max_count, params->memory);
    for (int t = 0; t < space->tensors; t++)
        head->width += width_of(head, t);
    const pv_stack stack =
        pv_stack_new(params, "clf.layer", head->width, classes, out_fc, true, PV_LINEAR_PYTORCH);
    head->linear = pv_head_new(params, stack, max_batch);
}

void pv_dws_head_take(pv_dws_head *head, int first, int count, const pv_real *x)
{
    pv_real *to = head->linear.x + (int64_t)first * head->width;
    for (int k = 0; k < head->space->tensors; k++) {
        const int t = tensor_of(head->space, k), width = width_of(head, t);
        const pv_real *from = pv_dws_pooled(&head->margins, count, t, margin_of(head->space, t), x);
        for (int sample = 0; sample < count; sample++)
            memcpy(to + (int64_t)sample * head->width, from + (int64_t)sample * width,
                   sizeof *from * (size_t)width);
        to += width;
    }
}

/* The entries of a sample that hold a maximum, each once and in order, from `entry` on; returns how many. */
static int64_t holders(int f, const int32_t *holder, int64_t first, int64_t *entry)
{
    int64_t count = 0;
    for (int i = 0; i < f; i++) {
        if (holder[i] < 0) continue;
        const int64_t e = first + holder[i];
        int64_t at = count;
        while (at > 0 && entry[at - 1] > e)
            at--;
        if (at > 0 && entry[at - 1] == e) continue;
        memmove(entry + at + 1, entry + at, sizeof *entry * (size_t)(count - at));
        entry[at] = e;
        count++;
    }
    return count;
}

static void pick(pv_dws_picks *picks, int first, int count, int64_t entries, int f, const pv_real *due,
                 pv_real keep)
{
    picks->count = 0;
    for (int s = 0; s < count; s++, due += f) {
        const int32_t *holder = picks->holder + (int64_t)(first + s) * f;
        int64_t *entry = picks->entry + picks->count;
        pv_real *dy = picks->dy + picks->count * f;
        const int64_t found = holders(f, holder, s * entries, entry);
        memset(dy, 0, sizeof *dy * (size_t)(found * f));
        for (int i = 0; i < f; i++)
            for (int64_t at = 0; holder[i] >= 0 && at < found; at++)
                if (entry[at] == s * entries + holder[i]) dy[at * f + i] = keep * due[i];
        picks->count += found;
    }
}

void pv_dws_head_spread(pv_dws_head *head, int first, int count, const pv_real *x, double keep, pv_real *dx,
                        pv_dws_picks *picks)
{
    const pv_dws_space *space = head->space;
    const pv_real *from = head->linear.dx + (int64_t)first * head->width;
    pv_dws_margins_clear(&head->margins, count);
    for (int k = 0; k < space->tensors; k++) {
        const int t = tensor_of(space, k), width = width_of(head, t);
        const pv_dws_part part = pv_dws_part_of(&head->margins, count, t);
        const pv_dws_block *b = &part.block;
        const bool picked = picks && picks[t].entry;
        if (!picked)
            memset(dx + part.at, 0, sizeof *dx * (size_t)(b->rows * b->cols) * (size_t)count * (size_t)b->f);
        pv_real *to = pv_dws_spread_to(&head->margins, count, t, margin_of(space, t), dx);
        for (int sample = 0; sample < count; sample++)
            memcpy(to + (int64_t)sample * width, from + (int64_t)sample * head->width,
                   sizeof *to * (size_t)width);
        from += width;
        if (picked) {
            pick(&picks[t], first, count, b->rows * b->cols, b->f, part.spread.all, (pv_real)keep);
            continue;
        }
        const pv_dws_gate gate = {.x = x + part.at, .best = part.pooled, .relu = true, .keep = (pv_real)keep};
        pv_dws_settle(&head->margins, &part);
        head->margins.back->deactivate(b, &gate, &part.spread, dx + part.at);
    }
}
