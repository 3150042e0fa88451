/* Every augmentation against the published implementation: its stored draws are replayed, and rows, labels
 * and the functions that the rows are have to come out as stored. */
#include "augment/pv_augment_maps.h"
#include "symmetry/pv_descent.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "pv_oracle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TOLERANCE          2e-6
#define FUNCTION_TOLERANCE 1e-4
#define DEGREE             (3.14159265358979323846 / 180)
enum { SIDE = 28, PIXELS = SIDE * SIDE };

/* One case: what it starts from, and what we make of it. */
typedef struct replay {
    const pv_oracle *oracle;
    const char *name;
    pv_arch arch;
    int params;
    float *row, *scratch, *target; /* [P], [P], [classes] */
    int classes;
} replay;

static double scalar(const replay *r, const char *path)
{
    int64_t count;
    double *value = pv_oracle_read(r->oracle, r->name, path, &count), result = value[0];
    assert_int_equal(count, 1);
    free(value);
    return result;
}

/* Tensors <prefix>weights.i, [d_i][d_{i+1}], and <prefix>biases.i into a row. */
static void read_row(const replay *r, const char *prefix, float *row)
{
    for (int l = 0; l < r->arch.layers; l++) {
        const int ins = r->arch.dims[l], outs = r->arch.dims[l + 1];
        char path[64];
        int64_t count;
        snprintf(path, sizeof path, "%sweights.%d", prefix, l);
        double *weights = pv_oracle_read(r->oracle, r->name, path, &count);
        assert_int_equal(count, ins * outs);
        for (int u = 0; u < outs; u++)
            for (int c = 0; c < ins; c++)
                row[u * ins + c] = (float)weights[c * outs + u];
        row += ins * outs;
        snprintf(path, sizeof path, "%sbiases.%d", prefix, l);
        double *biases = pv_oracle_read(r->oracle, r->name, path, &count);
        assert_int_equal(count, outs);
        for (int u = 0; u < outs; u++)
            row[u] = (float)biases[u];
        row += outs;
        free(weights);
        free(biases);
    }
}

static float *new_row(const replay *r, const char *prefix)
{
    float *row = pv_alloc(r->params, sizeof *row);
    assert_non_null(row);
    read_row(r, prefix, row);
    return row;
}

/* Integers <prefix>0, <prefix>1, ... of all hidden units. */
static int32_t *read_units(const replay *r, const char *prefix)
{
    int32_t *values = pv_alloc(pv_symmetry_units(&r->arch), sizeof *values);
    for (int l = 0; l + 1 < r->arch.layers; l++) {
        char path[64];
        int64_t count;
        snprintf(path, sizeof path, "%s%d", prefix, l);
        double *stored = pv_oracle_read(r->oracle, r->name, path, &count);
        for (int64_t u = 0; u < count; u++)
            values[pv_symmetry_offset(&r->arch, l) + u] = (int32_t)stored[u];
        free(stored);
    }
    return values;
}

static void translate(replay *r)
{
    int64_t count;
    double *t = pv_oracle_read(r->oracle, r->name, "input/draw/translation", &count);
    const float shift[2] = {(float)t[0], (float)t[1]};
    pv_augment_translate_by(&r->arch, shift, (int)scalar(r, "input/draw/order"), r->row);
    free(t);
}

static void rotate(replay *r)
{
    const double axis[3] = {0, 0, 1};
    pv_augment_turn_by(&r->arch, 2, axis, scalar(r, "input/draw/angle_deg") * DEGREE, r->row);
}

static void scale(replay *r)
{
    const float s = (float)scalar(r, "input/draw/scale"), factors[2] = {s, s};
    pv_augment_scale_by(&r->arch, factors, r->row);
}

/* The noise is stored as it was added: 0.32 (standard deviation of the tensor + 1e-8) times normal draws. */
static void noise(replay *r)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    read_row(r, "input/draw/noise.", r->scratch);
    for (int t = pv_arch_layout(&r->arch, tensors) - 1; t >= 0; t--) {
        const int count = tensors[t].rows * tensors[t].cols;
        const float *const values = r->row + tensors[t].offset;
        double mean = 0, square = 0;
        for (int i = 0; i < count; i++)
            mean += (double)values[i] / count;
        for (int i = 0; i < count; i++)
            square += pow((double)values[i] - mean, 2);
        const double deviation = count > 1 ? sqrt(square / (count - 1)) : 0;
        for (int i = 0; i < count; i++)
            r->scratch[tensors[t].offset + i] /= (float)(0.32 * (deviation + 1e-8));
    }
    pv_augment_noise_by(&r->arch, 0.32, r->scratch, r->row);
}

static void dropout(replay *r)
{
    read_row(r, "input/draw/mask.", r->scratch);
    pv_augment_dropout_by(r->params, pv_oracle_real(r->oracle, r->name, "drop_rate"), r->scratch, r->row);
}

static void quantile(replay *r)
{
    pv_augment_quantile_by(r->params, scalar(r, "input/draw/q_level"), r->scratch, r->row);
}

