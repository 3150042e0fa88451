/* Probes of frozen features as plug-ins: simple models fitted to the features of the train split, a
 * hyperparameter chosen on the validation split, judged on the test split.  Every solution is in double
 * precision, and is the same on any number of ranks up to rounding. */
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
    int64_t system;               /* ridge, krr: unknowns; else 0 */
    int64_t system_bytes;         /* ridge, krr: largest part of it on a rank */
} pv_probe_result;

void pv_probe_result_free(pv_probe_result *result);

/* What a probe is asked. */
typedef struct pv_probe_job {
    const pv_comm *comm;
    const void *options; /* the struct of its rows */
    const char *output;  /* of what it finds on the test split; NULL: none */
    json_t *result;      /* of the command */
} pv_probe_job;

/* A probe judges features of the three splits, or compares two representations of one: it has `predict`,
 * `judge` or `compare`.  All its functions are collective, and their status is agreed. */
typedef struct pv_probe {
    pv_plugin plugin;
    bool standardised; /* takes features standardised by the train split, unless asked otherwise */

    /* One that predicts targets with the best of several candidates. */
    const char *candidates; /* the option that lists them, a text that its options begin with */
    double least;           /* of a candidate */
    size_t state_size;      /* of the struct that it works in, zeroed before `start` */
    pv_status (*start)(const pv_probe_job *job, const pv_probe_data *data, const pv_candidates *candidates,
                       void *state);
    /* Predicts this rank's validation and test samples with one candidate; fills what it knows of
     * result->added, rcond, seconds, system.  Shapes   val, test [count][targets], zeros before.
     * Errors: PV_ERR_NUMERIC leaves this candidate out, with a warning, if another one succeeds. */
    pv_status (*predict)(void *state, double candidate, double *val, double *test, pv_probe_result *result);
    void (*end)(void *state); /* safe on zeros */

    pv_status (*judge)(const pv_probe_job *job, const pv_probe_data *data);
    pv_status (*compare)(const pv_probe_job *job, const pv_probe_views *one, const pv_probe_views *other);
} pv_probe;

/* Looks at the options of a probe before features are made.  Local.  Errors: PV_ERR_USAGE. */
pv_status pv_probe_check(const pv_probe *probe, const void *options);

/* Tries every candidate, keeps the predictions of the best on the validation split (of equals the first),
 * and scores them.
 * Owner: pv_probe_result_free.  Collective.  Errors: PV_ERR_DATA (no training samples, several candidates and
 * no validation samples, more neighbours than samples), PV_ERR_NUMERIC (no lambda gives a system that can be
 * solved), PV_ERR_NOMEM, agreed. */
pv_status pv_probe_fit(const pv_probe *probe, const pv_probe_job *job, const pv_probe_data *data,
                       const pv_candidates *candidates, pv_probe_result *result);

/* Lets a probe judge features: its scores go into the result, predictions into the file that is asked for.
 * Collective.  Errors: as pv_probe_fit, pv_columns_write. */
pv_status pv_probe_judge(const pv_probe *probe, const pv_probe_job *job, const pv_probe_data *data);

/* The options of krr. */
typedef enum pv_kernel { PV_KERNEL_RBF, PV_KERNEL_LINEAR } pv_kernel;
typedef struct pv_krr_opts {
    char *lambda;
    pv_kernel kernel;
    double gamma; /* of rbf; 0: by the features */
} pv_krr_opts;

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

/* Linear centred kernel alignment of two representations of the same samples (Kornblith et al. 2019,
 * equation 5): |B'A|^2 / (|A'A| |B'B|), Frobenius norms of centred features; 1 for equal geometry, invariant
 * to rotation and scale.  The samples lie on the ranks alike.  Collective.  Errors: PV_ERR_NUMERIC (constant
 * features), PV_ERR_NOMEM, agreed. */
pv_status pv_cka(const pv_comm *comm, const pv_features *a, const pv_features *b, double *cka);

#define PV_PROBES(X)          X(ridge) X(krr) X(knn) X(pca) X(cka)
#define PV_PROBE_EXTERN(name) extern const pv_probe pv_probe_##name;
PV_PROBES(PV_PROBE_EXTERN)

extern const pv_registry pv_probes;

#endif
