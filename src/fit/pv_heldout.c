/* How good a fit of a shape is, by samples of it that the fit did not see. */
#include "fit/pv_heldout.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"

#include <math.h>
#include <stdlib.h>

pv_status pv_heldout_make(const pv_signal *signal, int slots, pv_heldout *h)
{
    const pv_source_form *form = pv_signal_form(signal);
    const int64_t all = (int64_t)slots * form->heldout;
    pv_status st = PV_OK;
    h->count = form->heldout;
    h->inputs = form->inputs;
    h->channels = form->channels;
    if (all == 0) return PV_OK;
    PV_ALLOC(h->coords, all * form->inputs);
    PV_ALLOC(h->values, all * form->channels);
    PV_ALLOC(h->fitted, (int64_t)form->heldout * form->channels);
done:
    return st;
}

void pv_heldout_free(pv_heldout *h)
{
    free(h->coords);
    free(h->values);
    free(h->fitted);
}

pv_status pv_heldout_take(const pv_signal *signal, int64_t object, int slot, pv_heldout *h)
{
    const int64_t before = (int64_t)slot * h->count;
    if (h->count == 0) return PV_OK;
    return pv_signal_heldout(signal, object, h->coords + before * h->inputs,
                             h->values + before * h->channels);
}

pv_status pv_heldout_judge(const pv_heldout *h, int slot, const pv_arch *arch, const float *row,
                           pv_judgement *judgement)
{
    const int64_t before = (int64_t)slot * h->count;
    const float *values = h->values + before * h->channels, *fitted = h->fitted;
    const int near = h->count / 2;
    int both = 0, either = 0;
    double error = 0;
    *judgement = (pv_judgement){NAN, NAN};
    if (h->count == 0) return PV_OK;
    const pv_status st = pv_inr_eval(arch, row, h->count, h->coords + before * h->inputs, h->fitted);
    if (st != PV_OK) return st;
    for (int i = 0; i < h->count; i++, values += h->channels, fitted += h->channels) {
        if (i < near) {
            error += fabs((double)*fitted - (double)*values);
        } else {
            both += *values < 0 && *fitted < 0;
            either += *values < 0 || *fitted < 0;
        }
    }
    *judgement = (pv_judgement){either > 0 ? (float)both / (float)either : NAN, (float)(error / near)};
    return PV_OK;
}
