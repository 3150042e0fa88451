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

pv_canonical pv_row_form_canonical(const pv_row_form_opts *opts)
{
    const bool signs = opts->canonical & PV_CANONICAL_SIGN;
    return opts->features == PV_READING_PHASOR && signs ? opts->canonical | PV_CANONICAL_TURN
                                                        : opts->canonical;
}

pv_match_opts pv_row_form_match(const pv_row_form_opts *opts)
{
    const bool fixed = opts->align == PV_ALIGN_FIXED;
    return (pv_match_opts){.signs = opts->align == PV_ALIGN_SIGNED || (fixed && opts->align_signs),
                           .phases = fixed && opts->align_phases,
                           .max_sweeps = MATCH_SWEEPS,
                           .starts = 1};
}

pv_status pv_row_form_make(const pv_row_form_opts *opts, const pv_arch *arch, pv_row_form *form)
{
    pv_status st;
    *form = (pv_row_form){.opts = *opts,
                          .arch = *arch,
                          .params = pv_arch_params(arch),
                          .width = pv_reading_count(arch, opts->features)};
    PV_TRY(pv_reading_check(arch, opts->features));
    PV_ALLOC(form->mean, form->width);
    PV_ALLOC(form->std, form->width);
    for (int i = 0; i < form->width; i++)
        form->std[i] = 1;
done:
    return st;
}

void pv_row_form_free(pv_row_form *form)
{
    PV_FREE(form->reference, form->mean, form->std);
    *form = (pv_row_form){0};
}

void pv_row_form_finish(const pv_row_form *form, const float *row, float *out)
{
    const float *const restrict mean = form->mean, *const restrict std = form->std;
    pv_reading_make(&form->arch, form->opts.features, row, out);
    for (int i = 0; i < form->width; i++)
        out[i] = (out[i] - mean[i]) / std[i];
}
