/* What is kept of the last layer's output: who holds its maxima, and its small tensors. */
#include "pv_dws_last.h"

#include <string.h>

bool pv_dws_last_picked(const pv_dws_last *last, int tensor)
{
    return last->picks && last->picks[tensor].entry;
}

pv_dws_last pv_dws_last_new(pv_dws_layer *layer, int64_t max_batch, pv_memory *memory)
{
    pv_dws_last last = {.layer = layer, .space = layer->space, .features = layer->opts.out};
    for (int t = 0; layer->picks && t < layer->space->tensors; t++)
        if (layer->picks[t].entry) last.picks = layer->picks;
    for (int t = 0; last.picks && t < last.space->tensors; t++)
        if (pv_dws_last_picked(&last, t))
            PV_TAKE(memory, max_batch * last.features, &last.picks[t].holder);
        else
            last.entries += pv_dws_entries(last.space, t, PV_MARGIN_FULL);
    if (last.picks) PV_TAKE(memory, max_batch * last.entries * last.features, &last.kept);
    return last;
}

/* The small tensors of a tile, between their places in y and in last->kept. */
static void carry(const pv_dws_last *last, int first, int count, pv_real *y, bool back)
{
    pv_real *kept = last->kept + first * last->entries * last->features;
    for (int t = 0; t < last->space->tensors; t++) {
        if (pv_dws_last_picked(last, t)) continue;
        const int64_t values = count * pv_dws_entries(last->space, t, PV_MARGIN_FULL) * last->features;
        pv_real *here = y + pv_dws_at(last->space, t, PV_MARGIN_FULL, count, 0, last->features);
        memcpy(back ? here : kept, back ? kept : here, sizeof *y * (size_t)values);
        kept += values;
    }
}

void pv_dws_last_keep(const pv_dws_last *last, int first, int count, const pv_real *y, const pv_real *x,
                      const pv_dws_margins *margins)
{
    for (int t = 0; t < last->space->tensors; t++) {
        if (!pv_dws_last_picked(last, t)) continue;
        const pv_dws_part part = pv_dws_part_of(margins, count, t);
        (last->layer->kept == PV_DWS_FLOATS ? margins->kernels->find : last->layer->narrow.kernels->find)(
            &part.block, x + part.at, part.pooled.all,
            last->picks[t].holder + (int64_t)first * last->features);
    }
    carry(last, first, count, (pv_real *)y, false);
}

void pv_dws_last_restore(const pv_dws_last *last, int first, int count, pv_real *y)
{
    carry(last, first, count, y, true);
}
