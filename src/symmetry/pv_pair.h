/* A unit of A with one of B where phases count too: what the pair is worth, and how B's unit is best turned,
 * its sign flipped or not and its phase moved.
 *
 * The value is what the pair adds to (|A|^2 + |B|^2 - |A - B'|^2) / 2, B' being the turned B: a bias changes
 * its size as its phase moves, so that scalar products alone would grow without end. */
#ifndef PV_PAIR_H
#define PV_PAIR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_pair {
    float in, out;      /* scalar products of the incoming and of the outgoing weights */
    float mine, theirs; /* biases */
} pv_pair;

/* With B's unit turned so: 0 for a sign of 0, which is of a unit that does not count yet.  `period` is what a
 * phase of 1 moves a bias by. */
double pv_pair_value(pv_pair pair, double period, int sign, int32_t phase);

/* The best turn, of both signs or of + alone: whether the phase is even or odd decides the sign of the
 * outgoing weights, and of each kind the one is best that brings the biases closest.  Returns the value. */
double pv_pair_turn(pv_pair pair, double period, bool signs, int8_t *sign, int32_t *phase);

/* The values at the best turns of one unit of A with n units of B.
 * Shapes   in, out, theirs, best [n]; best is none of the others */
void pv_pair_values(int n, const float *in, const float *out, float mine, const float *theirs, float period,
                    bool signs, float *best);

#endif
