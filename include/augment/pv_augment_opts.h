/* The augmentations of training: the `augment` list of a config. */
#ifndef PV_AUGMENT_OPTS_H
#define PV_AUGMENT_OPTS_H

#include <stdbool.h>

typedef enum pv_augment_kind {
    PV_AUGMENT_TRANSLATE,      /* x -> x + t, exact */
    PV_AUGMENT_TRANSLATE_DEEP, /* the reference's: into the bias of a random deeper layer, an approximation */
    PV_AUGMENT_ROTATE,         /* in the plane of the first two coordinates */
    PV_AUGMENT_SCALE,          /* x -> s x */
    PV_AUGMENT_NOISE,          /* Gaussian, in units of each tensor's standard deviation */
    PV_AUGMENT_DROPOUT,        /* kept weights are divided by 1 - rate */
    PV_AUGMENT_QUANTILE_DROPOUT, /* the smallest weights become 0 */
    PV_AUGMENT_NEGATION,         /* SIREN signs */
    PV_AUGMENT_PHASE,            /* SIREN phases */
    PV_AUGMENT_PERMUTE,
    PV_AUGMENT_LABEL_SMOOTHING,
    PV_AUGMENT_MIXUP,
    PV_AUGMENT_MIXUP_PERM,    /* after a random permutation of the sample */
    PV_AUGMENT_MIXUP_ALIGNED, /* after weight matching of the partner to the sample */
    PV_AUGMENT_SELF_ALIGNED,  /* of a sample with its own augmented copy, matched to it */
    PV_AUGMENT_COMBINE,       /* translate, noise and negation, then aligned MixUp */
    PV_AUGMENT_WEIGHTS_ONLY,  /* MixUp whose label is that of the larger share */
    PV_AUGMENT_KINDS
} pv_augment_kind;

typedef enum pv_lambda_kind { PV_LAMBDA_UNIFORM, PV_LAMBDA_BETA } pv_lambda_kind;

/* Whom a MixUp mixes with: any sample, a view of another object, another view of the same object. */
typedef enum pv_partner { PV_PARTNER_ANY, PV_PARTNER_OBJECT, PV_PARTNER_VIEW, PV_PARTNER_NONE } pv_partner;

typedef struct pv_augment_opts {
    pv_augment_kind kind;
    double p;      /* probability that it is applied to a sample */
    double amount; /* strength, by kind: see pv_augment.h; negative: the published default */
    pv_lambda_kind lambda;
    double beta;        /* a of Beta(a, a) */
    pv_partner partner; /* of a MixUp; not NONE */
    bool signs;         /* matching with signs: mixup_aligned, self_aligned, combine */
    int sweeps, starts; /* of the matching */
} pv_augment_opts;

/* In order of application.  Owned by the config (malloc). */
typedef struct pv_augment_list {
    pv_augment_opts *items;
    unsigned count;
} pv_augment_list;

#endif
