/* Products of centred features over this rank's samples, private to the probes. */
#ifndef PV_PANEL_H
#define PV_PANEL_H

#include "probe/pv_features.h"
#include "pv_matrix.h"

/* Features with the mean that is taken off them while they are read. */
typedef struct pv_centred {
    const pv_features *features;
    const double *mean; /* [width] */
} pv_centred;

/* Numbers of scratch that pv_panel wants. */
int64_t pv_panel_scratch(const pv_features *a);

/* out = sum over this rank's samples of a[row ..] (b[col .. col + cols - 1])', cols <= PV_MATRIX_BLOCK.
 * Shapes   out [cols][a's width - row].  Local. */
void pv_panel(const pv_centred *a, int64_t row, const pv_centred *b, int64_t col, int64_t cols,
              double *scratch, double *out);

/* The lower triangle, by blocks, of the sum over all samples of x x'.
 * Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_gram(const pv_comm *comm, const pv_centred *x, pv_matrix *gram);

#endif
