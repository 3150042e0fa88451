/* Feature vectors of samples with their targets, sharded over the ranks: what a probe is fitted to and
 * judged on. */
#ifndef PV_FEATURES_H
#define PV_FEATURES_H

#include "parallel/pv_comm.h"

#include <stdint.h>

/* This rank holds samples [first, first + count) of `samples`; over all ranks every sample lies once. */
typedef struct pv_features {
    int64_t samples, first, count;
    int width, targets;
    double *x;              /* [count][width] */
    double *y;              /* [count][targets]: one-hot classes, or real targets; NULL without targets */
    int32_t *label;         /* [count] */
    int64_t *object, *view; /* [count], as in the store */
} pv_features;

/* Allocates the arrays of this rank's share.  Owner: pv_features_free, safe on a zeroed value.
 * Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_features_make(int64_t samples, int64_t first, int64_t count, int width, int targets,
                           pv_features *out);
void pv_features_free(pv_features *features);

/* Sets a one-hot target of each label; of none, where `unlabelled` allows it, zeros.
 * Local.  Errors: PV_ERR_DATA (a label outside 0 .. targets - 1, none; object named). */
pv_status pv_features_one_hot(pv_features *features, bool unlabelled);

/* Keeps the samples whose object, number i of the split, has chosen[i]; sample s is of object s / views.
 * Collective. */
void pv_features_keep(const pv_comm *comm, pv_features *features, const uint8_t *chosen, int64_t views);

/* Mean and standard deviation of every column over all samples, in two passes; a constant column has
 * deviation 1.
 * Shapes   values [count][width] of this rank, mean, deviation [width]; deviation may be NULL.
 * Collective. */
void pv_features_moments(const pv_comm *comm, int64_t samples, int64_t count, int width, const double *values,
                         double *mean, double *deviation);

/* x = (x - mean) / deviation; deviation NULL: 1.  Local. */
void pv_features_shift(pv_features *features, const double *mean, const double *deviation);

/* Shows samples [first, first + count) to every rank.  Shapes   x [count][width], y [count][targets] */
typedef void (*pv_features_seen)(void *context, int64_t first, int64_t count, const double *x,
                                 const double *y);

enum { PV_STREAM_ROWS = 256 };
/* Streams everybody's samples past every rank, PV_STREAM_ROWS at most at a time: no rank holds more than its
 * own.
 * Collective.  Errors: PV_ERR_NOMEM, agreed. */
pv_status pv_features_stream(const pv_comm *comm, const pv_features *features, pv_features_seen seen,
                             void *context);

#endif
