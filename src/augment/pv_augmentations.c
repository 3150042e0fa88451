/* The registry of augmentations, and the rows of an item of the list `augment`. */
#include "augment/pv_augment_opts.h"
#include "augment/pv_augmentation.h"
#include "augment/pv_mixup_opts.h"

#define ENTRY(name) &pv_augmentation_##name.plugin,
const pv_registry pv_augmentations = {"augmentation",
                                      (const pv_plugin *const[]){PV_AUGMENTATIONS(ENTRY) NULL}};

const char *const pv_lambda_names[] = {[PV_LAMBDA_UNIFORM] = "uniform", [PV_LAMBDA_BETA] = "beta", NULL};
const char *const pv_partner_names[] = {
    [PV_PARTNER_ANY] = "any", [PV_PARTNER_OBJECT] = "object", [PV_PARTNER_VIEW] = "view", NULL};

const pv_option pv_augment_options[] = {
    {PV_KEY(pv_augment_opts, kind), .registry = &pv_augmentations, .required = true, .fixes = PV_FIXES_MODEL,
     .meaning = "which augmentation"},
    {PV_KEY(pv_augment_opts, p), .initial = "1.0", PV_BETWEEN(0, 1), .fixes = PV_FIXES_MODEL,
     .meaning = "probability that it is applied to a sample"},
    {0}};

pv_partner pv_augment_partner(const pv_augment_opts *item)
{
    const pv_augmentation *kind = (const pv_augmentation *)item->kind.plugin;
    const pv_mixup_opts *mixup = item->kind.options;
    return kind->mixes ? mixup->partner : PV_PARTNER_NONE;
}
