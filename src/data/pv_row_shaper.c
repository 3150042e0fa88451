/* Canonical forms and matching of rows as they are loaded. */
#include "pv_row_shaper.h"
#include "base/pv_mem.h"
#include "symmetry/pv_match.h"

#include <stdlib.h>
#include <string.h>

enum { MATCH_SWEEPS = 16 };

struct pv_row_shaper {
    const pv_arch *arch;
    const pv_row_form *form;
    float *before; /* [P] */
    pv_symmetry symmetry;
    pv_matcher *matcher; /* NULL where the form does not match */
};

pv_status pv_row_shaper_new(const pv_arch *arch, const pv_row_form *form, pv_row_shaper **out)
{
    const pv_match_opts opts = {form->opts.align == PV_ALIGN_SIGNED, MATCH_SWEEPS, .starts = 1};
    pv_row_shaper *shaper = NULL;
    pv_status st = PV_OK;
    *out = NULL;
    if (form->opts.canonical & ~pv_symmetry_kinds(arch))
        return pv_fail(PV_ERR_CONFIG, "train.canonical: the activation of these INRs allows no such form");
    PV_ALLOC(shaper, 1);
    shaper->arch = arch;
    shaper->form = form;
    PV_ALLOC(shaper->before, pv_arch_params(arch));
    PV_TRY(pv_symmetry_make(arch, &shaper->symmetry));
    if (form->opts.align != PV_ALIGN_NONE) PV_TRY(pv_matcher_new(arch, &opts, &shaper->matcher));
    *out = shaper;
    shaper = NULL;
done:
    pv_row_shaper_free(shaper);
    return st;
}

void pv_row_shaper_free(pv_row_shaper *shaper)
{
    if (!shaper) return;
    free(shaper->before);
    pv_symmetry_free(&shaper->symmetry);
    pv_matcher_free(shaper->matcher);
    free(shaper);
}

bool pv_row_shaper_changes(const pv_row_shaper *shaper)
{
    return shaper->form->opts.canonical != PV_CANONICAL_NONE || shaper->matcher;
}

void pv_row_shaper_apply(pv_row_shaper *shaper, int64_t object, int64_t view, float *row)
{
    const pv_row_form *form = shaper->form;
    const size_t bytes = sizeof *row * (size_t)form->params;
    if (form->opts.canonical != PV_CANONICAL_NONE) {
        memcpy(shaper->before, row, bytes);
        pv_symmetry_canonical(shaper->arch, shaper->before, form->opts.canonical, &shaper->symmetry);
        pv_symmetry_apply(shaper->arch, &shaper->symmetry, shaper->before, row);
    }
    if (shaper->matcher && form->reference) {
        pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, (uint64_t)object, (uint64_t)view);
        memcpy(shaper->before, row, bytes);
        pv_match_row(shaper->matcher, form->reference, shaper->before, &rng, row);
    }
}
