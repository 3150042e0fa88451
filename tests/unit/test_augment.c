/* The augmentations as training applies them: what they keep, how far they reach, and what they make of
 * labels. */
#include "augment/pv_augment.h"
#include "augment/pv_augment_registry.h"
#include "inr/pv_inr.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "run/pv_run_config.h"
#include "symmetry/pv_symmetry.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { P = 1185, CLASSES = 10, DRAWS = 400, POINTS = 50 };

static const pv_arch arch = {.layers = 3, .dims = {2, 32, 32, 1}, .w0 = 30, .offset = 0.5F};

static pv_run_config *config; /* of the augmenter that is made */

/* Of the list `items` as YAML has it. */
static pv_status try_augmenter(const char *items, const pv_arch *of, pv_augmenter **augmenter)
{
    char text[320];
    *augmenter = NULL;
    snprintf(text, sizeof text, "augment: [%s]", items);
    const pv_status st = pv_run_config_load("test", text, NULL, 0, &config);
    return st != PV_OK ? st : pv_augmenter_new(&config->augment, of, CLASSES, augmenter);
}

static pv_augmenter *augmenter_of(const char *items)
{
    pv_augmenter *augmenter;
    pv_arch subject = arch;
    if (strstr(items, "rescale")) subject.activation = pv_activation_find("relu");
    assert_int_equal(try_augmenter(items, &subject, &augmenter), PV_OK);
    return augmenter;
}

static void free_augmenter(pv_augmenter *augmenter)
{
    pv_augmenter_free(augmenter);
    pv_run_config_free(config);
    config = NULL;
}

/* As large as fitted ones. */
static void draw_row(uint64_t number, float *row)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    pv_rng rng = pv_rng_open(3, PV_RNG_TEST, number, 2);
    for (int t = pv_arch_layout(&arch, tensors) - 1; t >= 0; t--)
        for (int i = 0; i < tensors[t].rows * tensors[t].cols; i++)
            row[tensors[t].offset + i] = (float)pv_rng_normal(&rng) * 0.05F;
}

static void apply(pv_augmenter *augmenter, int64_t place, const float *row, const float *other, float *out,
                  float *target)
{
    const pv_augment_sample partner = {other, 7, NULL};
    assert_int_equal(pv_augmenter_apply(augmenter, (pv_augment_key){1, 2, place},
                                        (pv_augment_sample){row, 3, NULL}, other ? &partner : NULL, out,
                                        target),
                     PV_OK);
}

static void every_kind_is_repeatable_and_its_labels_sum_to_one(void **state)
{
    (void)state;
    for (const pv_plugin *const *kind = pv_augmentations.plugins; *kind; kind++) {
        float row[P], other[P], once[P], again[P], next[P], target[CLASSES];
        char item[64];
        snprintf(item, sizeof item, "{kind: %s}", (*kind)->name);
        pv_augmenter *augmenter = augmenter_of(item);
        draw_row(1, row);
        draw_row(2, other);
        apply(augmenter, 5, row, other, once, target);
        apply(augmenter, 6, row, other, next, target);
        apply(augmenter, 5, row, other, again, target);
        assert_memory_equal(once, again, sizeof once);
        assert_true((memcmp(once, next, sizeof once) == 0) ==
                    (strcmp((*kind)->name, "label_smoothing") == 0));
        double sum = 0;
        for (int c = 0; c < CLASSES; c++)
            sum += (double)target[c];
        assert_true(fabs(sum - 1) < 1e-6);
        free_augmenter(augmenter);
        snprintf(item, sizeof item, "{kind: %s, p: 0}", (*kind)->name);
        augmenter = augmenter_of(item);
        apply(augmenter, 5, row, other, once, target);
        assert_memory_equal(once, row, sizeof once);
        assert_true(target[3] == 1 &&
                    pv_augmenter_partner(augmenter, (pv_augment_key){1, 2, 5}) == PV_PARTNER_NONE);
        free_augmenter(augmenter);
    }
}

