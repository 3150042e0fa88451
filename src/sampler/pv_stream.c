#include "sampler/pv_stream.h"
#include "base/pv_checksum.h"
#include "base/pv_rng.h"

int64_t pv_stream_sample(uint64_t seed, int64_t epoch, int64_t samples, int64_t place)
{
    return (int64_t)pv_rng_permute(seed, PV_RNG_SHUFFLE, (uint64_t)epoch, (uint64_t)samples, (uint64_t)place);
}

uint64_t pv_stream_mark(int64_t place, int64_t sample)
{
    const int64_t pair[2] = {place, sample};
    return pv_checksum(pair, sizeof pair);
}
