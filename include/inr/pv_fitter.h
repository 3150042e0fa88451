/* The fit engine: Adam on the mean squared error, over all samples or mini-batches of them, several INRs in
 * flight on one core.
 *
 * The result of a fit is a pure function of (initial row, values, options, key, instruction set): it does not
 * depend on which slot it ran in, what ran beside it, or how its steps were cut into calls. */
#ifndef PV_FITTER_H
#define PV_FITTER_H

#include "base/pv_status.h"
#include "inr/pv_fit_rules.h"
#include "inr/pv_arch.h"

typedef struct pv_fitter pv_fitter;

/* INRs that it fits side by side, each from its own cache lines: more slots gain nothing. */
enum { PV_FITTER_SLOTS = 8 };

/* What a fit came to. */
typedef struct pv_fit_result {
    double mse;     /* over all samples, at the weights as they stand */
    int64_t steps;  /* Adam steps taken */
    pv_fit_end end; /* PV_FIT_RUNNING if no rule has ended it yet */
} pv_fit_result;

/* Plans the workspace for INRs of `arch` over `n` samples, fitted by the rules of `opts` (copied).  coords
 * [n][inputs]: the samples' coordinates that all INRs share (copied); NULL: every INR brings its own.  A
 * batch of n samples or more is the full batch.  Owner: pv_fitter_free.  Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_fitter_new(const pv_arch *arch, int n, const float *coords, const pv_fit_opts *opts,
                        pv_fitter **out);
void pv_fitter_free(pv_fitter *fitter);

/* Puts an INR into a slot, at step 0.
 * Shapes   row [P] the initialisation; coords [n][inputs] its own coordinates, not read where all share
 *          theirs; values [n][d_M] the target.  All are copied.
 * Random   PV_RNG_MINIBATCH of `key`, with mini-batches only: samples in a shuffled order without end, in
 *          which every n draws hold each sample once; a step takes the next opts.batch of them. */
void pv_fitter_start(pv_fitter *fitter, int slot, const float *row, const float *coords, const float *values,
                     pv_fit_key key);

/* Advances the INRs of slots 0..used-1 that are not done by at most `max_steps` Adam steps each (betas 0.9,
 * 0.999, eps 1e-8, bias correction). */
void pv_fitter_advance(pv_fitter *fitter, int used, int64_t max_steps);

/* Whether a rule has ended the fit of a slot; true of a slot that was never started. */
bool pv_fitter_done(const pv_fitter *fitter, int slot);

/* Takes the INR of a slot out: row [P] as it stands, and what its fit came to.  The slot keeps its INR, which
 * is advanced further if it is not done.
 * Local.   Errors: PV_ERR_NUMERIC if its error or a weight is not a finite float (row and result are set). */
pv_status pv_fitter_finish(pv_fitter *fitter, int slot, float *row, pv_fit_result *result);

/* The floating-point operations of the multiply-adds (two each), and the activations with their slopes, of
 * one step of one INR, for rates against the machine's limit.  Full batches on a grid take fewer sines where
 * the instruction set's kernel makes those of the first layer of the grid's rows and columns: sin(a + b). */
double pv_fitter_step_flops(const pv_fitter *fitter);
/* Those of the operations that multiply operands of 16 bits; 0 in float32. */
double pv_fitter_step_narrow(const pv_fitter *fitter);
double pv_fitter_step_activations(const pv_fitter *fitter);

#endif
