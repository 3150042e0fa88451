/* Augmentations that leave the function as it is. */
#include "pv_augment_kinds.h"

#include <string.h>

static void apply_drawn(augment_item *item, float *row)
{
    memcpy(item->scratch, row, sizeof *row * (size_t)item->params);
    pv_symmetry_apply(item->arch, &item->symmetry, item->scratch, row);
}

void augment_negation(augment_item *item, pv_rng *rng, const pv_augment_sample *partner, float *row,
                      float *target)
{
    (void)partner;
    (void)target;
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_signs(item->arch, item->amount, rng, &item->symmetry);
    apply_drawn(item, row);
}

void augment_phase(augment_item *item, pv_rng *rng, const pv_augment_sample *partner, float *row,
                   float *target)
{
    const int most = (int)item->amount;
    (void)partner;
    (void)target;
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_phases(item->arch, -most, most - 1, rng, &item->symmetry);
    apply_drawn(item, row);
}

void augment_permute(augment_item *item, pv_rng *rng, const pv_augment_sample *partner, float *row,
                     float *target)
{
    (void)partner;
    (void)target;
    pv_symmetry_identity(item->arch, &item->symmetry);
    pv_symmetry_draw_permutation(item->arch, rng, &item->symmetry);
    apply_drawn(item, row);
}
