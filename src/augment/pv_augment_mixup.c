/* MixUp of two INRs and their labels, the published variants of it, and label smoothing. */
#include "augment/pv_augmentation.h"
#include "pv_augment_maps.h"

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

double pv_augment_draw_lambda(const pv_lambda_opts *opts, pv_rng *rng)
{
    if (opts->lambda == PV_LAMBDA_UNIFORM) return pv_rng_uniform(rng);
    const double a = draw_gamma(rng, opts->beta), b = draw_gamma(rng, opts->beta);
    return a + b > 0 ? a / (a + b) : 0.5; /* tiny shapes can underflow both */
}

void pv_augment_mix_by(int params, float lambda, const float *other, float *row)
{
    for (int i = 0; i < params; i++)
        row[i] = lambda * row[i] + (1 - lambda) * other[i];
}

void pv_augment_mix_label(int classes, float lambda, int32_t other, float *target)
{
    for (int c = 0; c < classes; c++)
        target[c] *= lambda;
    if (other >= 0) target[other] += 1 - lambda;
}

void pv_augment_smooth_by(int classes, float rate, float *target)
{
    for (int c = 0; c < classes; c++)
        target[c] = (1 - rate) * target[c] + rate / (float)classes;
}

static void label_smoothing(pv_augment_item *item, pv_augment_subject *it)
{
    pv_augment_smooth_by(item->classes, (float)pv_augment_amount(item), it->target);
}

const pv_augmentation pv_augmentation_label_smoothing = {
    PV_AMOUNT_PLUGIN("label_smoothing", "mixes the label with all classes alike", "0.1", "rate",
                     PV_BETWEEN(0, 1)),
    .apply = label_smoothing};

/* Mixes the partner, or `other` that stands for its row, in. */
static void mix(const pv_augment_item *item, pv_augment_subject *it, float lambda, const float *other)
{
    pv_augment_mix_by(item->params, lambda, other, it->row);
    pv_augment_mix_label(item->classes, lambda, it->partner->label, it->target);
}

static float draw_share(const pv_augment_item *item, pv_rng *rng)
{
    const pv_mixup_opts *opts = item->options;
    return (float)pv_augment_draw_lambda(&opts->share, rng);
}

static const pv_option mixup_rows[] = {PV_MIXUP_ROWS(pv_mixup_opts, partner, views, share), {0}};

static void mixup(pv_augment_item *item, pv_augment_subject *it)
{
    mix(item, it, draw_share(item, it->rng), it->partner->row);
}

const pv_augmentation pv_augmentation_mixup = {
    .plugin = {.name = "mixup",
               .help = "mixes a sample and its label with those of another",
               PV_AUGMENT_OPTIONS(mixup_rows, pv_mixup_opts)},
    .apply = mixup,
    .mixes = true};

static void mixup_perm(pv_augment_item *item, pv_augment_subject *it)
{
    pv_augment_use(&item->uses[0], it->rng, it->row, it->moved);
    mixup(item, it);
}

const pv_augmentation pv_augmentation_mixup_perm = {
    .plugin = {.name = "mixup_perm",
               .help = "mixup of the sample with its units in a random order",
               PV_AUGMENT_OPTIONS(mixup_rows, pv_mixup_opts)},
    .apply = mixup_perm,
    .mixes = true,
    .uses = (const pv_augmentation *const[]){&pv_augmentation_permute, NULL}};

static void weights_only(pv_augment_item *item, pv_augment_subject *it)
{
    const float lambda = draw_share(item, it->rng);
    pv_augment_mix_by(item->params, lambda, it->partner->row, it->row);
    if (lambda < 0.5F) pv_augment_mix_label(item->classes, 0, it->partner->label, it->target);
}

const pv_augmentation pv_augmentation_weights_only = {
    .plugin = {.name = "weights_only",
               .help = "mixup of the weights; the label is that of the larger share",
               PV_AUGMENT_OPTIONS(mixup_rows, pv_mixup_opts)},
    .apply = weights_only,
    .mixes = true};

/* ---- with weight matching ---- */

typedef struct aligned_opts {
    pv_mixup_opts mixup;
    pv_match_by by;
    pv_match_opts match;
} aligned_opts;

static const char *const by_names[] = {[PV_MATCH_PAIR] = "pair", [PV_MATCH_REFERENCE] = "reference", NULL};

