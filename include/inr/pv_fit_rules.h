/* The rules of a fit: its random streams, the learning rate of each step, and when it ends.
 *
 * A step knows the loss at the weights it starts from.  With all samples a step that is the mean squared
 * error of those weights.  With mini-batches it is that of the batch only, so losses are judged once a pass
 * of ceil(n / batch) steps, by their mean over the pass; the weights improve along the pass, so the mean is
 * usually above the error at its end.  A rule ends a fit before the step it judges changes the weights. */
#ifndef PV_FIT_RULES_H
#define PV_FIT_RULES_H

#include "base/pv_rng.h"
#include "inr/pv_inr_opts.h"

/* Which fit of which view: with the seed, all that its random streams depend on. */
typedef struct pv_fit_key {
    uint64_t source; /* the object's id in its source */
    int64_t view;    /* below 2^32 */
    int attempt;     /* 0, or the number of restarts before this one */
} pv_fit_key;

typedef enum pv_fit_end {
    PV_FIT_RUNNING,
    PV_FIT_STEPS,     /* opts.steps are taken */
    PV_FIT_TARGET,    /* the loss has reached opts.target_psnr */
    PV_FIT_PLATEAU,   /* the best loss stands for opts.plateau_steps steps */
    PV_FIT_NOT_FINITE /* a loss or a weight is not a finite float */
} pv_fit_end;

/* What the rules remember of one fit.  Plain data; reset by pv_fit_watch_start. */
typedef struct pv_fit_watch {
    double target;     /* the loss to reach, 0 if there is none */
    double best;       /* the lowest loss that was an improvement */
    int64_t best_step; /* where it was seen */
    double pass_sum;   /* of the losses of this pass so far */
} pv_fit_watch;

/* The stream of a purpose whose indices are (source, view + 2^32 attempt); where starts are shared the source
 * is 0 for PV_RNG_VIEW_INIT. */
pv_rng pv_fit_stream(const pv_fit_opts *opts, pv_purpose purpose, pv_fit_key key);

/* The learning rate of a step, counted from 0. */
double pv_fit_rate(const pv_fit_opts *opts, int64_t step);

void pv_fit_watch_start(pv_fit_watch *watch, const pv_fit_opts *opts);

/* Whether the fit ends before step `step` changes the weights.
 * Units    loss: mean squared error, as this step sees it; pass: steps a pass, 1 without mini-batches
 * Local.   Returns PV_FIT_RUNNING, _TARGET, _PLATEAU or _NOT_FINITE.  Steps must be given in order. */
pv_fit_end pv_fit_judge(pv_fit_watch *watch, const pv_fit_opts *opts, int64_t step, int64_t pass,
                        double loss);

#endif
