/* The rows of an item of the list `augment`. */
#include "augment/pv_augment_opts.h"

#define AUGMENTATION(id, name, ...) [PV_AUGMENT_##id] = #name,
static const char *const kinds[] = {PV_AUGMENTS(AUGMENTATION) NULL};
static const char *const lambdas[] = {[PV_LAMBDA_UNIFORM] = "uniform", [PV_LAMBDA_BETA] = "beta", NULL};
static const char *const partners[] = {
    [PV_PARTNER_ANY] = "any", [PV_PARTNER_OBJECT] = "object", [PV_PARTNER_VIEW] = "view", NULL};

const pv_option pv_augment_options[] = {
    {PV_KEY(pv_augment_opts, kind), .choices = kinds, .required = true, .fixes = PV_FIXES_MODEL,
     .meaning = "which augmentation"},
    {PV_KEY(pv_augment_opts, p), .initial = "1.0", PV_BETWEEN(0, 1), .fixes = PV_FIXES_MODEL,
     .meaning = "probability that it is applied to a sample"},
    {PV_KEY(pv_augment_opts, amount), .initial = "-1.0", PV_BETWEEN(-1, 1000), .fixes = PV_FIXES_MODEL,
     .meaning = "its strength: translate, scale: largest shift, change (0.25, 0.2); rotate: degrees "
                "(30); noise: standard deviations (0.32); dropout, quantile_dropout: rate, largest rate "
                "(0.1); negation: probability a unit (0.5); phase: largest multiple of pi/w0 (4); "
                "label_smoothing: rate (0.1); below 0: what stands in brackets, as published"},
    {PV_KEY(pv_augment_opts, lambda), .choices = lambdas, .initial = "uniform", .fixes = PV_FIXES_MODEL,
     .meaning = "MixUp: how the share of the sample is drawn, from U(0, 1) or Beta(beta, beta)"},
    {PV_KEY(pv_augment_opts, beta), .initial = "1.0", PV_ABOVE(0), .fixes = PV_FIXES_MODEL,
     .meaning = "MixUp: parameter of the Beta distribution"},
    {PV_KEY(pv_augment_opts, partner), .choices = partners, .initial = "any", .fixes = PV_FIXES_MODEL,
     .meaning = "MixUp: with any other sample, a view of another object, or another view of the same "
                "object"},
    {PV_KEY(pv_augment_opts, signs), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "mixup_aligned, self_aligned, combine: match signs of units too, not only their order"},
    {PV_KEY(pv_augment_opts, sweeps), .initial = "16", PV_BETWEEN(1, 1000), .fixes = PV_FIXES_MODEL,
     .meaning = "matching: visits of all layers, at most"},
    {PV_KEY(pv_augment_opts, starts), .initial = "1", PV_BETWEEN(0, 1000), .fixes = PV_FIXES_MODEL,
     .meaning = "matching: descents, of which the best is taken; 0: enough to do as well as the "
                "published algorithm"},
    {0}};