/* Applies what was drawn: permutations, signs or phases, by the prefix of the draws. */
static void symmetry(replay *r, const char *permutations, const char *signs, const char *phases)
{
    pv_symmetry drawn;
    assert_int_equal(pv_symmetry_make(&r->arch, &drawn), PV_OK);
    int32_t *const values = read_units(r, permutations ? permutations : signs ? signs : phases);
    for (int u = 0; u < pv_symmetry_units(&r->arch); u++) {
        if (permutations) drawn.source[u] = values[u];
        if (signs) drawn.sign[u] = (int8_t)values[u];
        if (phases) drawn.phase[u] = values[u];
    }
    memcpy(r->scratch, r->row, sizeof *r->row * (size_t)r->params);
    pv_symmetry_apply(&r->arch, &drawn, r->scratch, r->row);
    pv_symmetry_free(&drawn);
    free(values);
}

static void negation(replay *r)
{
    symmetry(r, NULL, "input/draw/sign.", NULL);
}

static void phase(replay *r)
{
    symmetry(r, NULL, NULL, "input/draw/k.");
}

static void label(replay *r, const char *path)
{
    memset(r->target, 0, sizeof *r->target * (size_t)r->classes);
    r->target[(int)scalar(r, path)] = 1;
}

static void smooth(replay *r)
{
    label(r, "input/label");
    pv_augment_smooth_by(r->classes, (float)pv_oracle_real(r->oracle, r->name, "smoothing_rate"), r->target);
}

/* Mixes a row in; `share` is the sample's in the label. */
static void mix(replay *r, const float *other, double share)
{
    pv_augment_mix_by(r->params, (float)scalar(r, "input/draw/alpha"), other, r->row);
    label(r, "input/label_a");
    pv_augment_mix_label(r->classes, (float)share, (int32_t)scalar(r, "input/label_b"), r->target);
}

static void mixup(replay *r)
{
    float *other = new_row(r, "input/rand.");
    mix(r, other, scalar(r, "input/draw/alpha"));
    free(other);
}

static void mixup_perm(replay *r)
{
    symmetry(r, "input/draw/perm.", NULL, NULL);
    mixup(r);
}

static void weights_only(replay *r)
{
    float *other = new_row(r, "input/rand.");
    mix(r, other, scalar(r, "input/draw/alpha") >= 0.5 ? 1 : 0);
    free(other);
}

static void assert_rows(const replay *r, const float *row, const char *prefix)
{
    float *const expected = new_row(r, prefix);
    for (int p = 0; p < r->params; p++)
        if (!(fabs((double)row[p] - (double)expected[p]) <= TOLERANCE * (1 + fabs((double)expected[p]))))
            fail_msg("%s: entry %d of %s is %.9g, not %.9g", r->name, p, prefix, (double)row[p],
                     (double)expected[p]);
    free(expected);
}

/* Matches `other` to the row in the stored order of the layers, and mixes what comes of it in. */
static void align(replay *r, const char *other_prefix)
{
    float *const other = new_row(r, other_prefix), *const aligned = new_row(r, other_prefix);
    int64_t steps;
    double *orders = pv_oracle_read(r->oracle, r->name, "input/draw/orders", &steps);
    pv_descent *descent;
    assert_int_equal(pv_descent_new(&r->arch, false, false, 1, &descent), PV_OK);
    pv_descent_begin(descent, r->row, other);
    for (int64_t s = 0; s < steps; s++)
        pv_descent_visit(descent, (int)orders[s]);
    pv_symmetry_apply(&r->arch, pv_descent_state(descent), other, aligned);
    assert_rows(r, aligned, "output/aligned_rand.");
    const double objective = scalar(r, "output/objective");
    assert_true(fabs(pv_match_objective(&r->arch, r->row, aligned) - objective) <= 1e-5 * fabs(objective));
    mix(r, aligned, scalar(r, "input/draw/alpha"));
    pv_descent_free(descent);
    free(orders);
    free(other);
    free(aligned);
}

static void mixup_aligned(replay *r)
{
    align(r, "input/rand.");
}

static void combine(replay *r)
{
    translate(r);
    noise(r);
    negation(r);
    assert_rows(r, r->row, "output/augmented.");
    align(r, "input/rand.");
}

/* Its label, mixed with that of a sample that takes no part, is the reference's; ours is the sample's own. */
static void self_aligned(replay *r)
{
    align(r, "input/augmented.");
}

static const struct {
    const char *type;
    void (*apply)(replay *r);
    bool keeps_function;
} replays[] = {
    {"translate", translate, false},
    {"rotate", rotate, false},
    {"scale", scale, false},
    {"gaussian_noise", noise, false},
    {"dropout", dropout, false},
    {"quantile", quantile, false},
    {"siren_negation", negation, true},
    {"siren_bias", phase, true},
    {"label_smoothing", smooth, false},
    {"mixup", mixup, false},
    {"mixup_and_perm", mixup_perm, false},
    {"weights_only_aug", weights_only, false},
    {"rebasin", mixup_aligned, false},
    {"combine", combine, false},
    {"self_rebasin", self_aligned, false},
};
enum { REPLAYS = sizeof replays / sizeof *replays };

