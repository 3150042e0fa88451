/* The coordinates of samples on a grid. */
#ifndef PV_GRID_H
#define PV_GRID_H

#include "signal/pv_source.h"

/* coords [samples][inputs]: linspace(-1, 1) a side of the form's grid (of waves: its samples), as x, y, z, of
 * which x runs fastest.  What a source's `grid` may be. */
void pv_grid(const pv_source_form *form, float *coords);

/* What a store says of them: "(x, y), linspace(-1, 1) a side, x along a row and fastest". */
const char *pv_grid_words(const pv_source_form *form);

#endif
