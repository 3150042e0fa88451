/* The order of an epoch and who is mixed with whom, by counter-based draws. */
#include "pv_stream.h"
#include "base/pv_checksum.h"
#include "base/pv_rng.h"

int64_t pv_stream_sample(uint64_t seed, int64_t epoch, int64_t samples, int64_t place)
{
    return (int64_t)pv_rng_permute(seed, PV_RNG_SHUFFLE, (uint64_t)epoch, (uint64_t)samples, (uint64_t)place);
}

int64_t pv_stream_random_view(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place)
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_VIEW, (uint64_t)place, (uint64_t)epoch);
    return pv_stream_sample(seed, epoch, objects, place) * views +
           (int64_t)pv_rng_below(&rng, (uint64_t)views);
}

/* One of 0 .. n - 1 that is not `but`. */
static int64_t other_than(pv_rng *rng, int64_t n, int64_t but)
{
    const int64_t drawn = (int64_t)pv_rng_below(rng, (uint64_t)n - 1);
    return drawn < but ? drawn : drawn + 1;
}

int64_t pv_stream_partner(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place,
                          int64_t sample, pv_partner whom)
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_PARTNER, (uint64_t)place, (uint64_t)epoch);
    const int64_t object = sample / views, view = sample % views;
    if (whom == PV_PARTNER_VIEW) return object * views + other_than(&rng, views, view);
    if (whom == PV_PARTNER_ANY) return other_than(&rng, objects * views, sample);
    const int64_t other = other_than(&rng, objects, object);
    return other * views + (int64_t)pv_rng_below(&rng, (uint64_t)views);
}

int64_t pv_stream_second_view(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place)
{
    pv_rng rng = pv_rng_open(seed, PV_RNG_VIEW, (uint64_t)place, (uint64_t)epoch);
    const int64_t first = (int64_t)pv_rng_below(&rng, (uint64_t)views);
    return pv_stream_sample(seed, epoch, objects, place) * views + other_than(&rng, views, first);
}

uint64_t pv_stream_mark(int64_t place, int64_t sample, int64_t partner)
{
    const int64_t triple[3] = {place, sample, partner};
    return pv_checksum(triple, sizeof triple);
}
