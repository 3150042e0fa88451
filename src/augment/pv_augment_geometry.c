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

void pv_augment_turn_by(const pv_arch *arch, int n, const double *axis, double angle, float *row)
{
    const double cosine = cos(angle), sine = sin(angle), x = axis[0], y = axis[1], z = axis[2];
    const double across[3][3] = {{0, z, -y}, {-z, 0, x}, {y, -x, 0}}; /* p -> p x axis */
    for (int u = 0; u < arch->dims[1]; u++, row += arch->dims[0]) {
        double turned[3] = {0};
        for (int k = 0; k < n; k++)
            for (int c = 0; c < n; c++)
                turned[c] += (double)row[k] *
                             ((k == c ? cosine : 0) + sine * across[k][c] + (1 - cosine) * axis[k] * axis[c]);
        for (int c = 0; c < n; c++)
            row[c] = (float)turned[c];
    }
}

void pv_augment_scale_by(const pv_arch *arch, const float *s, float *row)
{
    for (int u = 0; u < arch->dims[1]; u++)
        for (int c = 0; c < arch->dims[0]; c++)
            *row++ *= s[c];
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
                                                   .apply = translate, .geometry = true};

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
    .apply = translate_deep, .geometry = true};

typedef enum axis_word { AXIS_VERTICAL, AXIS_ANY, AXIS_X, AXIS_Y, AXIS_Z } axis_word;
static const char *const axis_names[] = {"vertical", "any", "x", "y", "z", NULL};

typedef struct rotate_opts {
    pv_amount_opts angle;
    axis_word axis;
} rotate_opts;

static const pv_option rotate_rows[] = {
    PV_AMOUNT_ROW("30", "largest angle, degrees", PV_BETWEEN(0, 360)),
    {PV_KEY(rotate_opts, axis), .choices = axis_names, .initial = "vertical", .fixes = PV_FIXES_MODEL,
     .meaning =
         "of the turn in space: the third coordinate's, by `z` or `vertical`, another one's, or `any`: "
         "uniform among the rotations by at most the largest angle, all of SO(3) with 180"},
    {0}};

static int rotated_inputs(const void *options)
{
    const rotate_opts *opts = options;
    return opts && opts->axis != AXIS_VERTICAL ? 3 : 2;
}

/* Uniform rotations have angles of the density 1 - cos; one below `most`, by rejection from the density
 * angle^2 / 2, which lies a little above it. */
static double draw_angle(pv_rng *rng, double most)
{
    for (;;) {
        const double angle = most * cbrt(pv_rng_uniform(rng));
        if (pv_rng_uniform(rng) * angle * angle / 2 <= 1 - cos(angle)) return angle;
    }
}

static void draw_axis(pv_rng *rng, double *axis)
{
    const double turn = pv_rng_range(rng, 0, 360 * DEGREE);
    axis[2] = pv_rng_range(rng, -1, 1);
    axis[0] = sqrt(1 - axis[2] * axis[2]) * cos(turn);
    axis[1] = sqrt(1 - axis[2] * axis[2]) * sin(turn);
}

static void rotate(pv_augment_item *item, pv_augment_subject *it)
{
    static const double axes[][3] = {
        [AXIS_VERTICAL] = {0, 0, 1}, [AXIS_X] = {1, 0, 0}, [AXIS_Y] = {0, 1, 0}, [AXIS_Z] = {0, 0, 1}};
    const rotate_opts *opts = item->options;
    const double most = opts->angle.amount * DEGREE;
    double any[3];
    if (opts->axis == AXIS_ANY) {
        draw_axis(it->rng, any);
        pv_augment_turn_by(item->arch, 3, any, draw_angle(it->rng, fmin(most, 180 * DEGREE)), it->row);
    } else
        pv_augment_turn_by(item->arch, rotated_inputs(opts), axes[opts->axis],
                           pv_rng_range(it->rng, -most, most), it->row);
}

const pv_augmentation pv_augmentation_rotate = {
    .plugin = {.name = "rotate",
               .help = "turns the plane of the first two coordinates, or space about an axis",
               PV_AUGMENT_OPTIONS(rotate_rows, rotate_opts)},
    .apply = rotate, .geometry = true,
    .inputs = rotated_inputs};

typedef struct scale_opts {
    pv_amount_opts change;
    bool each;
} scale_opts;

static const pv_option scale_rows[] = {
    PV_AMOUNT_ROW("0.2", "largest change of the factor 1", PV_BETWEEN(0, 0.99)),
    {PV_KEY(scale_opts, each), .initial = "false", .fixes = PV_FIXES_MODEL,
     .meaning = "each coordinate has a factor of its own"},
    {0}};

static void scale(pv_augment_item *item, pv_augment_subject *it)
{
    const scale_opts *opts = item->options;
    const double most = opts->change.amount;
    float s[PV_INR_MAX_WIDTH];
    for (int c = 0; c < item->arch->dims[0]; c++)
        s[c] = c == 0 || opts->each ? (float)pv_rng_range(it->rng, 1 - most, 1 + most) : s[0];
    pv_augment_scale_by(item->arch, s, it->row);
}

const pv_augmentation pv_augmentation_scale = {
    .plugin = {.name = "scale", .help = "x -> s x", PV_AUGMENT_OPTIONS(scale_rows, scale_opts)},
    .apply = scale, .geometry = true};
