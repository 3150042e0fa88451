/* Probes of frozen features: simple models fitted to the features of the train split, a hyperparameter
 * chosen on the validation split, judged on the test split.  Every solution is in double precision, and is
 * the same on any number of ranks up to rounding. */
#ifndef PV_PROBE_H
#define PV_PROBE_H

#include "config/pv_plugin.h"
#include "parallel/pv_comm.h"
#include "probe/pv_probe_data.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { PV_PROBE_CANDIDATES = 32 };

/* A hyperparameter's candidates: shares of a mean diagonal (lambda), or numbers of neighbours. */
typedef struct pv_candidates {
    double of[PV_PROBE_CANDIDATES];
    int count;
} pv_candidates;

/* What a probe found.  Owner: pv_probe_result_free. */
typedef struct pv_probe_result {
    double chosen;                /* the candidate */
    double added;                 /* ridge, krr: alpha, what was added to the diagonal for it */
    double rcond;                 /* ridge, krr: of that system, reciprocal condition number */
    double val_score, test_score; /* accuracy, or the mean over targets of R^2; NaN without samples */
    double *target_scores;        /* [targets] R^2 of every target on the test split; NULL for classes */
    double *predictions;          /* [test.count][targets] of this rank */
    double factor_seconds;        /* ridge, krr: the fastest factorisation of one system */
    double build_seconds;         /* ridge, krr: the fastest build of one system */
    int64_t system;               /* ridge, krr: unknowns */
    int64_t system_bytes;         /* ridge, krr: largest part of it on a rank */
} pv_probe_result;

void pv_probe_result_free(pv_probe_result *result);

/* Linear ridge regression to all targets at once, with an intercept that is not penalised:
 *     (X'X + alpha I) W = X'(Y - mean),   X centred,   alpha = lambda * trace(X'X) / width.
 * X'X is summed over ranks block by block into a distributed matrix; each lambda is one Cholesky
 * factorisation.
 * Collective.  Errors: PV_ERR_NUMERIC (no lambda gives a system that can be solved; one that does not is
 * left out with a warning), PV_ERR_DATA (no training samples, or several candidates and no validation
 * samples), PV_ERR_NOMEM, agreed. */
pv_status pv_ridge_fit(const pv_comm *comm, const pv_probe_data *data, const pv_candidates *lambdas,
                       pv_probe_result *result);

typedef enum pv_kernel { PV_KERNEL_RBF, PV_KERNEL_LINEAR } pv_kernel;

/* Kernel ridge regression: (K + alpha I) A = Y - mean, alpha = lambda * trace(K) / n, with the full n x n
 * kernel over the training samples, built in place: every rank computes its own blocks, n^2 / ranks numbers,
 * and holds the features of its rows and no others; predictions stream the training samples past every
 * rank's own test samples.
 *     rbf: exp(-gamma |x - y|^2),   linear: x.y
 * Collective.  Errors: as pv_ridge_fit. */
pv_status pv_krr_fit(const pv_comm *comm, const pv_probe_data *data, pv_kernel kernel, double gamma,
                     const pv_candidates *lambdas, pv_probe_result *result);

/* k nearest neighbours by cosine similarity: the class with most of them (of equals the lowest), or the mean
 * of their targets.  Training samples stream past every rank's own samples, block by block.  Of equal
 * similarities the sample that comes first is nearer.
 * Collective.  Errors: PV_ERR_DATA (more neighbours than training samples), PV_ERR_NOMEM, agreed. */
pv_status pv_knn_fit(const pv_comm *comm, const pv_probe_data *data, const pv_candidates *candidates,
                     pv_probe_result *result);

/* Principal components of features.  Owner: pv_pca_free. */
typedef struct pv_pca {
    int width, components;
    double *mean;       /* [width] */
    double *variance;   /* [components], in descending order, of the samples - 1 */
    double *explained;  /* [components], shares of the total variance */
    double *directions; /* [width][components], unit columns, the largest entry of each positive */
} pv_pca;

/* Covariance by blocks over ranks, eigenvectors by pdsyevd.
 * Collective.  Errors: PV_ERR_CONFIG (more components than features), PV_ERR_DATA (fewer than two samples),
 * PV_ERR_NUMERIC, PV_ERR_NOMEM, agreed. */
pv_status pv_pca_fit(const pv_comm *comm, const pv_features *features, int components, pv_pca *out);
void pv_pca_free(pv_pca *pca);
/* Coordinates of this rank's samples: [count][components].  Local. */
void pv_pca_apply(const pv_pca *pca, const pv_features *features, double *coordinates);

/* Linear centred kernel alignment of two representations of the same samples (Kornblith et al. 2019,
 * equation 5): |B'A|^2 / (|A'A| |B'B|), Frobenius norms of centred features; 1 for equal geometry, invariant
 * to rotation and scale. The samples lie on the ranks alike.  Collective.  Errors: PV_ERR_NUMERIC (constant
 * features), PV_ERR_NOMEM, agreed. */
pv_status pv_cka(const pv_comm *comm, const pv_features *a, const pv_features *b, double *cka);

/* ---- probes as plug-ins ---- */

/* What a probe is asked. */
typedef struct pv_probe_job {
    const pv_comm *comm;
    const void *options; /* the struct of its rows */
    const char *output;  /* of what it finds on the test split; NULL: none */
    json_t *result;      /* of the command */
} pv_probe_job;

/* A probe judges features of the three splits, or compares two representations of one: it has `judge` or
 * `compare`.  Both are collective, and their status is agreed. */
typedef struct pv_probe {
    pv_plugin plugin;
    bool standardised; /* takes features standardised by the train split, unless asked otherwise */
    /* Looks at its options before features are made; NULL: its rows say all.  Local.  Errors:
     * PV_ERR_USAGE. */
    pv_status (*check)(const void *options);
    pv_status (*judge)(const pv_probe_job *job, const pv_probe_data *data);
    pv_status (*compare)(const pv_probe_job *job, const pv_probe_views *one, const pv_probe_views *other);
} pv_probe;

#define PV_PROBES(X)          X(ridge) X(krr) X(knn) X(pca) X(cka)
#define PV_PROBE_EXTERN(name) extern const pv_probe pv_probe_##name;
PV_PROBES(PV_PROBE_EXTERN)

extern const pv_registry pv_probes;

#endif
