/* Streams of Philox, and a permutation of any size by Feistel rounds. */
#include "base/pv_rng.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>

#define FEISTEL_ROUNDS 8

static void philox(uint64_t seed, uint64_t purpose, uint64_t a, uint64_t b, uint64_t block, uint64_t extra,
                   uint64_t out[4])
{
    const philox4x64_key_t key = {{seed, purpose}};
    const philox4x64_ctr_t counter = {{block, a, b, extra}};
    const philox4x64_ctr_t bits = philox4x64(counter, key);
    memcpy(out, bits.v, sizeof bits.v);
}

pv_rng pv_rng_open(uint64_t seed, pv_purpose purpose, uint64_t a, uint64_t b)
{
    return (pv_rng){.seed = seed, .purpose = (uint64_t)purpose, .a = a, .b = b, .used = 4};
}

uint64_t pv_rng_bits(pv_rng *rng)
{
    if (rng->used == 4) {
        philox(rng->seed, rng->purpose, rng->a, rng->b, rng->block++, 0, rng->buffer);
        rng->used = 0;
    }
    return rng->buffer[rng->used++];
}

void pv_rng_fill(pv_rng *rng, int64_t n, uint64_t *bits)
{
    int64_t i = 0;
    for (; i < n && rng->used < 4; i++)
        bits[i] = pv_rng_bits(rng);
    for (; i + 4 <= n; i += 4)
        philox(rng->seed, rng->purpose, rng->a, rng->b, rng->block++, 0, bits + i);
    for (; i < n; i++)
        bits[i] = pv_rng_bits(rng);
}

double pv_rng_uniform(pv_rng *rng)
{
    return pv_rng_unit(pv_rng_bits(rng));
}

double pv_rng_range(pv_rng *rng, double low, double high)
{
    return low + (high - low) * pv_rng_uniform(rng);
}

uint64_t pv_rng_below(pv_rng *rng, uint64_t n)
{
    /* Values under `biased` would make the first remainders more likely: draw again. */
    const uint64_t biased = (0 - n) % n;
    uint64_t bits;
    do
        bits = pv_rng_bits(rng);
    while (bits < biased);
    return bits % n;
}

void pv_rng_shuffle(pv_rng *rng, int n, int32_t *order)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        const int other = (int)pv_rng_below(rng, (uint64_t)i + 1);
        const int32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

double pv_rng_normal(pv_rng *rng)
{
    const double u = 1.0 - pv_rng_uniform(rng); /* in (0, 1]: its logarithm is finite */
    const double v = pv_rng_uniform(rng);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* One pass of the Feistel network over values of 2 * half_bits bits. */
static uint64_t feistel(uint64_t seed, uint64_t purpose, uint64_t epoch, int half_bits, uint64_t value)
{
    const uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = value >> half_bits, right = value & mask;
    for (uint64_t round = 0; round < FEISTEL_ROUNDS; round++) {
        uint64_t bits[4];
        philox(seed, purpose, epoch, round, right, (uint64_t)half_bits, bits);
        const uint64_t mixed = left ^ (bits[0] & mask);
        left = right;
        right = mixed;
    }
    return left << half_bits | right;
}

uint64_t pv_rng_permute(uint64_t seed, pv_purpose purpose, uint64_t epoch, uint64_t n, uint64_t position)
{
    int half_bits = 1;
    while (half_bits < 31 && (UINT64_C(1) << (2 * half_bits)) < n)
        half_bits++;
    uint64_t value = position;
    do
        value = feistel(seed, (uint64_t)purpose, epoch, half_bits, value);
    while (value >= n);
    return value;
}
