/* The augmentations that move coordinates: the map that a row shows to have been folded in is of the
 * announced kind and size, and the function moves with it, whatever the INR's coordinates, channels and
 * widths. */
#include "augment/pv_augment.h"
#include "base/pv_mem.h"
#include "inr/pv_inr.h"
#include "run/pv_run_config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { POINTS = 40, D = 3 };
#define DEGREE (3.14159265358979323846 / 180)

static const pv_arch picture = {.layers = 3, .dims = {2, 32, 32, 1}, .w0 = 30, .offset = 0.5F};
static const pv_arch colours = {.layers = 3, .dims = {2, 32, 32, 3}, .w0 = 30, .offset = 0.5F};
static const pv_arch wave = {.layers = 3, .dims = {1, 32, 32, 1}, .w0 = 30};
static const pv_arch shape = {.layers = 4, .dims = {3, 32, 32, 32, 1}, .w0 = 30};
static const pv_arch wide = {.layers = 4, .dims = {3, 256, 256, 256, 1}, .w0 = 30};

/* x -> m x + t; of coordinates that there are not, the identity. */
typedef struct map {
    double m[D][D], t[D];
} map;

/* A freshly made INR with one augmentation. */
typedef struct moved {
    pv_run_config *config;
    pv_augmenter *augmenter;
    const pv_arch *arch;
    float *row, *out;
} moved;

static void begin(const char *item, const pv_arch *arch, moved *it)
{
    char text[128];
    pv_rng rng = pv_rng_open(4, PV_RNG_TEST, 0, 3);
    *it = (moved){.arch = arch};
    snprintf(text, sizeof text, "augment: [%s]", item);
    assert_int_equal(pv_run_config_load("test", text, NULL, 0, &it->config), PV_OK);
    assert_int_equal(pv_augmenter_new(&it->config->augment, arch, 1, &it->augmenter), PV_OK);
    it->row = pv_alloc(pv_arch_params(arch), sizeof *it->row);
    it->out = pv_alloc(pv_arch_params(arch), sizeof *it->out);
    assert_true(it->row && it->out);
    pv_inr_init(arch, PV_INR_DWSNETS, &rng, it->row);
}

static void end(moved *it)
{
    pv_augmenter_free(it->augmenter);
    pv_run_config_free(it->config);
    free(it->row);
    free(it->out);
}

/* Solves a x = b in place of b; a is symmetric and far from singular. */
static void solve(int n, double a[D][D], double b[D])
{
    for (int k = 0; k < n; k++)
        for (int r = k + 1; r < n; r++) {
            const double share = a[r][k] / a[k][k];
            for (int c = k; c < n; c++)
                a[r][c] -= share * a[k][c];
            b[r] -= share * b[k];
        }
    for (int k = n - 1; k >= 0; k--) {
        for (int c = k + 1; c < n; c++)
            b[k] -= a[k][c] * b[c];
        b[k] /= a[k][k];
    }
}

/* The map that the first layer shows: W' = W m, b' = b + W t, by least squares over the units. */
static map map_of(const moved *it)
{
    const int d = it->arch->dims[0], units = it->arch->dims[1];
    map found = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, {0}};
    for (int column = 0; column <= d; column++) {
        double a[D][D] = {{0}}, b[D] = {0};
        for (int u = 0; u < units; u++)
            for (int r = 0; r < d; r++) {
                const int at = column < d ? u * d + column : units * d + u;
                const double w = (double)it->row[u * d + r];
                b[r] += w * ((double)it->out[at] - (column < d ? 0 : (double)it->row[at]));
                for (int c = 0; c < d; c++)
                    a[r][c] += w * (double)it->row[u * d + c];
            }
        solve(d, a, b);
        for (int r = 0; r < d; r++)
            *(column < d ? &found.m[r][column] : &found.t[r]) = b[r];
    }
    return found;
}

