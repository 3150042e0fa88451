/* The training stream: which sample stands at which place.  A pure function of (seed, epoch, place): it knows
 * nothing of ranks, so any number of them trains on the same stream. */
#ifndef PV_STREAM_H
#define PV_STREAM_H

#include <stdint.h>

/* The sample at place 0..samples-1 of an epoch; every sample stands at one place.
 * Random: PV_RNG_SHUFFLE, (epoch, round). */
int64_t pv_stream_sample(uint64_t seed, int64_t epoch, int64_t samples, int64_t place);

/* A number for "sample at place" whose sum (modulo 2^64) over all places identifies an epoch's stream, in
 * whatever order and on whatever ranks it is added up. */
uint64_t pv_stream_mark(int64_t place, int64_t sample);

#endif