static void assert_function(const float *a, const float *coords, const float *b, const float *moved)
{
    float one[POINTS], other[POINTS];
    assert_int_equal(pv_inr_eval(&arch, a, POINTS, coords, one), PV_OK);
    assert_int_equal(pv_inr_eval(&arch, b, POINTS, moved, other), PV_OK);
    for (int i = 0; i < POINTS; i++)
        assert_true(fabs((double)one[i] - (double)other[i]) <= 1e-4);
}

static void draw_coords(float *coords)
{
    pv_rng rng = pv_rng_open(5, PV_RNG_TEST, 0, 2);
    for (int i = 0; i < 2 * POINTS; i++)
        coords[i] = (float)pv_rng_range(&rng, -1, 1);
}

static void symmetries_keep_the_function(void **state)
{
    static const char *const kinds[] = {"{kind: negation}", "{kind: phase}", "{kind: permute}"};
    (void)state;
    float coords[2 * POINTS], row[P], out[P], target[CLASSES];
    draw_coords(coords);
    for (int k = 0; k < 3; k++) {
        pv_augmenter *augmenter = augmenter_of(kinds[k]);
        for (int64_t place = 0; place < 30; place++) {
            draw_row((uint64_t)place, row);
            apply(augmenter, place, row, NULL, out, target);
            assert_function(out, coords, row, coords);
        }
        free_augmenter(augmenter);
    }
}

static void disturbances_have_their_strength(void **state)
{
    (void)state;
    float row[P], out[P], target[CLASSES];
    double squares = 0, dropped = 0, zeroed = 0;
    static const char *const items[] = {"{kind: noise}", "{kind: dropout}", "{kind: quantile_dropout}"};
    draw_row(4, row);
    for (int k = 0; k < 3; k++) {
        pv_augmenter *augmenter = augmenter_of(items[k]);
        for (int64_t place = 0; place < DRAWS; place++) {
            float largest = 0;
            apply(augmenter, place, row, NULL, out, target);
            for (int p = 0; p < P - 1; p++) {
                if (k == 0) squares += pow(((double)out[p] - (double)row[p]) / 0.05, 2) / (P - 1) / DRAWS;
                if (k == 1 && out[p] != 0) assert_true(fabs((double)(out[p] / row[p]) - 1 / 0.9) < 1e-5);
                if (k == 1) dropped += (out[p] == 0) / (double)(P - 1) / DRAWS;
                if (k == 2 && out[p] == 0) largest = fmaxf(largest, fabsf(row[p]));
                if (k == 2) zeroed += (out[p] == 0) / (double)(P - 1) / DRAWS;
            }
            for (int p = 0; k == 2 && p < P - 1; p++)
                if (out[p] != 0) assert_true(out[p] == row[p] && fabsf(row[p]) >= largest);
        }
        free_augmenter(augmenter);
    }
    assert_true(fabs(sqrt(squares) - 0.32) < 0.02);
    assert_true(fabs(dropped - 0.1) < 0.005 && fabs(zeroed - 0.05) < 0.005);
}

/* The share of the sample that a mixed row shows; all its entries must agree on it. */
static double share_of(const float *row, const float *other, const float *out)
{
    double top = 0, bottom = 0;
    for (int p = 0; p < P; p++) {
        const double difference = (double)row[p] - (double)other[p];
        top += difference * ((double)out[p] - (double)other[p]);
        bottom += difference * difference;
    }
    const double share = top / bottom;
    for (int p = 0; p < P; p++)
        assert_true(fabs((double)out[p] - share * (double)row[p] - (1 - share) * (double)other[p]) < 1e-6);
    return share;
}

static void labels_are_mixed_as_weights_are(void **state)
{
    (void)state;
    float row[P], other[P], out[P], target[CLASSES];
    draw_row(1, row);
    draw_row(2, other);
    for (int k = 0; k < 3; k++) {
        static const char *const items[] = {"{kind: mixup}", "{kind: mixup, lambda: beta, beta: 0.2}",
                                            "{kind: weights_only}"};
        double sum = 0, squares = 0;
        pv_augmenter *augmenter = augmenter_of(items[k]);
        for (int64_t place = 0; place < DRAWS; place++) {
            apply(augmenter, place, row, other, out, target);
            const double share = share_of(row, other, out);
            const double label = k < 2 ? share : share >= 0.5 ? 1 : 0;
            assert_true(fabs((double)target[3] - label) < 1e-5 && fabs((double)target[7] - 1 + label) < 1e-5);
            sum += share / DRAWS;
            squares += share * share / DRAWS;
        }
        /* variance of U(0, 1): 1/12; of Beta(a, a): 1 / (4 (2 a + 1)) */
        assert_true(fabs(sum - 0.5) < 0.08);
        assert_true(fabs(squares - sum * sum - (k == 1 ? 1 / 5.6 : 1.0 / 12)) < 0.03);
        free_augmenter(augmenter);
    }
}

