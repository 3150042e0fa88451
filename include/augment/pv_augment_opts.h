/* The augmentations of training as options: the list `augment` of a config. */
#ifndef PV_AUGMENT_OPTS_H
#define PV_AUGMENT_OPTS_H

#include "config/pv_plugin.h"
#include "symmetry/pv_match.h"

typedef struct pv_augment_opts {
    pv_pick kind; /* a pv_augmentation and its own options */
    double p;     /* probability that it is applied to a sample */
} pv_augment_opts;

/* In order of application.  Owned by the config (malloc). */
typedef struct pv_augment_list {
    pv_augment_opts *items;
    unsigned count;
} pv_augment_list;

/* The rows of an item. */
extern const pv_option pv_augment_options[];

typedef enum pv_lambda_kind { PV_LAMBDA_UNIFORM, PV_LAMBDA_BETA } pv_lambda_kind;

/* Whom a MixUp mixes with: any sample, a view of another object, another view of the same object. */
typedef enum pv_partner { PV_PARTNER_ANY, PV_PARTNER_OBJECT, PV_PARTNER_VIEW, PV_PARTNER_NONE } pv_partner;

/* Of which views: those that are trained on, or every view in the store. */
typedef enum pv_partner_views { PV_PARTNER_VIEWS_TRAIN, PV_PARTNER_VIEWS_ALL } pv_partner_views;

/* How the units of partners are matched: to those of the sample, or both to a reference beforehand. */
typedef enum pv_match_by { PV_MATCH_PAIR, PV_MATCH_REFERENCE } pv_match_by;

/* Whom an item mixes a sample with; PV_PARTNER_NONE: it does not mix. */
pv_partner pv_augment_partner(const pv_augment_opts *item);

/* Of which views the partners of a list are. */
pv_partner_views pv_augment_partner_views(const pv_augment_list *list);

/* How rows are to be matched to a reference, for a list that mixes by it; NULL: it does not. */
const pv_match_opts *pv_augment_frames(const pv_augment_list *list);

#endif
