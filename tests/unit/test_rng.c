/* The streams of random numbers. */
#include "base/pv_rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void a_stream_depends_on_seed_purpose_and_indices_only(void **state)
{
    (void)state;
    pv_rng first = pv_rng_open(1, PV_RNG_TEST, 2, 3), again = pv_rng_open(1, PV_RNG_TEST, 2, 3);
    for (int i = 0; i < 100; i++)
        assert_true(pv_rng_bits(&first) == pv_rng_bits(&again));
    pv_rng others[] = {pv_rng_open(2, PV_RNG_TEST, 2, 3), pv_rng_open(1, PV_RNG_SHUFFLE, 2, 3),
                       pv_rng_open(1, PV_RNG_TEST, 3, 3), pv_rng_open(1, PV_RNG_TEST, 2, 4)};
    first = pv_rng_open(1, PV_RNG_TEST, 2, 3);
    const uint64_t bits = pv_rng_bits(&first);
    for (int i = 0; i < 4; i++)
        assert_true(pv_rng_bits(&others[i]) != bits);
}

static void filling_continues_the_stream(void **state)
{
    (void)state;
    pv_rng one = pv_rng_open(3, PV_RNG_TEST, 1, 2), many = one;
    for (int64_t n = 0; n < 20; n++) { /* begins and ends at every place of a block */
        uint64_t bits[20];
        pv_rng_fill(&many, n, bits);
        for (int64_t i = 0; i < n; i++)
            assert_true(bits[i] == pv_rng_bits(&one));
    }
}

static void the_generator_is_philox4x64_10(void **state)
{
    (void)state;
    /* Known answer of Random123's kat_vectors for a zero counter and key. */
    pv_rng rng = pv_rng_open(0, (pv_purpose)0, 0, 0);
    assert_true(pv_rng_bits(&rng) == UINT64_C(0x16554d9eca36314c));
    assert_true(pv_rng_bits(&rng) == UINT64_C(0xdb20fe9d672d0fdc));
}

static void uniform_and_normal_draws_have_their_moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    pv_rng rng = pv_rng_open(7, PV_RNG_TEST, 0, 0);
    double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
    for (int i = 0; i < N; i++) {
        const double u = pv_rng_uniform(&rng), z = pv_rng_normal(&rng);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        normal_sum += z;
        normal_squares += z * z;
    }
    assert_true(sum / N > 0.497 && sum / N < 0.503);
    assert_true(squares / N > 0.330 && squares / N < 0.337);
    assert_true(normal_sum / N > -0.01 && normal_sum / N < 0.01);
    assert_true(normal_squares / N > 0.98 && normal_squares / N < 1.02);
}

static void bounded_draws_reach_every_value_and_no_other(void **state)
{
    (void)state;
    pv_rng rng = pv_rng_open(7, PV_RNG_TEST, 1, 0);
    int seen[7] = {0};
    for (int i = 0; i < 7000; i++)
        seen[pv_rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_true(seen[i] > 800 && seen[i] < 1200);
}

static void the_shuffle_is_a_permutation_of_any_size(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 100, 1023, 1024, 1025, 5500};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint64_t n = sizes[s];
        unsigned char *seen = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t value = pv_rng_permute(3, PV_RNG_SHUFFLE, 5, n, i);
            assert_true(value < n);
            assert_int_equal(seen[value], 0);
            seen[value] = 1;
        }
        free(seen);
    }
}

static void shuffles_of_two_epochs_differ(void **state)
{
    (void)state;
    int same = 0;
    for (uint64_t i = 0; i < 1000; i++)
        same +=
            pv_rng_permute(3, PV_RNG_SHUFFLE, 0, 1000, i) == pv_rng_permute(3, PV_RNG_SHUFFLE, 1, 1000, i);
    assert_true(same < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_depends_on_seed_purpose_and_indices_only),
        cmocka_unit_test(the_generator_is_philox4x64_10),
        cmocka_unit_test(filling_continues_the_stream),
        cmocka_unit_test(uniform_and_normal_draws_have_their_moments),
        cmocka_unit_test(bounded_draws_reach_every_value_and_no_other),
        cmocka_unit_test(the_shuffle_is_a_permutation_of_any_size),
        cmocka_unit_test(shuffles_of_two_epochs_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
