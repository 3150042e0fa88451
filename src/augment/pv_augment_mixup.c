/* MixUp of two INRs and their labels, and label smoothing. */
#include "pv_augment_kinds.h"

#include <math.h>
#include <string.h>

/* Gamma(shape, 1) by Marsaglia and Tsang (2000); a shape below 1 is drawn one higher and brought down. */
static double draw_gamma(pv_rng *rng, double shape)
{
    const double boost = shape < 1 ? pow(1 - pv_rng_uniform(rng), 1 / shape) : 1;
    const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = pv_rng_normal(rng), root = 1 + c * x, v = root * root * root;
        if (root <= 0) continue;
        if (log(1 - pv_rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v)) return boost * d * v;
    }
}

double augment_draw_lambda(const pv_augment_opts *opts, pv_rng *rng)
{
    if (opts->lambda == PV_LAMBDA_UNIFORM) return pv_rng_uniform(rng);
    const double a = draw_gamma(rng, opts->beta), b = draw_gamma(rng, opts->beta);
    return a + b > 0 ? a / (a + b) : 0.5; /* tiny shapes can underflow both */
}

void augment_mix_by(int params, float lambda, const float *other, float *row)
{
    for (int i = 0; i < params; i++)
        row[i] = lambda * row[i] + (1 - lambda) * other[i];
}

void augment_mix_label(int classes, float lambda, int32_t other, float *target)
{
    for (int c = 0; c < classes; c++)
        target[c] *= lambda;
    target[other] += 1 - lambda;
}

void augment_align(augment_item *item, pv_rng *rng, const float *row, const float *other, float *aligned)
{
    pv_match_row(item->matcher, row, other, rng, aligned);
}

void augment_smooth_by(int classes, float rate, float *target)
{
    for (int c = 0; c < classes; c++)
        target[c] = (1 - rate) * target[c] + rate / (float)classes;
}

void augment_label_smoothing(augment_item *item, augment_subject *it)
{
    augment_smooth_by(item->classes, (float)item->amount, it->target);
}

void augment_mixup(augment_item *item, augment_subject *it)
{
    const float lambda = (float)augment_draw_lambda(&item->opts, it->rng);
    augment_mix_by(item->params, lambda, it->partner->row, it->row);
    augment_mix_label(item->classes, lambda, it->partner->label, it->target);
}

void augment_mixup_perm(augment_item *item, augment_subject *it)
{
    augment_permute(item, it);
    augment_mixup(item, it);
}

void augment_mixup_aligned(augment_item *item, augment_subject *it)
{
    const float lambda = (float)augment_draw_lambda(&item->opts, it->rng);
    augment_align(item, it->rng, it->row, it->partner->row, item->copy);
    augment_mix_by(item->params, lambda, item->copy, it->row);
    augment_mix_label(item->classes, lambda, it->partner->label, it->target);
}

/* The copy's label is the sample's own.  The published code mixes in the label of an unrelated sample, whose weights take
 * no part; that we do not follow. */
void augment_self_aligned(augment_item *item, augment_subject *it)
{
    static const pv_augment_kind kinds[] = {PV_AUGMENT_TRANSLATE, PV_AUGMENT_SCALE,    PV_AUGMENT_NOISE,
                                            PV_AUGMENT_DROPOUT,   PV_AUGMENT_NEGATION, PV_AUGMENT_PHASE,
                                            PV_AUGMENT_ROTATE};
    const uint64_t count = sizeof kinds / sizeof *kinds - (item->arch->dims[0] < 2);
    const float lambda = (float)augment_draw_lambda(&item->opts, it->rng);
    const pv_augment_kind chosen = kinds[pv_rng_below(it->rng, count)];
    memcpy(item->copy, it->row, sizeof *it->row * (size_t)item->params);
    augment_apply_usual(item, chosen, it->rng, item->copy);
    augment_align(item, it->rng, it->row, item->copy, item->copy);
    augment_mix_by(item->params, lambda, item->copy, it->row);
}

void augment_combine(augment_item *item, augment_subject *it)
{
    augment_apply_usual(item, PV_AUGMENT_TRANSLATE, it->rng, it->row);
    augment_apply_usual(item, PV_AUGMENT_NOISE, it->rng, it->row);
    augment_apply_usual(item, PV_AUGMENT_NEGATION, it->rng, it->row);
    augment_mixup_aligned(item, it);
}

void augment_weights_only(augment_item *item, augment_subject *it)
{
    const float lambda = (float)augment_draw_lambda(&item->opts, it->rng);
    augment_mix_by(item->params, lambda, it->partner->row, it->row);
    if (lambda < 0.5F) augment_mix_label(item->classes, 0, it->partner->label, it->target);
}
