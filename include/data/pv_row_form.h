/* The form in which a model takes rows: canonical under the symmetries of an INR, then matched to a
 * reference, a fitted row or a fresh one; then, behind any augmentation, read as the model wants them and
 * normalised.  Training makes it by its options and measures what they leave open on the training split; a
 * model file keeps it, and whoever gives rows to the model brings them into it. */
#ifndef PV_ROW_FORM_H
#define PV_ROW_FORM_H

#include "base/pv_status.h"
#include "inr/pv_reading.h"
#include "symmetry/pv_match.h"
#include "symmetry/pv_symmetry.h"

#include <stdint.h>

/* By whose mean and deviation an entry is normalised; scale: by its tensor's deviation from 0 alone, so that
 * signs stay. */
typedef enum pv_normalise {
    PV_NORMALISE_ENTRY,
    PV_NORMALISE_TENSOR,
    PV_NORMALISE_SCALE,
    PV_NORMALISE_NONE
} pv_normalise;

/* To what rows are matched, and by what: to the first row by permutations or signed permutations; or to a
 * fresh network by what the options say. */
typedef enum pv_alignment {
    PV_ALIGN_NONE,
    PV_ALIGN_PERMUTATION,
    PV_ALIGN_SIGNED,
    PV_ALIGN_FIXED
} pv_alignment;

/* A network that nobody fitted: as INRs of the variant start, drawn from the seed. */
typedef struct pv_fresh {
    uint64_t seed;
    pv_inr_variant variant;
} pv_fresh;

/* Shapes   row [P]
 * Random   PV_RNG_FRESH */
void pv_fresh_draw(const pv_fresh *fresh, const pv_arch *arch, float *row);

/* What is asked for. */
typedef struct pv_row_form_opts {
    pv_canonical canonical;
    pv_alignment align;
    bool align_signs, align_phases; /* of PV_ALIGN_FIXED: besides permutations */
    pv_fresh fresh;                 /* of PV_ALIGN_FIXED, said by whoever asks */
    pv_reading features;            /* the model's, which its own section says */
    pv_normalise normalise;
} pv_row_form_opts;

/* What pv_symmetry_canonical is to do: signs are those of phasors where the model reads phasors, whatever
 * turns a bias has made. */
pv_canonical pv_row_form_canonical(const pv_row_form_opts *opts);
/* How rows are matched to the reference, where they are. */
pv_match_opts pv_row_form_match(const pv_row_form_opts *opts);

typedef struct pv_row_form {
    pv_row_form_opts opts;
    pv_arch arch;
    int params, width; /* numbers of a row, P, and of what the model reads of it: at least as many */
    float *reference;  /* [P], canonical; NULL: rows are not matched, or the reference is not chosen yet */
    float *mean, *std; /* [width]; std > 0 */
} pv_row_form;

/* A form without a reference, with the statistics mean 0 and std 1.  Owner: pv_row_form_free, safe on zeros.
 * Local.  Errors: PV_ERR_NOMEM, PV_ERR_CONFIG (pv_reading_check). */
pv_status pv_row_form_make(const pv_row_form_opts *opts, const pv_arch *arch, pv_row_form *form);
void pv_row_form_free(pv_row_form *form);

/* The last steps: what the model reads of a row, normalised by (value - mean) / std.
 * Shapes   row [P], out [width]; out may be row, with room for it */
void pv_row_form_finish(const pv_row_form *form, const float *row, float *out);

#endif