/* Mixed with itself in another order of units, with other signs and phases, a sample is itself again: the
 * alignment undoes all of it. */
static void aligned_mixup_with_the_same_network_changes_nothing(void **state)
{
    (void)state;
    float row[P], other[P], out[P], target[CLASSES];
    static const char *const items[] = {"{kind: mixup_aligned}", "{kind: mixup_aligned, signs: true}",
                                        "{kind: mixup_aligned, phases: true}",
                                        "{kind: mixup_aligned, signs: true, phases: true}"};
    for (int which = 0; which < 4; which++) {
        const bool signs = which & 1, phases = which & 2;
        pv_symmetry e;
        pv_augmenter *augmenter = augmenter_of(items[which]);
        assert_int_equal(pv_symmetry_make(&arch, &e), PV_OK);
        for (int64_t place = 0; place < 20; place++) {
            pv_rng rng = pv_rng_open(6, PV_RNG_TEST, (uint64_t)place, 2);
            draw_row((uint64_t)place, row);
            pv_symmetry_draw_permutation(&arch, &rng, &e);
            if (signs) pv_symmetry_draw_signs(&arch, 0.5, &rng, &e);
            if (phases) pv_symmetry_draw_phases(&arch, -4, 3, &rng, &e);
            pv_symmetry_apply(&arch, &e, row, other);
            apply(augmenter, place, row, other, out, target);
            for (int p = 0; p < P; p++)
                assert_true(fabs((double)out[p] - (double)row[p]) < 1e-6);
        }
        pv_symmetry_free(&e);
        free_augmenter(augmenter);
    }
}

/* The frame of a row by the definition. */
static void find_frame(pv_matcher *matcher, const float *reference, const float *row, float *words)
{
    pv_symmetry e;
    pv_rng rng = pv_rng_open(0, PV_RNG_MATCH, 1, 0);
    assert_int_equal(pv_symmetry_make(&arch, &e), PV_OK);
    pv_match(matcher, reference, row, &rng, &e);
    pv_frame_pack(&arch, &e, words);
    pv_symmetry_free(&e);
}

static void frames_are_kept_in_words(void **state)
{
    (void)state;
    const pv_arch wide = {.layers = 3, .dims = {1, 256, 9, 1}, .w0 = 30};
    float words[265];
    pv_symmetry e, back;
    assert_int_equal(pv_frame_words(&wide), 265);
    assert_int_equal(pv_symmetry_make(&wide, &e), PV_OK);
    assert_int_equal(pv_symmetry_make(&wide, &back), PV_OK);
    for (uint64_t n = 0; n < 10; n++) {
        pv_rng rng = pv_rng_open(n, PV_RNG_TEST, 0, 4);
        pv_symmetry_draw_permutation(&wide, &rng, &e);
        pv_symmetry_draw_signs(&wide, 0.5, &rng, &e);
        pv_symmetry_draw_phases(&wide, n % 2 ? -(1 << 21) : -2, n % 2 ? 1 << 21 : 2, &rng, &e);
        pv_frame_pack(&wide, &e, words);
        pv_frame_unpack(&wide, words, &back);
        assert_memory_equal(e.source, back.source, 265 * sizeof *e.source);
        assert_memory_equal(e.sign, back.sign, 265 * sizeof *e.sign);
        assert_memory_equal(e.phase, back.phase, 265 * sizeof *e.phase);
    }
    pv_symmetry_free(&e);
    pv_symmetry_free(&back);
}

