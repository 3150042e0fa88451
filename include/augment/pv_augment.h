/* Weight-space augmentations (Shamsian et al. 2024, section 4) of raw INR rows, before normalisation, with
 * soft labels. A pipeline is the `augment` list of a config, applied in order, each item with its
 * probability; at most one item is a MixUp.
 *
 * Everything drawn is a function of (seed, epoch, place in the epoch, item's number): PV_RNG_AUGMENT. */
#ifndef PV_AUGMENT_H
#define PV_AUGMENT_H

#include "augment/pv_augment_opts.h"
#include "augment/pv_augmentation.h"
#include "base/pv_status.h"
#include "inr/pv_arch.h"

#include <stdint.h>

/* A pipeline and one thread's workspace: nothing is allocated when it is applied. */
typedef struct pv_augmenter pv_augmenter;

/* Where in training a sample stands. */
typedef struct pv_augment_key {
    uint64_t seed;
    int64_t epoch, place;
} pv_augment_key;

/* Owner: pv_augmenter_free (NULL is a no-op); `list` is borrowed, and outlives it.  Local.  Errors:
 * PV_ERR_CONFIG (which item, why: two MixUps, rotate of 1-D inputs, phases of units that have none),
 * PV_ERR_NOMEM. */
pv_status pv_augmenter_new(const pv_augment_list *list, const pv_arch *arch, int classes, pv_augmenter **out);
void pv_augmenter_free(pv_augmenter *augmenter);

/* Whom the sample at `key` is mixed with: PV_PARTNER_NONE when no MixUp is in the list or when its draw says
 * no. Cheap: the sampler asks ahead of time, so that partners can be fetched. */
pv_partner pv_augmenter_partner(const pv_augmenter *augmenter, pv_augment_key key);

/* Applies the pipeline.
 * Shapes   row [P], not sample.row; target [classes], sums to 1.  `partner` may be NULL where
 * pv_augmenter_partner says NONE; both have frames where pv_augment_frames says how.
 * Returns PV_OK always, but PV_ERR_NUMERIC naming the item if a row is not finite afterwards. */
pv_status pv_augmenter_apply(pv_augmenter *augmenter, pv_augment_key key, pv_augment_sample sample,
                             const pv_augment_sample *partner, float *row, float *target);

#endif
