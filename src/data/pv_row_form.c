/* The form of rows as a value. */
#include "data/pv_row_form.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"

enum { MATCH_SWEEPS = 16 };

void pv_fresh_draw(const pv_fresh *fresh, const pv_arch *arch, float *row)
{
    pv_rng rng = pv_rng_open(fresh->seed, PV_RNG_FRESH, 0, 0);
    pv_inr_init(arch, fresh->variant, &rng, row);
}

pv_match_opts pv_row_form_match(const pv_row_form_opts *opts)
{
    const bool fixed = opts->align == PV_ALIGN_FIXED;
    return (pv_match_opts){.signs = opts->align == PV_ALIGN_SIGNED || (fixed && opts->align_signs),
                           .phases = fixed && opts->align_phases,
                           .max_sweeps = MATCH_SWEEPS,
                           .starts = 1};
}

pv_status pv_row_form_make(const pv_row_form_opts *opts, int params, pv_row_form *form)
{
    pv_status st = PV_OK;
    *form = (pv_row_form){.opts = *opts, .params = params};
    PV_ALLOC(form->mean, params);
    PV_ALLOC(form->std, params);
    for (int i = 0; i < params; i++)
        form->std[i] = 1;
done:
    return st;
}

void pv_row_form_free(pv_row_form *form)
{
    PV_FREE(form->reference, form->mean, form->std);
    *form = (pv_row_form){0};
}

void pv_row_form_normalise(const pv_row_form *form, int64_t n, const float *rows, float *out)
{
    const float *const restrict mean = form->mean, *const restrict std = form->std;
    for (int64_t r = 0; r < n; r++, rows += form->params, out += form->params) {
#pragma GCC ivdep /* rows and out are apart or the same: an entry depends on no other one */
        for (int i = 0; i < form->params; i++)
            out[i] = (rows[i] - mean[i]) / std[i];
    }
}
