/* Optimisers over the flat parameter vector. */
#ifndef PV_OPTIM_H
#define PV_OPTIM_H

#include "base/pv_status.h"
#include "simd/pv_real.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum pv_optim_kind { PV_OPTIM_SGD, PV_OPTIM_ADAM, PV_OPTIM_ADAMW } pv_optim_kind;

typedef struct pv_optim_opts {
    pv_optim_kind kind;
    double weight_decay; /* adamw: decoupled; sgd, adam: added to the gradient */
    double momentum;     /* sgd */
    bool amsgrad;        /* adam, adamw: PyTorch's, the maximum of uncorrected second moments */
} pv_optim_opts;

typedef struct pv_optim pv_optim;

/* Owner: pv_optim_free.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_optim_new(const pv_optim_opts *opts, int64_t count, pv_optim **out);
void pv_optim_free(pv_optim *optim);

/* One step with rate `lr` (betas 0.9, 0.999, eps 1e-8 outside the root; semantics of torch.optim). */
void pv_optim_step(pv_optim *optim, double lr, const pv_real *gradients, pv_real *params);

/* The state, for checkpoints: `slots` vectors of `count`, each with a name ("exp_avg"), and the step counter.
 */
int pv_optim_slots(const pv_optim *optim);
const char *pv_optim_slot_name(const pv_optim *optim, int slot);
pv_real *pv_optim_slot(pv_optim *optim, int slot);
int64_t pv_optim_steps(const pv_optim *optim);
void pv_optim_set_steps(pv_optim *optim, int64_t steps);

#endif
