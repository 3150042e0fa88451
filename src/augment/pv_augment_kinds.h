/* What an augmentation is, inside the room: an entry of the registry, an item of a pipeline, and the transformations
 * themselves with their draws given, so that tests replay stored draws.  A new augmentation is a function of type
 * augment_apply in a file of its own and a line in the registry (pv_augment.c). */
#ifndef PV_AUGMENT_KINDS_H
#define PV_AUGMENT_KINDS_H

#include "augment/pv_augment.h"
#include "base/pv_rng.h"
#include "symmetry/pv_match.h"
#include "symmetry/pv_symmetry.h"

/* One item of a pipeline and its workspace. */
typedef struct augment_item {
    const pv_arch *arch;
    int params, classes;
    pv_augment_opts opts;
    double amount;         /* opts.amount, or the published one */
    pv_symmetry symmetry;  /* what is drawn */
    float *scratch, *copy; /* [P] */
    pv_matcher *matcher;   /* NULL unless the kind matches */
} augment_item;

/* Draws, and changes row [P] and target [classes] in place; `partner` is given to kinds that mix. */
typedef void (*augment_apply)(augment_item *item, pv_rng *rng, const pv_augment_sample *partner, float *row,
                              float *target);

/* The kinds of the registry. */
void augment_translate(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_translate_deep(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_rotate(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_scale(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_noise(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_dropout(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_quantile_dropout(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_negation(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_phase(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_permute(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_label_smoothing(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_mixup(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_mixup_perm(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_mixup_aligned(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_self_aligned(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_combine(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);
void augment_weights_only(augment_item *, pv_rng *, const pv_augment_sample *, float *row, float *target);

/* One that touches neither partner nor label, at its published strength. */
void augment_apply_usual(augment_item *item, pv_augment_kind kind, pv_rng *rng, float *row);

/* The transformations, their draws given. */
/* x -> x + t [d_0] at `order` 1; at 2 .. M - 1 the reference's, into the bias of a deeper layer, without the sines between:
 * no translation, an approximation. */
void augment_translate_by(const pv_arch *arch, const float *t, int order, float *row);
/* x -> R x in the plane of the first two coordinates. */
void augment_rotate_by(const pv_arch *arch, double cosine, double sine, float *row);
/* x -> s x. */
void augment_scale_by(const pv_arch *arch, float s, float *row);
/* Adds amount * (standard deviation of the tensor + 1e-8) * normal [P]. */
void augment_noise_by(const pv_arch *arch, double amount, const float *normal, float *row);
/* keep [P]: 1 or 0; what is kept is divided by 1 - rate. */
void augment_dropout_by(int params, double rate, const float *keep, float *row);
/* Zeroes all whose size is below the quantile `level` of all sizes; scratch [P]. */
void augment_quantile_by(int params, double level, float *scratch, float *row);
/* row = lambda row + (1 - lambda) other, and the targets alike with their own share. */
void augment_mix_by(int params, float lambda, const float *other, float *row);
void augment_mix_label(int classes, float lambda, int32_t other, float *target);
/* Brings `other` closest to `row` into `aligned` [P]. */
void augment_align(augment_item *item, pv_rng *rng, const float *row, const float *other, float *aligned);
/* (1 - rate) target + rate / classes. */
void augment_smooth_by(int classes, float rate, float *target);
/* The share of the sample in a MixUp. */
double augment_draw_lambda(const pv_augment_opts *opts, pv_rng *rng);

typedef struct augment_kind {
    const char *name;
    double usual, high; /* amount: the published one, and the largest that makes sense */
    int inputs;         /* coordinates that it needs at least */
    bool mixes, matches;
    augment_apply apply;
} augment_kind;

#endif
