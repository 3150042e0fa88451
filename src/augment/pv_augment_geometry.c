/* Maps of the coordinates, folded into the first layer. */
#include "pv_augment_kinds.h"

#include <math.h>

#define DEGREE (3.14159265358979323846 / 180)

void augment_translate_by(const pv_arch *arch, const float *t, int order, float *row)
{
    double moved[PV_INR_MAX_WIDTH] = {0}, next[PV_INR_MAX_WIDTH];
    for (int c = 0; c < arch->dims[0]; c++)
        moved[c] = (double)t[c];
    for (int l = 0; l < order; l++) {
        const int ins = arch->dims[l], outs = arch->dims[l + 1];
        for (int u = 0; u < outs; u++) {
            next[u] = 0;
            for (int c = 0; c < ins; c++)
                next[u] += (double)row[u * ins + c] * moved[c];
        }
        for (int u = 0; u < outs; u++)
            moved[u] = next[u];
        row += ins * outs;
        if (l + 1 < order) row += outs;
    }
    for (int u = 0; u < arch->dims[order]; u++)
        row[u] += (float)moved[u];
}

void augment_rotate_by(const pv_arch *arch, double cosine, double sine, float *row)
{
    const int ins = arch->dims[0];
    for (int u = 0; u < arch->dims[1]; u++, row += ins) {
        const double x = (double)row[0], y = (double)row[1];
        row[0] = (float)(cosine * x - sine * y);
        row[1] = (float)(sine * x + cosine * y);
    }
}

void augment_scale_by(const pv_arch *arch, float s, float *row)
{
    for (int i = 0; i < arch->dims[0] * arch->dims[1]; i++)
        row[i] *= s;
}

static void draw_shift(const augment_item *item, pv_rng *rng, float *t)
{
    for (int c = 0; c < item->arch->dims[0]; c++)
        t[c] = (float)pv_rng_range(rng, -item->amount, item->amount);
}

void augment_translate(augment_item *item, augment_subject *it)
{
    float t[PV_INR_MAX_WIDTH];
    draw_shift(item, it->rng, t);
    augment_translate_by(item->arch, t, 1, it->row);
}

void augment_translate_deep(augment_item *item, augment_subject *it)
{
    float t[PV_INR_MAX_WIDTH];
    const int hidden = item->arch->layers - 1;
    draw_shift(item, it->rng, t);
    augment_translate_by(item->arch, t, hidden > 1 ? 1 + (int)pv_rng_below(it->rng, (uint64_t)hidden) : 1,
                         it->row);
}

void augment_rotate(augment_item *item, augment_subject *it)
{
    const double angle = pv_rng_range(it->rng, -item->amount, item->amount) * DEGREE;
    augment_rotate_by(item->arch, cos(angle), sin(angle), it->row);
}

void augment_scale(augment_item *item, augment_subject *it)
{
    augment_scale_by(item->arch, (float)pv_rng_range(it->rng, 1 - item->amount, 1 + item->amount), it->row);
}
