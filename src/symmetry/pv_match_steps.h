/* The steps of a descent, for tests that follow a given order of the layers. */
#ifndef PV_MATCH_STEPS_H
#define PV_MATCH_STEPS_H

#include "symmetry/pv_match.h"

/* Begins to match `b` to `a`, from the identity.  The rows are copied. */
void pv_match_begin(pv_matcher *matcher, const float *a, const float *b);
/* Assigns the units of one hidden layer anew, the others fixed.  Returns what the objective gains. */
double pv_match_visit(pv_matcher *matcher, int layer);
/* Where the descent stands; owned by the matcher. */
const pv_symmetry *pv_match_state(const pv_matcher *matcher);

#endif
