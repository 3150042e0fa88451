/* One descent of weight matching: B's hidden units are assigned to A's layer by layer, the others fixed,
 * until nothing is gained.  Private to the room; tests follow a given order of the layers by
 * pv_descent_visit. */
#ifndef PV_DESCENT_H
#define PV_DESCENT_H

#include "base/pv_rng.h"
#include "symmetry/pv_symmetry.h"

#include <stdbool.h>

typedef struct pv_descent pv_descent; /* workspace of one thread, and where the descent stands */

/* Owner: pv_descent_free (NULL is a no-op).  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_descent_new(const pv_arch *arch, bool signs, bool phases, int max_sweeps, pv_descent **out);
void pv_descent_free(pv_descent *descent);

/* Begins to match `b`, which is copied, to `a`, which is borrowed.  The state is the identity. */
void pv_descent_begin(pv_descent *descent, const float *a, const float *b);
/* Assigns the units of one hidden layer anew, the others fixed.  Returns what the objective gains. */
double pv_descent_visit(pv_descent *descent, int layer);
/* Where the descent stands; owned by it. */
const pv_symmetry *pv_descent_state(const pv_descent *descent);
/* The objective of b, moved by `symmetry`, as pv_match returns it. */
double pv_descent_objective(pv_descent *descent, const pv_symmetry *symmetry);
/* out [P] = b, moved by `symmetry`. */
void pv_descent_apply(const pv_descent *descent, const pv_symmetry *symmetry, float *out);

/* States to start from.  The layers assigned in order, each by what is fixed and the layers before it: */
void pv_descent_assign_forward(pv_descent *descent);
/* the identity; */
void pv_descent_reset(pv_descent *descent);
/* `state` with half of the units of one layer moved round: far enough to leave a local optimum, near enough
 * to find a better one. */
void pv_descent_kick(pv_descent *descent, const pv_symmetry *state, pv_rng *rng);

/* Sweeps over the layers, the first sweep from layer `first` unless that is -1, until nothing is gained or
 * there is little hope of the objective `best`.  Returns the objective. */
double pv_descent_run(pv_descent *descent, int first, double best, pv_rng *rng);

#endif