/* The place's map; the INR afterwards is the INR before at mapped coordinates. */
static map move(moved *it, int64_t place)
{
    const int d = it->arch->dims[0], channels = it->arch->dims[it->arch->layers];
    float coords[D * POINTS], there[D * POINTS], one[D * POINTS], other[D * POINTS], target[1];
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, (uint64_t)place, 3);
    assert_int_equal(pv_augmenter_apply(it->augmenter, (pv_augment_key){1, 2, place},
                                        (pv_augment_sample){.row = it->row}, NULL, it->out, target),
                     PV_OK);
    const map found = map_of(it);
    for (int p = 0; p < POINTS; p++) {
        for (int c = 0; c < d; c++)
            coords[p * d + c] = (float)pv_rng_range(&rng, -1, 1);
        for (int r = 0; r < d; r++) {
            double sum = found.t[r];
            for (int c = 0; c < d; c++)
                sum += found.m[r][c] * (double)coords[p * d + c];
            there[p * d + r] = (float)sum;
        }
    }
    assert_int_equal(pv_inr_eval(it->arch, it->out, POINTS, coords, one), PV_OK);
    assert_int_equal(pv_inr_eval(it->arch, it->row, POINTS, there, other), PV_OK);
    for (int i = 0; i < POINTS * channels; i++)
        assert_true(fabs((double)one[i] - (double)other[i]) <= 1e-4);
    return found;
}

static bool near(double x, double y)
{
    return fabs(x - y) < 1e-4;
}

static bool is_still(const map *found)
{
    return near(found->t[0], 0) && near(found->t[1], 0) && near(found->t[2], 0);
}

static bool is_diagonal(const map *found)
{
    for (int r = 0; r < D; r++)
        for (int c = 0; c < D; c++)
            if (r != c && !near(found->m[r][c], 0)) return false;
    return true;
}

/* Its angle in degrees; a turn keeps lengths, angles and the orientation. */
static double turn_of(const map *found)
{
    const double(*m)[D] = found->m;
    for (int r = 0; r < D; r++)
        for (int c = 0; c < D; c++)
            assert_true(near(m[r][0] * m[c][0] + m[r][1] * m[c][1] + m[r][2] * m[c][2], r == c));
    assert_true(m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                    m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                    m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]) >
                0);
    const double cosine = (m[0][0] + m[1][1] + m[2][2] - 1) / 2;
    return acos(fmax(-1, fmin(1, cosine))) / DEGREE;
}

static void translations_move_every_coordinate(void **state)
{
    static const pv_arch *const archs[] = {&picture, &colours, &wave, &shape, &wide};
    (void)state;
    for (size_t k = 0; k < sizeof archs / sizeof *archs; k++) {
        moved it;
        double reached[D] = {0};
        begin("{kind: translate, amount: 0.1}", archs[k], &it);
        for (int64_t place = 0; place < 60; place++) {
            const map found = move(&it, place);
            assert_true(is_diagonal(&found) && near(found.m[0][0], 1) && near(found.m[1][1], 1) &&
                        near(found.m[2][2], 1));
            for (int c = 0; c < D; c++) {
                assert_true(fabs(found.t[c]) < 0.1 + 1e-4);
                reached[c] = fmax(reached[c], fabs(found.t[c]));
            }
        }
        for (int c = 0; c < archs[k]->dims[0]; c++)
            assert_true(reached[c] > 0.085);
        end(&it);
    }
}

