/* What an augmentation is, inside the room: an item of a pipeline, a function that draws and applies, and the
 * transformations themselves with their draws given, so that tests replay stored draws. */
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

/* What an item is applied to: it draws from `rng` and changes row and target in place. */
typedef struct augment_subject {
    pv_rng *rng;
    const pv_augment_sample *partner; /* of kinds that mix; NULL for the others */
    float *row;                       /* [P] */
    float *target;                    /* [classes] */
} augment_subject;

typedef void (*augment_apply)(augment_item *item, augment_subject *it);

/* The functions of the registry. */
#define AUGMENT_DECLARE(id, name, ...) void augment_##name(augment_item *item, augment_subject *it);
PV_AUGMENTS(AUGMENT_DECLARE)
#undef AUGMENT_DECLARE

/* One that touches neither partner nor label, on `row`, at its published strength. */
void augment_apply_usual(augment_item *item, pv_augment_kind kind, pv_rng *rng, float *row);

/* The transformations, their draws given. */
/* x -> x + t [d_0] at `order` 1; at 2 .. M - 1 the reference's, into the bias of a deeper layer, without the sines between:
 * no translation, an approximation. */
void augment_translate_by(const pv_arch *arch, const float *t, int order, float *row);
/* x -> (cosine x_0 + sine x_1, cosine x_1 - sine x_0), of the first two coordinates. */
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

#endif
