/* Warm-up, then a constant or falling rate. */
#include "pv_schedule.h"

#include <math.h>

static double full_rate(const pv_train_opts *opts)
{
    const double ratio = (double)opts->batch / (double)opts->base_batch;
    switch (opts->lr_scaling) {
    case PV_RATE_LINEAR:
        return opts->lr * ratio;
    case PV_RATE_SQRT:
        return opts->lr * sqrt(ratio);
    case PV_RATE_AS_IS:
        break;
    }
    return opts->lr;
}

double pv_schedule_rate(const pv_train_opts *opts, int64_t step, int64_t steps)
{
    const double rate = full_rate(opts);
    const int64_t past = step - opts->warmup_steps, left = steps - opts->warmup_steps;
    if (past < 0) return rate * (double)(step + 1) / (double)opts->warmup_steps;
    if (opts->schedule == PV_RATE_CONSTANT) return rate;
    return past >= left ? 0 : rate * 0.5 * (1 + cos(M_PI * (double)past / (double)left));
}
