/* What one pass of a net over some rows of a batch is about, and how the passes over all rows of the batch
 * meet. */
#ifndef PV_PASS_H
#define PV_PASS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pv_pass {
    bool training;        /* batch statistics and dropout; else running statistics and none */
    int64_t global_batch; /* rows of all passes over the batch */
    int64_t first_sample; /* position of this pass' first row among them */
    uint64_t seed, step;  /* dropout draws: PV_RNG_DROPOUT, (step, layer and sample position) */
} pv_pass;

/* What a stage of a pass leaves to be summed: element by element over all passes of the batch, also those
 * without rows, and the sums are put back here before any of them goes on to the next stage.  count 0:
 * nothing. */
typedef struct pv_batch_sums {
    double *values;
    int count;
} pv_batch_sums;

#endif