static const pv_option aligned_rows[] = {
    PV_MIXUP_ROWS(aligned_opts, mixup.partner, mixup.views, mixup.share),
    {.name = "match",
     PV_MEMBER(aligned_opts, by),
     .choices = by_names,
     .initial = "pair",
     .fixes = PV_FIXES_MODEL,
     .meaning =
         "pair: the partner's units are matched to the sample's; reference: every row is matched to one "
         "network that nobody fitted as it is loaded, and two rows are brought together through it"},
    PV_MATCH_ROWS(aligned_opts, match),
    {0}};

/* The partner's row as the sample's stands: to the reference by its own frame, from there back by the
 * sample's, then through what has moved the sample since. */
static void bring_partner(pv_augment_item *item, const pv_augment_subject *it, float *out)
{
    pv_symmetry *const one = &item->symmetry, *const two = &item->spare[0], *const three = &item->spare[1];
    pv_frame_unpack(item->arch, it->frame, one);
    pv_symmetry_invert(item->arch, one, two);
    pv_frame_unpack(item->arch, it->partner->frame, one);
    pv_symmetry_compose(item->arch, one, two, three);
    pv_symmetry_compose(item->arch, three, it->moved, one);
    pv_symmetry_apply(item->arch, one, it->partner->row, out);
}

static void mixup_aligned(pv_augment_item *item, pv_augment_subject *it)
{
    const aligned_opts *opts = item->options;
    const float lambda = draw_share(item, it->rng);
    if (opts->by == PV_MATCH_REFERENCE)
        bring_partner(item, it, item->copy);
    else
        pv_match_row(item->matcher, it->row, it->partner->row, it->rng, item->copy);
    mix(item, it, lambda, item->copy);
}

const pv_augmentation pv_augmentation_mixup_aligned = {
    .plugin = {.name = "mixup_aligned",
               .help = "mixup with the partner's units matched to the sample's",
               PV_AUGMENT_OPTIONS(aligned_rows, aligned_opts)},
    .apply = mixup_aligned,
    .mixes = true,
    .by = offsetof(aligned_opts, by),
    .match = offsetof(aligned_opts, match)};

static void combine(pv_augment_item *item, pv_augment_subject *it)
{
    for (int i = 0; i < item->uses_count; i++)
        pv_augment_use(&item->uses[i], it->rng, it->row, it->moved);
    mixup_aligned(item, it);
}

const pv_augmentation pv_augmentation_combine = {
    .plugin = {.name = "combine",
               .help = "translate, noise and negation at their usual amounts, then mixup_aligned",
               PV_AUGMENT_OPTIONS(aligned_rows, aligned_opts)},
    .apply = combine,
    .mixes = true,
    .by = offsetof(aligned_opts, by),
    .match = offsetof(aligned_opts, match),
    .uses = (const pv_augmentation *const[]){&pv_augmentation_translate, &pv_augmentation_noise,
                                             &pv_augmentation_negation, NULL}};

typedef struct self_aligned_opts {
    pv_lambda_opts share;
    pv_match_opts match;
} self_aligned_opts;

static const pv_option self_aligned_rows[] = {
    PV_LAMBDA_ROWS(self_aligned_opts, share), PV_MATCH_ROWS(self_aligned_opts, match), {0}};

/* The copy's label is the sample's own.  The published code mixes in the label of an unrelated sample, whose
 * weights take no part; that we do not follow. */
static void self_aligned(pv_augment_item *item, pv_augment_subject *it)
{
    const self_aligned_opts *opts = item->options;
    const float lambda = (float)pv_augment_draw_lambda(&opts->share, it->rng);
    const uint64_t chosen = pv_rng_below(it->rng, (uint64_t)item->uses_count);
    memcpy(item->copy, it->row, sizeof *it->row * (size_t)item->params);
    pv_augment_use(&item->uses[chosen], it->rng, item->copy, NULL);
    pv_match_row(item->matcher, it->row, item->copy, it->rng, item->copy);
    pv_augment_mix_by(item->params, lambda, item->copy, it->row);
}

const pv_augmentation pv_augmentation_self_aligned = {
    .plugin = {.name = "self_aligned",
               .help = "mixes a sample with a copy of itself, changed by another augmentation and matched",
               PV_AUGMENT_OPTIONS(self_aligned_rows, self_aligned_opts)},
    .apply = self_aligned,
    .match = offsetof(self_aligned_opts, match),
    .uses = (const pv_augmentation *const[]){&pv_augmentation_translate, &pv_augmentation_scale,
                                             &pv_augmentation_noise, &pv_augmentation_dropout,
                                             &pv_augmentation_negation, &pv_augmentation_phase,
                                             &pv_augmentation_rotate, NULL},
    .uses_one = true};
