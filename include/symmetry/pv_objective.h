/* How alike two rows are: what weight matching makes as large as it can. */
#ifndef PV_OBJECTIVE_H
#define PV_OBJECTIVE_H

#include "inr/pv_arch.h"

/* The sum over all tensors but the last bias of <a, b>.  Shapes: a, b [P]. */
double pv_match_objective(const pv_arch *arch, const float *a, const float *b);

#endif
