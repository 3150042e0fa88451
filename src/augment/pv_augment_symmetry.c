/* Augmentations that leave the function as it is. */
#include "augment/pv_augmentation.h"

#include <string.h>

static void apply_drawn(pv_augment_item *item, pv_augment_subject *it)
{
    memcpy(item->scratch, it->row, sizeof *it->row * (size_t)item->params);
    pv_symmetry_apply(item->arch, &item->symmetry, item->scratch, it->row);
    if (!it->moved) return;
    pv_symmetry_compose(item->arch, it->moved, &item->symmetry, &item->spare[0]);
    pv_symmetry_copy(item->arch, &item->spare[0], it->moved);
}

static void negation(pv_augment_item *item, pv_augment_subject *it)
{
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_signs(item->arch, pv_augment_amount(item), it->rng, &item->symmetry);
    apply_drawn(item, it);
}

const pv_augmentation pv_augmentation_negation = {PV_AMOUNT_PLUGIN("negation",
                                                                   "flips the signs of hidden units", "0.5",
                                                                   "probability a unit", PV_BETWEEN(0, 1)),
                                                  .apply = negation, .symmetries = PV_SYMMETRY_SIGNS};

static void phase(pv_augment_item *item, pv_augment_subject *it)
{
    const int most = (int)pv_augment_amount(item);
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_phases(item->arch, -most, most - 1, it->rng, &item->symmetry);
    apply_drawn(item, it);
}

const pv_augmentation pv_augmentation_phase = {
    PV_AMOUNT_PLUGIN("phase", "shifts the phases of hidden units", "4",
                     "k of the range -k .. k - 1 of multiples", PV_BETWEEN(1, 1000), .whole = true),
    .apply = phase, .symmetries = PV_SYMMETRY_PHASES};

static void rescale(pv_augment_item *item, pv_augment_subject *it)
{
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_scales(item->arch, pv_augment_amount(item), it->rng, &item->symmetry);
    apply_drawn(item, it);
}

const pv_augmentation pv_augmentation_rescale = {
    PV_AMOUNT_PLUGIN("rescale", "scales hidden units, of activations that allow it, and their outputs back",
                     "2", "most of a factor, whose logarithm is uniform", PV_BETWEEN(1, 1000)),
    .apply = rescale, .symmetries = PV_SYMMETRY_SCALES};

static void permute(pv_augment_item *item, pv_augment_subject *it)
{
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_permutation(item->arch, it->rng, &item->symmetry);
    apply_drawn(item, it);
}

const pv_augmentation pv_augmentation_permute = {
    .plugin = {.name = "permute", .help = "puts the hidden units of every layer in a random order"},
    .apply = permute};
