/* Weight matching: the symmetry that brings one INR closest to another (Ainsworth et al. 2022, section 3.2),
 * by coordinate descent over the hidden layers, each an assignment problem; plain, and signed: with the signs
 * of SIREN units the best sign of a pair is that of its value, and the assignment runs on absolute values; or
 * with phases: of a pair's four cases, either sign and an even or odd phase, the best is taken. */
#ifndef PV_MATCH_H
#define PV_MATCH_H

#include "base/pv_rng.h"
#include "inr/pv_arch.h"
#include "symmetry/pv_symmetry.h"

#include <stdbool.h>

/* Of several descents the first assigns the layers in order, by the weights whose place is known; then, as
 * published, one begins from B's own order at every hidden layer; each other begins from the best so far with
 * half of one layer's units moved.  One is given up when it falls behind.  A single hidden layer has one
 * optimum, which the first finds.  The usual number does as well as twenty published ones nearly always: 3
 * for two hidden layers, 8 for more. */
typedef struct pv_match_opts {
    bool signs;     /* permutations with signs */
    int max_sweeps; /* > 0: visits of all layers before it stops; it stops earlier when one gains nothing */
    int starts;     /* descents, of which the best is kept; 0: as many as the usual number */
    bool phases;    /* phases of units too */
} pv_match_opts;

typedef struct pv_matcher pv_matcher; /* workspace of one thread */

/* Owner: pv_matcher_free (NULL is a no-op).  Local.  Errors: PV_ERR_CONFIG (no sweeps; signs of an activation
 * that is neither odd nor even, phases of one that has none), PV_ERR_NOMEM. */
pv_status pv_matcher_new(const pv_arch *arch, const pv_match_opts *opts, pv_matcher **out);
void pv_matcher_free(pv_matcher *matcher);

/* Finds the symmetry that, applied to `b`, brings it closest to `a`.  Returns their objective; with phases
 * less half of what the squares of hidden biases have grown by, so that it is in any case
 * (|a|^2 + |b|^2 - |a - aligned b|^2) / 2 over all tensors but the last bias.
 * Shapes   a, b [P]; out made by pv_symmetry_make.
 * Random   `rng`, the order of the layers, sweep by sweep. */
double pv_match(pv_matcher *matcher, const float *a, const float *b, pv_rng *rng, pv_symmetry *out);

/* pv_match, then out_row = the aligned b.  Shapes: out_row [P], not b. */
double pv_match_row(pv_matcher *matcher, const float *a, const float *b, pv_rng *rng, float *out_row);

#endif
