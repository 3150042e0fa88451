/* Cross entropy. */
#ifndef PV_LOSS_H
#define PV_LOSS_H

#include "simd/pv_real.h"

#include <stdint.h>

/* Cross entropy with hard labels.
 * Shapes   logits [batch][classes], labels [batch] in 0..classes-1
 * Returns  the sum (not the mean) over the batch of -log softmax(logits)[label]; dlogits [batch][classes],
 * unless NULL, is its gradient times `scale` (1 / global batch for a mean over all ranks). */
double pv_cross_entropy(int batch, int classes, const pv_real *logits, const int32_t *labels, double scale,
                        pv_real *dlogits);

/* The same with soft labels: targets [batch][classes], -sum t log p. */
double pv_cross_entropy_soft(int batch, int classes, const pv_real *logits, const pv_real *targets,
                             double scale, pv_real *dlogits);

/* How many rows have their largest logit (the first of equals) at the label. */
int pv_count_correct(int batch, int classes, const pv_real *logits, const int32_t *labels);

#endif
