/* Maps of the coordinates, folded into the first layer. */
#include "augment/pv_augmentation.h"
#include "pv_augment_maps.h"

#include <math.h>

#define DEGREE (3.14159265358979323846 / 180)

void pv_augment_translate_by(const pv_arch *arch, const float *t, int order, float *row)
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

void pv_augment_rotate_by(const pv_arch *arch, double cosine, double sine, float *row)
{
    const int ins = arch->dims[0];
    for (int u = 0; u < arch->dims[1]; u++, row += ins) {
        const double x = (double)row[0], y = (double)row[1];
        row[0] = (float)(cosine * x - sine * y);
        row[1] = (float)(sine * x + cosine * y);
    }
}

void pv_augment_scale_by(const pv_arch *arch, float s, float *row)
{
    for (int i = 0; i < arch->dims[0] * arch->dims[1]; i++)
        row[i] *= s;
}

static void draw_shift(const pv_augment_item *item, pv_rng *rng, float *t)
{
    for (int c = 0; c < item->arch->dims[0]; c++)
        t[c] = (float)pv_rng_range(rng, -pv_augment_amount(item), pv_augment_amount(item));
}

static void translate(pv_augment_item *item, pv_augment_subject *it)
{
    float t[PV_INR_MAX_WIDTH];
    draw_shift(item, it->rng, t);
    pv_augment_translate_by(item->arch, t, 1, it->row);
}

const pv_augmentation pv_augmentation_translate = {PV_AMOUNT_PLUGIN("translate", "x -> x + t, exactly",
                                                                    "0.25", "largest shift of a coordinate",
                                                                    PV_BETWEEN(0, 1000)),
                                                   .apply = translate};

static void translate_deep(pv_augment_item *item, pv_augment_subject *it)
{
    float t[PV_INR_MAX_WIDTH];
    const int hidden = item->arch->layers - 1;
    draw_shift(item, it->rng, t);
    pv_augment_translate_by(item->arch, t, hidden > 1 ? 1 + (int)pv_rng_below(it->rng, (uint64_t)hidden) : 1,
                            it->row);
}

const pv_augmentation pv_augmentation_translate_deep = {
    PV_AMOUNT_PLUGIN("translate_deep", "the published translation, into the bias of a random layer", "0.25",
                     "largest shift of a coordinate", PV_BETWEEN(0, 1000)),
    .apply = translate_deep};

static void rotate(pv_augment_item *item, pv_augment_subject *it)
{
    const double angle = pv_rng_range(it->rng, -pv_augment_amount(item), pv_augment_amount(item)) * DEGREE;
    pv_augment_rotate_by(item->arch, cos(angle), sin(angle), it->row);
}

const pv_augmentation pv_augmentation_rotate = {
    PV_AMOUNT_PLUGIN("rotate", "turns the plane of the first two coordinates", "30", "largest angle, degrees",
                     PV_BETWEEN(0, 360)),
    .apply = rotate, .inputs = 2};

static void scale(pv_augment_item *item, pv_augment_subject *it)
{
    pv_augment_scale_by(
        item->arch, (float)pv_rng_range(it->rng, 1 - pv_augment_amount(item), 1 + pv_augment_amount(item)),
        it->row);
}

const pv_augmentation pv_augmentation_scale = {
    PV_AMOUNT_PLUGIN("scale", "x -> s x", "0.2", "largest change of the factor 1", PV_BETWEEN(0, 0.99)),
    .apply = scale};
