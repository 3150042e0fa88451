/* Augmentations that leave the function as it is. */
#include "pv_augment_kinds.h"

#include <string.h>

static void apply_drawn(augment_item *item, float *row)
{
    memcpy(item->scratch, row, sizeof *row * (size_t)item->params);
    pv_symmetry_apply(item->arch, &item->symmetry, item->scratch, row);
}

void augment_negation(augment_item *item, augment_subject *it)
{
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_signs(item->arch, item->amount, it->rng, &item->symmetry);
    apply_drawn(item, it->row);
}

void augment_phase(augment_item *item, augment_subject *it)
{
    const int most = (int)item->amount;
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_phases(item->arch, -most, most - 1, it->rng, &item->symmetry);
    apply_drawn(item, it->row);
}

void augment_permute(augment_item *item, augment_subject *it)
{
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_permutation(item->arch, it->rng, &item->symmetry);
    apply_drawn(item, it->row);
}
