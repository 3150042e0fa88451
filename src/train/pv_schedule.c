#include "train/pv_schedule.h"

double pv_schedule_rate(const pv_train_opts *opts, int64_t step)
{
    return step < opts->warmup_steps ? opts->lr * (double)(step + 1) / (double)opts->warmup_steps : opts->lr;
}
