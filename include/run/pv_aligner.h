/* How well two INRs of one signal are aligned: the objective of weight matching, and the loss barrier on the
 * straight path between them (Ainsworth et al. 2022, section 2), before and after alignment. */
#ifndef PV_ALIGNER_H
#define PV_ALIGNER_H

#include "base/pv_rng.h"
#include "data/pv_row_form.h"

enum { PV_PATH_POINTS = 21 }; /* lambda = 0, 0.05, ... 1 */

/* The ways that are judged: not at all; pair by pair by permutations, with signs, with signs after the phases
 * of both are brought into one range, with signs and phases; and through a reference that both are matched
 * to, by permutations, with signs, with signs and phases. */
enum {
    PV_WAY_NONE,
    PV_WAY_PERMUTATION,
    PV_WAY_SIGNED,
    PV_WAY_CANONICAL,
    PV_WAY_PHASED,
    PV_WAY_REFERENCE,
    PV_WAY_REFERENCE_SIGNED,
    PV_WAY_REFERENCE_PHASED,
    PV_WAYS
};

/* Whether the symmetries of an architecture allow one. */
bool pv_aligner_allows(const pv_arch *arch, int way);
/* "none", "permutation", "signed", "canonical_signed", ...; static storage. */
const char *pv_aligner_way(int way);

typedef struct pv_alignment_score {
    double objective;              /* of a and the aligned b, as pv_match returns it */
    double losses[PV_PATH_POINTS]; /* mean squared error of the INR (1 - lambda) a + lambda b, b aligned */
    double barrier; /* the most by which a loss lies above the line between those of the ends */
} pv_alignment_score;

typedef struct pv_aligner pv_aligner; /* workspace of one thread */

/* For INRs over n samples at `coords` [n][d_0], borrowed; matching as pv_match_opts says, to the reference,
 * which is the fresh network, by one descent.
 * Owner: pv_aligner_free (NULL is a no-op).  Local.  Errors: PV_ERR_CONFIG, PV_ERR_NOMEM. */
pv_status pv_aligner_new(const pv_arch *arch, int n, const float *coords, int max_sweeps, int starts,
                         const pv_fresh *fresh, pv_aligner **out);
void pv_aligner_free(pv_aligner *aligner);

/* Aligns b to a in every way that is allowed; the scores of the others are left alone.
 * Shapes   a, b [P]; values [n][d_M] the signal
 * Random   `rng`, as pv_match
 * Local.  Errors: PV_ERR_NOMEM. */
pv_status pv_aligner_judge(pv_aligner *aligner, const float *a, const float *b, const float *values,
                           pv_rng *rng, pv_alignment_score scores[PV_WAYS]);

#endif
