/* When a fit ends, and what it draws. */
#include "inr/pv_fit_rules.h"

#include <math.h>
#include <stdbool.h>

/* The sum of a step is rounded: a target a hair lower (0.0004 dB) keeps the error of the stored row, which is
 * summed in double precision, from ending above it. */
static const double target_margin = 1e-4;

pv_rng pv_fit_stream(const pv_fit_opts *opts, pv_purpose purpose, pv_fit_key key)
{
    const bool shared = purpose == PV_RNG_VIEW_INIT && opts->init == PV_INIT_SHARED;
    return pv_rng_open(opts->seed, purpose, shared ? 0 : key.source,
                       (uint64_t)key.view + ((uint64_t)key.attempt << 32));
}

double pv_fit_rate(const pv_fit_opts *opts, int64_t step)
{
    const double pi = 3.14159265358979323846;
    if (opts->schedule == PV_SCHEDULE_CONSTANT) return opts->lr;
    return opts->lr * (1 + cos(pi * (double)step / (double)opts->steps)) / 2;
}

void pv_fit_watch_start(pv_fit_watch *watch, const pv_fit_opts *opts)
{
    *watch = (pv_fit_watch){.best = (double)INFINITY};
    if (opts->target_psnr > 0) watch->target = pow(10, -opts->target_psnr / 10) * (1 - target_margin);
}

pv_fit_end pv_fit_judge(pv_fit_watch *watch, const pv_fit_opts *opts, int64_t step, int64_t pass, double loss)
{
    if (!isfinite((float)loss)) return PV_FIT_NOT_FINITE;
    watch->pass_sum += loss;
    if ((step + 1) % pass != 0) return PV_FIT_RUNNING;
    const double mean = watch->pass_sum / (double)pass;
    watch->pass_sum = 0;
    if (watch->target > 0 && mean <= watch->target) return PV_FIT_TARGET;
    if (mean < watch->best * (1 - opts->plateau_drop)) {
        watch->best = mean;
        watch->best_step = step;
    } else if (opts->plateau_steps > 0 && step - watch->best_step >= opts->plateau_steps) {
        return PV_FIT_PLATEAU;
    }
    return PV_FIT_RUNNING;
}
