/* Weight-space augmentations (Shamsian et al. 2024, section 4) of raw INR rows, before normalisation, with soft
 * labels.  A pipeline is the `augment` list of a config, applied in order, each item with its probability; at most one
 * item is a MixUp.
 *
 * amount, by kind (published default): translate(_deep) t ~ U(+-0.25) a coordinate; rotate angle ~ U(+-30) degrees;
 * scale s ~ U(1 +- 0.2); noise 0.32 standard deviations; dropout rate 0.1; quantile_dropout level ~ U(0, 0.1);
 * negation probability 0.5 a unit; phase k in -amount .. amount - 1, 4; label_smoothing 0.1; the others take none.
 * self_aligned and combine apply others at their published strengths.
 *
 * Everything drawn is a function of (seed, epoch, place in the epoch, item's number): PV_RNG_AUGMENT. */
#ifndef PV_AUGMENT_H
#define PV_AUGMENT_H

#include "augment/pv_augment_opts.h"
#include "base/pv_status.h"
#include "inr/pv_arch.h"

#include <stdint.h>

typedef struct pv_augmenter
    pv_augmenter; /* a pipeline and one thread's workspace: nothing is allocated when applied */

/* Where in training a sample stands. */
typedef struct pv_augment_key {
    uint64_t seed;
    int64_t epoch, place;
} pv_augment_key;

typedef struct pv_augment_sample {
    const float *row; /* [P] */
    int32_t label;
} pv_augment_sample;

/* The name in configs: "mixup_aligned". */
const char *pv_augment_name(pv_augment_kind kind);

/* Whether it mixes a sample with another one. */
bool pv_augment_mixes(pv_augment_kind kind);

/* Owner: pv_augmenter_free (NULL is a no-op); `list` is copied.  Local.  Errors: PV_ERR_CONFIG (which item, why: two
 * MixUps, an amount out of range or of one that takes none, rotate of 1-D inputs), PV_ERR_NOMEM. */
pv_status pv_augmenter_new(const pv_augment_list *list, const pv_arch *arch, int classes, pv_augmenter **out);
void pv_augmenter_free(pv_augmenter *augmenter);

/* Whom the sample at `key` is mixed with: PV_PARTNER_NONE when no MixUp is in the list, when its draw says no, or when
 * it is `self_aligned`.  Cheap: the sampler asks ahead of time, so that partners can be fetched. */
pv_partner pv_augmenter_partner(const pv_augmenter *augmenter, pv_augment_key key);

/* Applies the pipeline.
 * Shapes   row [P], not sample.row; target [classes], sums to 1.  `partner` may be NULL where pv_augmenter_partner says
 * NONE.  Returns PV_OK always, but PV_ERR_NUMERIC naming the item if a row is not finite afterwards. */
pv_status pv_augmenter_apply(pv_augmenter *augmenter, pv_augment_key key, pv_augment_sample sample,
                             const pv_augment_sample *partner, float *row, float *target);

#endif
