/* The training stream: which sample stands at which place.  A pure function of (seed, epoch, place): it knows
 * nothing of ranks, so any number of them trains on the same stream. */
#ifndef PV_STREAM_H
#define PV_STREAM_H

#include "augment/pv_augment_opts.h"

#include <stdint.h>

/* The sample at place 0..samples-1 of an epoch; every sample stands at one place.
 * Random: PV_RNG_SHUFFLE, (epoch, round). */
int64_t pv_stream_sample(uint64_t seed, int64_t epoch, int64_t samples, int64_t place);

/* The object at a place of an epoch of `objects` places, and the view of it that is drawn: for epochs that
 * take every object once.  Random: PV_RNG_SHUFFLE; PV_RNG_VIEW, (place, epoch). */
int64_t pv_stream_random_view(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place);

/* Another view, at random, of the object that pv_stream_random_view puts at a place; views > 1.  Random: the
 * next draw of the same stream. */
int64_t pv_stream_second_view(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place);

/* Whom the sample at a place is mixed with, another one, uniformly: of all, of other objects, or of the views
 * of the same object.  `views` are those that partners are of: `sample` is counted among them.  There must be
 * one.  Random: PV_RNG_PARTNER, (place, epoch). */
int64_t pv_stream_partner(uint64_t seed, int64_t epoch, int64_t objects, int64_t views, int64_t place,
                          int64_t sample, pv_partner whom);

/* A number for "sample at place, mixed with partner" (-1: with none) whose sum (modulo 2^64) over all places
 * identifies an epoch's stream, in whatever order and on whatever ranks it is added up. */
uint64_t pv_stream_mark(int64_t place, int64_t sample, int64_t partner);

#endif
