/* The options that MixUps share, and those of matching: each augmentation lists the rows among its own. */
#ifndef PV_MIXUP_OPTS_H
#define PV_MIXUP_OPTS_H

#include "augment/pv_augment_opts.h"
#include "symmetry/pv_match.h"

typedef struct pv_lambda_opts {
    pv_lambda_kind lambda;
    double beta; /* a of Beta(a, a) */
} pv_lambda_opts;

/* A MixUp's options begin with these. */
typedef struct pv_mixup_opts {
    pv_partner partner; /* not NONE */
    pv_lambda_opts share;
} pv_mixup_opts;

extern const char *const pv_lambda_names[], *const pv_partner_names[];

/* clang-format off */
/* NOLINTBEGIN(bugprone-macro-parentheses): arguments are members */
/* The rows of a member `share` that is a pv_lambda_opts, */
#define PV_LAMBDA_ROWS(owner, share)                                                                         \
    {.name = "lambda", PV_MEMBER(owner, share.lambda), .choices = pv_lambda_names, .initial = "uniform",     \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "how the share of the sample is drawn, from U(0, 1) or Beta(beta, beta)"},                   \
    {.name = "beta", PV_MEMBER(owner, share.beta), .initial = "1.0", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,   \
     .meaning = "parameter of the Beta distribution"}
/* of the members of a pv_mixup_opts, */
#define PV_MIXUP_ROWS(owner, partner, share)                                                                 \
    PV_LAMBDA_ROWS(owner, share),                                                                            \
    {.name = "partner", PV_MEMBER(owner, partner), .choices = pv_partner_names, .initial = "any",      \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "any other sample, a view of another object, or another view of the same object"}
/* and of `match` that is a pv_match_opts. */
#define PV_MATCH_ROWS(owner, match)                                                                          \
    {.name = "signs", PV_MEMBER(owner, match.signs), .initial = "false", .fixes = PV_FIXES_MODEL,            \
     .meaning = "match signs of units too, not only their order"},                                           \
    {.name = "sweeps", PV_MEMBER(owner, match.max_sweeps), .initial = "16", PV_BETWEEN(1, 1000),             \
     .fixes = PV_FIXES_MODEL, .meaning = "visits of all layers, at most"},                                   \
    {.name = "starts", PV_MEMBER(owner, match.starts), .initial = "1", PV_BETWEEN(0, 1000),                  \
     .fixes = PV_FIXES_MODEL,                                                                                \
     .meaning = "descents, of which the best is taken; 0: enough to do as well as the published algorithm"}
/* NOLINTEND(bugprone-macro-parentheses) */
/* clang-format on */

#endif
