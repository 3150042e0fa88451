/* The augmentations of training: the `augment` list of a config. */
#ifndef PV_AUGMENT_OPTS_H
#define PV_AUGMENT_OPTS_H

#include "config/pv_option.h"
#include "augment/pv_augment_registry.h"

#include <stdbool.h>

typedef enum pv_augment_kind {
#define PV_AUGMENT_ENUM(id, ...) PV_AUGMENT_##id,
    PV_AUGMENTS(PV_AUGMENT_ENUM)
#undef PV_AUGMENT_ENUM
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

/* The rows of the section. */
extern const pv_option pv_augment_options[];

#endif
