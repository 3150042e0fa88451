/* The transformations of the augmentations with their draws given, so that tests replay stored draws. */
#ifndef PV_AUGMENT_MAPS_H
#define PV_AUGMENT_MAPS_H

#include "augment/pv_augmentation.h"
#include "base/pv_rng.h"
#include "inr/pv_arch.h"

/* x -> x + t [d_0] at `order` 1; at 2 .. M - 1 the reference's, into the bias of a deeper layer, without the
 * activations between: no translation, an approximation. */
void pv_augment_translate_by(const pv_arch *arch, const float *t, int order, float *row);
/* Turns the first n coordinates, 2 or 3 of them, about a unit vector: x -> R x with
 * R = cos 1 - sin [axis]x + (1 - cos) axis axis^T; about {0, 0, 1} in the plane that is
 * (x_0, x_1) -> (cos x_0 + sin x_1, cos x_1 - sin x_0). */
void pv_augment_turn_by(const pv_arch *arch, int n, const double *axis, double angle, float *row);
/* x_c -> s_c x_c, s [d_0]. */
void pv_augment_scale_by(const pv_arch *arch, const float *s, float *row);
/* Adds amount * (standard deviation of the tensor + 1e-8) * normal [P]. */
void pv_augment_noise_by(const pv_arch *arch, double amount, const float *normal, float *row);
/* keep [P]: 1 or 0; what is kept is divided by 1 - rate. */
void pv_augment_dropout_by(int params, double rate, const float *keep, float *row);
/* Zeroes all whose size is below the quantile `level` of all sizes; scratch [P]. */
void pv_augment_quantile_by(int params, double level, float *scratch, float *row);
/* row = lambda row + (1 - lambda) other, and the targets alike; -1 is no label. */
void pv_augment_mix_by(int params, float lambda, const float *other, float *row);
void pv_augment_mix_label(int classes, float lambda, int32_t other, float *target);
/* (1 - rate) target + rate / classes. */
void pv_augment_smooth_by(int classes, float rate, float *target);
/* The share of the sample in a MixUp. */
double pv_augment_draw_lambda(const pv_lambda_opts *opts, pv_rng *rng);

#endif