static void scalings_keep_the_axes(void **state)
{
    static const struct {
        const char *item;
        const pv_arch *arch;
        double most;
        bool each;
    } cases[] = {{"{kind: scale}", &picture, 0.2, false},
                 {"{kind: scale, amount: 0.5}", &colours, 0.5, false},
                 {"{kind: scale, each: true}", &picture, 0.2, true},
                 {"{kind: scale, each: true}", &wave, 0.2, true},
                 {"{kind: scale}", &shape, 0.2, false},
                 {"{kind: scale, each: true, amount: 0.4}", &shape, 0.4, true},
                 {"{kind: scale, each: true}", &wide, 0.2, true}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int d = cases[k].arch->dims[0];
        moved it;
        double reached = 0;
        begin(cases[k].item, cases[k].arch, &it);
        for (int64_t place = 0; place < 60; place++) {
            const map found = move(&it, place);
            assert_true(is_diagonal(&found) && is_still(&found));
            for (int c = 0; c < d; c++) {
                assert_true(fabs(found.m[c][c] - 1) < cases[k].most + 1e-4);
                assert_true(c == 0 || near(found.m[c][c], found.m[0][0]) != cases[k].each);
                reached = fmax(reached, fabs(found.m[c][c] - 1));
            }
        }
        assert_true(reached > 0.9 * cases[k].most);
        end(&it);
    }
}

static void turns_have_their_axis(void **state)
{
    enum { ANY = -1 };
    static const struct {
        const char *item;
        const pv_arch *arch;
        int axis;
        double most;
    } cases[] = {{"{kind: rotate, amount: -1}", &picture, 2, 30},
                 {"{kind: rotate, amount: 90}", &colours, 2, 90},
                 {"{kind: rotate}", &shape, 2, 30},
                 {"{kind: rotate, axis: x}", &shape, 0, 30},
                 {"{kind: rotate, axis: y, amount: 180}", &shape, 1, 180},
                 {"{kind: rotate, axis: z}", &wide, 2, 30},
                 {"{kind: rotate, axis: any}", &shape, ANY, 30},
                 {"{kind: rotate, axis: any, amount: 360}", &shape, ANY, 180},
                 {"{kind: rotate, axis: any, amount: 20}", &wide, ANY, 20}};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int axis = cases[k].axis;
        moved it;
        double reached = 0, aside = 0;
        begin(cases[k].item, cases[k].arch, &it);
        for (int64_t place = 0; place < 60; place++) {
            const map found = move(&it, place);
            const double angle = turn_of(&found);
            assert_true(is_still(&found) && angle < cases[k].most + 0.1);
            assert_true(axis == ANY || near(found.m[axis][axis], 1));
            reached = fmax(reached, angle);
            aside += found.m[0][1] - found.m[1][0] > 0;
        }
        assert_true(reached > 0.9 * cases[k].most);
        assert_true(axis == 0 || axis == 1 || (aside > 15 && aside < 45)); /* both ways alike */
        end(&it);
    }
}

/* Uniform rotations: no entry of the matrix has a preference, the angle has the density 1 - cos. */
static void any_turn_is_as_likely_as_any_other(void **state)
{
    enum { DRAWS = 3000 };
    static const struct {
        const char *item;
        double half, share; /* of the turns, those below half the largest angle */
    } cases[] = {{"{kind: rotate, axis: any, amount: 180}", 90, 0.1817},
                 {"{kind: rotate, axis: any, amount: 60}", 30, 0.1302}};
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        moved it;
        double below = 0, sum[D][D] = {{0}};
        begin(cases[k].item, &shape, &it);
        for (int64_t place = 0; place < DRAWS; place++) {
            const map found = move(&it, place);
            below += turn_of(&found) < cases[k].half;
            for (int r = 0; r < D; r++)
                for (int c = 0; c < D; c++)
                    sum[r][c] += found.m[r][c] / DRAWS;
        }
        assert_true(fabs(below / DRAWS - cases[k].share) < 0.03);
        for (int r = 0; r < D; r++)
            for (int c = 0; c < D; c++)
                assert_true(fabs(sum[r][c] - (r == c ? sum[0][0] : 0)) < 0.05);
        assert_true(k == 1 || fabs(sum[0][0]) < 0.05);
        end(&it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(translations_move_every_coordinate),
        cmocka_unit_test(scalings_keep_the_axes),
        cmocka_unit_test(turns_have_their_axis),
        cmocka_unit_test(any_turn_is_as_likely_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
