/* Brings stored rows into a form, up to its normalisation: canonical, then matched to the form's reference if
 * it has one. Matching (pv_match) is a function of the row, the object, the view and the reference. */
#ifndef PV_ROW_SHAPER_H
#define PV_ROW_SHAPER_H

#include "data/pv_row_form.h"

#include <stdbool.h>

typedef struct pv_row_shaper pv_row_shaper; /* workspace of one thread */

/* Owner: pv_row_shaper_free (NULL is a no-op); arch and form are borrowed.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_row_shaper_new(const pv_arch *arch, const pv_row_form *form, pv_row_shaper **out);
void pv_row_shaper_free(pv_row_shaper *shaper);

/* Whether rows may change. */
bool pv_row_shaper_changes(const pv_row_shaper *shaper);

/* Shapes: row [P], in place.  Random: PV_RNG_MATCH, seed 0, (object, view). */
void pv_row_shaper_apply(pv_row_shaper *shaper, int64_t object, int64_t view, float *row);

#endif