/* A sample and the same network in other units are brought together through a reference that neither has
 * anything to do with; also after the sample's units have been moved, and flipped, and shifted. */
static void partners_are_brought_together_through_a_reference(void **state)
{
    (void)state;
    static const char *const lists[][2] = {
        {"{kind: noise, p: 0}", "{kind: mixup_aligned, match: reference}"},
        {"{kind: permute}, {kind: negation}", "{kind: mixup_aligned, match: reference, signs: true}"},
        {"{kind: negation}, {kind: phase, amount: 3}, {kind: permute}",
         "{kind: mixup_aligned, match: reference, signs: true, phases: true}"},
    };
    float reference[P], row[P], other[P], own[64], theirs[64], mixed[P], alone[P], target[CLASSES];
    pv_rng fresh = pv_rng_open(1, PV_RNG_TEST, 0, 5);
    pv_inr_init(&arch, PV_INR_DWSNETS, &fresh, reference);
    for (int which = 0; which < 3; which++) {
        char both[256];
        snprintf(both, sizeof both, "%s, %s", lists[which][0], lists[which][1]);
        const pv_match_opts match = {.signs = which > 0, .phases = which > 1, .max_sweeps = 16, .starts = 1};
        pv_matcher *matcher;
        pv_symmetry e;
        assert_int_equal(pv_matcher_new(&arch, &match, &matcher), PV_OK);
        assert_int_equal(pv_symmetry_make(&arch, &e), PV_OK);
        for (int64_t place = 0; place < 20; place++) {
            pv_rng rng = pv_rng_open(6, PV_RNG_TEST, (uint64_t)place, 3);
            const pv_augment_key key = {1, 2, place};
            draw_row((uint64_t)place, row);
            pv_symmetry_identity(&arch, &e);
            pv_symmetry_draw_permutation(&arch, &rng, &e);
            if (match.signs) pv_symmetry_draw_signs(&arch, 0.5, &rng, &e);
            if (match.phases) pv_symmetry_draw_phases(&arch, -4, 3, &rng, &e);
            pv_symmetry_apply(&arch, &e, row, other);
            find_frame(matcher, reference, row, own);
            find_frame(matcher, reference, other, theirs);
            const pv_augment_sample partner = {other, 7, theirs};
            pv_augmenter *augmenter = augmenter_of(lists[which][0]);
            assert_int_equal(
                pv_augmenter_apply(augmenter, key, (pv_augment_sample){row, 3, NULL}, NULL, alone, target),
                PV_OK);
            free_augmenter(augmenter);
            augmenter = augmenter_of(both);
            assert_int_equal(
                pv_augmenter_apply(augmenter, key, (pv_augment_sample){row, 3, own}, &partner, mixed, target),
                PV_OK);
            free_augmenter(augmenter);
            for (int p = 0; p < P; p++)
                assert_true(fabs((double)mixed[p] - (double)alone[p]) < 1e-6);
            assert_true(target[7] > 0 && target[7] < 1 && target[3] + target[7] > 0.9999F);
        }
        pv_symmetry_free(&e);
        pv_matcher_free(matcher);
    }
}

static void a_list_is_applied_in_order(void **state)
{
    (void)state;
    float row[P], other[P], out[P], target[CLASSES];
    draw_row(1, row);
    draw_row(2, other);
    pv_augmenter *augmenter = augmenter_of("{kind: label_smoothing}, {kind: mixup}");
    apply(augmenter, 0, row, other, out, target); /* the sample's label is smooth, the partner's not */
    assert_true(fabs((double)target[0] - 0.01 * share_of(row, other, out)) < 1e-6);
    free_augmenter(augmenter);
    augmenter = augmenter_of("{kind: mixup}, {kind: label_smoothing}");
    apply(augmenter, 0, row, other, out, target);
    assert_true(fabs((double)target[0] - 0.01) < 1e-6);
    free_augmenter(augmenter);
}

