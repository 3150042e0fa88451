/* Counter-based random streams: every draw is a pure function of (seed, purpose, indices, position in the
 * stream), never of ranks, order of work or time.  Philox4x64-10 (Salmon et al. 2011) from Random123. */
#ifndef PV_RNG_H
#define PV_RNG_H

#include <stdint.h>

/* What a stream is for.  The numbers are part of what makes results repeatable: never renumber, only append.
 */
typedef enum pv_purpose {
    PV_RNG_VIEW_INIT = 1,  /* indices: source id of the object (0: of all), view + 2^32 attempt */
    PV_RNG_MODEL_INIT = 2, /* indices: parameter tensor number, 0 */
    PV_RNG_SHUFFLE = 3,    /* indices: epoch, round of the permutation */
    PV_RNG_DROPOUT = 4,    /* indices: global step, layer and sample */
    PV_RNG_MINIBATCH = 5,  /* indices: as VIEW_INIT; samples of a fit's steps, in order */
    PV_RNG_AUGMENT = 6,    /* indices: place in the epoch, epoch + 2^32 item of the list */
    PV_RNG_PARTNER = 7,    /* indices: place in the epoch, epoch */
    PV_RNG_VIEW = 8,       /* indices: place in the epoch, epoch: which view of the object */
    PV_RNG_MATCH = 9,      /* indices: pair, descent; or object, view */
    PV_RNG_SIGNAL = 10,    /* indices: source id of the object, 0: what a made-up signal is; 1: its split */
    PV_RNG_FRESH = 11,     /* indices: 0, 0: the network that nobody fitted, to which rows are aligned */
    PV_RNG_ENCODING = 12,  /* indices: 0, 0: the frequencies of coordinates */
    PV_RNG_TEST = 1000,
} pv_purpose;

typedef struct pv_rng {
    uint64_t seed, purpose, a, b, block;
    uint64_t buffer[4];
    int used; /* words of buffer handed out */
} pv_rng;

/* Opens the stream of (seed, purpose, a, b) at its start.  Local, no memory. */
pv_rng pv_rng_open(uint64_t seed, pv_purpose purpose, uint64_t a, uint64_t b);

/* The next 64 random bits. */
uint64_t pv_rng_bits(pv_rng *rng);
/* The next n times 64 bits, as n calls of pv_rng_bits() would give them, in a quarter of the time. */
void pv_rng_fill(pv_rng *rng, int64_t n, uint64_t *bits);
/* 64 random bits as a number in [0, 1), of 53 of them. */
static inline double pv_rng_unit(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}
/* Uniform in [0, 1). */
double pv_rng_uniform(pv_rng *rng);
/* Uniform in [low, high). */
double pv_rng_range(pv_rng *rng, double low, double high);
/* Uniform integer in 0..n-1, without bias; n > 0. */
uint64_t pv_rng_below(pv_rng *rng, uint64_t n);
/* A random order of 0..n-1. */
void pv_rng_shuffle(pv_rng *rng, int n, int32_t *order);
/* Standard normal (Box-Muller, two words a draw). */
double pv_rng_normal(pv_rng *rng);

/* A pseudo-random permutation of 0..n-1, evaluated at one position in O(1) memory and time: the shuffle of an
 * epoch that no rank has to hold.  A Feistel network on the smallest even-width power of two >= n, walked
 * until the value is below n.  Shapes: 0 <= position < n.  Random: stream (seed, purpose, epoch, round). */
uint64_t pv_rng_permute(uint64_t seed, pv_purpose purpose, uint64_t epoch, uint64_t n, uint64_t position);

#endif