/* The picture that a row draws, against a stored one. */
static void assert_picture(const replay *r, const float *row, const float *coords, const char *path)
{
    int64_t count;
    float values[PIXELS];
    double *stored = pv_oracle_read(r->oracle, r->name, path, &count);
    assert_int_equal(count, PIXELS);
    assert_int_equal(pv_inr_eval(&r->arch, row, PIXELS, coords, values), PV_OK);
    for (int p = 0; p < PIXELS; p++)
        if (!(fabs((double)values[p] - stored[p]) <= FUNCTION_TOLERANCE))
            fail_msg("%s: pixel %d of %s is %.9g, not %.9g", r->name, p, path, (double)values[p], stored[p]);
    free(stored);
}

static void make_coords(float *coords)
{
    for (int p = 0; p < PIXELS; p++) {
        coords[2 * p] = 2.0F * (float)(p % SIDE) / (SIDE - 1) - 1;
        coords[2 * p + 1] = 2.0F * (float)(p / SIDE) / (SIDE - 1) - 1;
    }
}

/* Where the published code says what the coordinates become, the row as it was must draw the same there. */
static void assert_moved(const replay *r, const char *type, const float *before, const float *coords)
{
    float moved[2 * PIXELS];
    int64_t count;
    double *t = NULL;
    const bool shifts = strcmp(type, "translate") == 0, turns = strcmp(type, "rotate") == 0;
    if (!shifts && !turns && strcmp(type, "scale") != 0) return;
    if (shifts && scalar(r, "input/draw/order") > 1) return;
    t = pv_oracle_read(r->oracle, r->name,
                       shifts  ? "input/draw/translation"
                       : turns ? "input/draw/rotation"
                               : "input/draw/scale",
                       &count);
    for (int p = 0; p < PIXELS; p++) {
        const double x = (double)coords[2 * p], y = (double)coords[2 * p + 1];
        moved[2 * p] = (float)(shifts ? x + t[0] : turns ? x * t[0] + y * t[2] : x * t[0]);
        moved[2 * p + 1] = (float)(shifts ? y + t[1] : turns ? x * t[1] + y * t[3] : y * t[0]);
    }
    assert_picture(r, before, moved, "output/inr_after");
    free(t);
}

static void assert_label(const replay *r)
{
    int64_t count;
    double *expected = pv_oracle_read(r->oracle, r->name, "output/label", &count);
    assert_int_equal(count, r->classes);
    for (int c = 0; c < r->classes; c++)
        assert_true(fabs((double)r->target[c] - expected[c]) < 1e-6);
    free(expected);
}

static void replay_case(replay *r, int index)
{
    const bool has_row = pv_oracle_has(r->oracle, r->name, "input/weights.0");
    float coords[2 * PIXELS], *const before = has_row ? new_row(r, "input/") : NULL;
    make_coords(coords);
    if (has_row) read_row(r, "input/", r->row);
    replays[index].apply(r);
    if (has_row) assert_rows(r, r->row, "output/");
    if (pv_oracle_has(r->oracle, r->name, "output/label")) assert_label(r);
    if (pv_oracle_has(r->oracle, r->name, "output/inr_after")) {
        assert_picture(r, before, coords, "output/inr_before");
        assert_picture(r, r->row, coords, "output/inr_after");
        if (replays[index].keeps_function) assert_picture(r, r->row, coords, "output/inr_before");
        assert_moved(r, replays[index].type, before, coords);
    }
    free(before);
}

static void stored_draws_give_the_stored_results(void **state)
{
    pv_oracle *oracle = *state;
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        int dims[PV_INR_MAX_LAYERS + 1], index = 0;
        char type[32];
        float target[10] = {0};
        replay r = {.oracle = oracle, .name = pv_oracle_case(oracle, i), .target = target, .classes = 10};
        const int levels = pv_oracle_ints(oracle, r.name, "dims", dims, PV_INR_MAX_LAYERS + 1);
        r.arch = (pv_arch){.layers = levels - 1, .w0 = 30, .offset = 0.5F};
        memcpy(r.arch.dims, dims, sizeof *dims * (size_t)levels);
        r.params = pv_arch_params(&r.arch);
        r.row = pv_alloc(r.params, sizeof *r.row);
        r.scratch = pv_alloc(r.params, sizeof *r.scratch);
        pv_oracle_text(oracle, r.name, "augmentation", type, sizeof type);
        while (index < REPLAYS && strcmp(replays[index].type, type) != 0)
            index++;
        if (index == REPLAYS) fail_msg("%s: no replay of %s", r.name, type);
        replay_case(&r, index);
        free(r.row);
        free(r.scratch);
    }
    assert_true(pv_oracle_cases(oracle) > 0);
}

static int open_oracle(void **state)
{
    *state = pv_oracle_open("augment.h5");
    return 0;
}

static int close_oracle(void **state)
{
    pv_oracle_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stored_draws_give_the_stored_results)};
    return cmocka_run_group_tests(tests, open_oracle, close_oracle);
}
