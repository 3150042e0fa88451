/* Where this process's time goes. */
#include "base/pv_meter.h"
#include "base/pv_clock.h"

/* Belongs to the process: MPI's wrappers are handed no argument of ours that could hold it.  One thread of a
 * rank uses it. */
static struct {
    pv_meter total;
    int depth;
    pv_meter_kind kind;
    double start;
} meter;

void pv_meter_begin(pv_meter_kind kind)
{
    if (meter.depth++ > 0) return;
    meter.kind = kind;
    meter.start = pv_seconds();
}

void pv_meter_end(void)
{
    if (--meter.depth == 0) meter.total.seconds[meter.kind] += pv_seconds() - meter.start;
}

void pv_meter_reduction(int64_t bytes)
{
    meter.total.allreduces++;
    meter.total.allreduce_bytes += bytes;
}

pv_meter pv_meter_read(void)
{
    return meter.total;
}

pv_meter pv_meter_between(const pv_meter *earlier, const pv_meter *later)
{
    pv_meter between = *later;
    for (int kind = 0; kind < PV_METER_KINDS; kind++)
        between.seconds[kind] -= earlier->seconds[kind];
    between.allreduces -= earlier->allreduces;
    between.allreduce_bytes -= earlier->allreduce_bytes;
    return between;
}