static void probabilities_and_partners_are_those_of_the_config(void **state)
{
    (void)state;
    int mixed = 0;
    pv_augmenter *augmenter = augmenter_of("{kind: mixup, p: 0.3, partner: object}");
    for (int64_t place = 0; place < 10 * DRAWS; place++) {
        const pv_partner whom = pv_augmenter_partner(augmenter, (pv_augment_key){1, 2, place});
        assert_true(whom == PV_PARTNER_NONE || whom == PV_PARTNER_OBJECT);
        mixed += whom != PV_PARTNER_NONE;
    }
    assert_true(fabs(mixed / (10.0 * DRAWS) - 0.3) < 0.03);
    free_augmenter(augmenter);
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *items;
        bool valid;
    } cases[] = {{"{kind: scale, amount: 0.99}", true},
                 {"{kind: scale, amount: 1}", false},
                 {"{kind: rotate, amount: 360}", true},
                 {"{kind: rotate, amount: 361}", false},
                 {"{kind: rotate, axis: vertical}", true},
                 {"{kind: rotate, axis: w}", false},
                 {"{kind: scale, each: true}", true},
                 {"{kind: negation, amount: 1}", true},
                 {"{kind: negation, amount: 1.1}", false},
                 {"{kind: dropout, amount: 0.99}", true},
                 {"{kind: dropout, amount: 1}", false},
                 {"{kind: quantile_dropout, amount: 1}", true},
                 {"{kind: quantile_dropout, amount: 1.5}", false},
                 {"{kind: phase, amount: 1}", true},
                 {"{kind: phase, amount: 0}", false},
                 {"{kind: phase, amount: 2.5}", false},
                 {"{kind: label_smoothing, amount: 1}", true},
                 {"{kind: label_smoothing, amount: 2}", false},
                 {"{kind: permute, amount: 0}", false},
                 {"{kind: permute, amount: -1}", true}, /* older builds wrote the defaults of all kinds */
                 {"{kind: mixup, amount: 0.5}", false},
                 {"{kind: mixup, amounts: 0.5}", false},
                 {"{kind: mixup}, {kind: mixup_perm}", false},
                 {"{kind: noise, partner: view}", false},
                 {"{kind: noise, partner: nobody}", false},
                 {"{kind: translate, amount: 0}", true}};
    (void)state;
    pv_augmenter *augmenter;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        assert_int_equal(try_augmenter(cases[k].items, &arch, &augmenter),
                         cases[k].valid ? PV_OK : PV_ERR_CONFIG);
        free_augmenter(augmenter);
    }
    const pv_arch line = {.layers = 2, .dims = {1, 8, 1}, .w0 = 30};
    assert_int_equal(try_augmenter("{kind: rotate}", &line, &augmenter), PV_ERR_CONFIG);
    free_augmenter(augmenter);
    assert_int_equal(try_augmenter("{kind: rotate, axis: any}", &arch, &augmenter), PV_ERR_CONFIG);
    free_augmenter(augmenter);
}

static void weights_that_are_no_numbers_are_told(void **state)
{
    (void)state;
    float row[P], out[P], target[CLASSES];
    pv_augmenter *augmenter = augmenter_of("{kind: scale}, {kind: dropout}");
    draw_row(1, row);
    row[100] = 3.4e38F;
    pv_status st = PV_OK;
    for (int64_t place = 0; st == PV_OK && place < 20; place++)
        st = pv_augmenter_apply(augmenter, (pv_augment_key){1, 1, place}, (pv_augment_sample){.row = row},
                                NULL, out, target);
    assert_int_equal(st, PV_ERR_NUMERIC);
    assert_non_null(strstr(pv_fail_message(), "augment[1] (dropout)"));
    free_augmenter(augmenter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_repeatable_and_its_labels_sum_to_one),
        cmocka_unit_test(symmetries_keep_the_function),
        cmocka_unit_test(disturbances_have_their_strength),
        cmocka_unit_test(labels_are_mixed_as_weights_are),
        cmocka_unit_test(aligned_mixup_with_the_same_network_changes_nothing),
        cmocka_unit_test(frames_are_kept_in_words),
        cmocka_unit_test(partners_are_brought_together_through_a_reference),
        cmocka_unit_test(a_list_is_applied_in_order),
        cmocka_unit_test(probabilities_and_partners_are_those_of_the_config),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(weights_that_are_no_numbers_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
