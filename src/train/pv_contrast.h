/* InfoNCE over the global batch (Chen et al. 2020, equation 1): rows 2i and 2i + 1 of the batch are positives
 * of each other, all other rows of it, on whatever rank, are their negatives:
 *     loss_r = -log( exp(s(r, r^1) / t) / sum over j != r of exp(s(r, j) / t) ),   s the cosine similarity.
 * Rows are normalised and gathered over the ranks; each rank computes its own rows of the similarity matrix.
 * The matrix is symmetric: with the logarithm of every row's sum, which is gathered too, a rank knows what
 * other ranks' rows say of its own, so that the gradient is that of the whole batch without a sum over ranks.
 * What is computed for a row depends on its leaf alone, never on the rank that has it: any number of ranks
 * gets the same bits. */
#ifndef PV_CONTRAST_H
#define PV_CONTRAST_H

#include "base/pv_mem.h"
#include "parallel/pv_comm.h"
#include "simd/pv_real.h"

typedef struct pv_contrast pv_contrast; /* workspace */

/* For up to `rows` rows a rank and `global` rows in all, of `width` numbers; `leaves`: equal parts of a batch
 * of pairs, of which ranks have runs (pv_share_run_start).
 * Owner: the memory, which may have failed afterwards; comm is borrowed.  Local. */
pv_contrast *pv_contrast_new(const pv_comm *comm, int rows, int64_t global, int64_t leaves, int width,
                             pv_memory *memory);

/* Losses of this rank's rows, and the gradient of `scale` times the sum of all ranks' losses.
 * Shapes   z [rows][width], the ranks' rows following each other in rank order, an even number on every rank;
 * losses [rows]; dz [rows][width], NULL when it is not wanted (on all ranks)
 * Returns  how many of the rows are most similar to their positive.  Collective; in double inside. */
int64_t pv_contrast_loss(pv_contrast *contrast, int rows, const pv_real *z, double temperature, double scale,
                         double *losses, pv_real *dz);

#endif
