/* The assignment problem: against trying all permutations, against optima known by construction, and from any
 * start, on every instruction set. */
#include "base/pv_cpu.h"
#include "base/pv_mem.h"
#include "base/pv_rng.h"
#include "symmetry/pv_assign.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { SMALL = 7 };

static pv_assign *new_work(int n, pv_memory *memory)
{
    pv_assign *work = pv_assign_new(n, memory);
    assert_int_equal(pv_memory_status(memory), PV_OK);
    return work;
}

/* Solved from nothing. */
static double solve(pv_assign *work, int n, const float *value, int32_t *columns)
{
    double price[PV_ASSIGN_MAX];
    pv_assign_start start = {.columns = columns, .price = price};
    return pv_assign_max(work, n, value, n, false, &start);
}

static void assert_permutation(int n, const int32_t *columns)
{
    bool *seen = calloc((size_t)n, sizeof *seen);
    for (int i = 0; i < n; i++) {
        assert_true(columns[i] >= 0 && columns[i] < n && !seen[columns[i]]);
        seen[columns[i]] = true;
    }
    free(seen);
}

/* The best of all ways to give rows `row` .. n - 1 the columns that are not taken. */
static double best_of_all(int n, const float *value, int row, unsigned taken)
{
    double best = row == n ? 0 : -(double)INFINITY;
    for (int j = 0; row < n && j < n; j++) {
        if (taken & 1U << j) continue;
        const double found = (double)value[row * n + j] + best_of_all(n, value, row + 1, taken | 1U << j);
        best = found > best ? found : best;
    }
    return best;
}

/* Values of several kinds: real, few small integers (ties), all negative, all equal, one row outweighing the
 * others. */
static void draw_values(int kind, int n, pv_rng *rng, float *value)
{
    for (int i = 0; i < n * n; i++) {
        const float normal = (float)pv_rng_normal(rng);
        value[i] = kind == 0   ? normal
                   : kind == 1 ? (float)pv_rng_below(rng, 3)
                   : kind == 2 ? -10 - normal
                   : kind == 3 ? 0.25F
                               : normal * (i < n ? 1e6F : 1e-3F);
    }
}

static void small_problems_have_the_best_of_all_permutations(void **state)
{
    (void)state;
    pv_memory memory = {0};
    pv_assign *work = new_work(SMALL, &memory);
    for (int n = 0; n <= SMALL; n++)
        for (int kind = 0; kind < 5; kind++)
            for (uint64_t k = 0; k < (n < 6 ? 20 : 4); k++) {
                float value[SMALL * SMALL];
                double wide[SMALL * SMALL];
                int32_t columns[SMALL];
                pv_rng rng = pv_rng_open((uint64_t)kind, PV_RNG_TEST, (uint64_t)n, k);
                draw_values(kind, n, &rng, value);
                for (int i = 0; i < n * n; i++)
                    wide[i] = (double)value[i];
                const double best = best_of_all(n, value, 0, 0), scale = 1e-12 * (1 + fabs(best));
                assert_true(fabs(solve(work, n, value, columns) - best) <= scale);
                assert_permutation(n, columns);
                assert_true(fabs(pv_assign_max_f64(work, n, wide, columns) - best) <= scale);
                assert_permutation(n, columns);
            }
    pv_memory_free(&memory);
}

/* value = a_i + b_j - gap, with a gap of 0 on a planted permutation alone: no assignment is worth more than
 * sum a + sum b. */
static void large_problems_have_the_planted_optimum(void **state)
{
    static const int sizes[] = {8, 9, 31, 32, 33, 64, 100, 257, 1024};
    (void)state;
    pv_memory memory = {0};
    pv_assign *work = new_work(PV_ASSIGN_MAX, &memory);
    float *value = pv_alloc((int64_t)PV_ASSIGN_MAX * PV_ASSIGN_MAX, sizeof *value);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int n = sizes[s];
        int32_t columns[PV_ASSIGN_MAX];
        double planted = 0;
        pv_rng rng = pv_rng_open(1, PV_RNG_TEST, (uint64_t)n, 0);
        float *const b = pv_alloc(n, sizeof *b);
        for (int j = 0; j < n; j++)
            b[j] = (float)pv_rng_below(&rng, 64) / 8;
        for (int i = 0; i < n; i++) {
            const int best = (int)pv_rng_permute(2, PV_RNG_TEST, 0, (uint64_t)n, (uint64_t)i);
            const float a = (float)pv_rng_below(&rng, 64) / 8 - 4;
            planted += (double)a + (double)b[best];
            for (int j = 0; j < n; j++)
                value[i * n + j] = a + b[j] - (j == best ? 0 : (float)(1 + pv_rng_below(&rng, 16)) / 16);
        }
        assert_true(fabs(solve(work, n, value, columns) - planted) < 1e-6);
        for (int i = 0; i < n; i++)
            assert_int_equal(columns[i], pv_rng_permute(2, PV_RNG_TEST, 0, (uint64_t)n, (uint64_t)i));
        free(b);
    }
    free(value);
    pv_memory_free(&memory);
}

/* A sequence of problems that change in part: begun from the solution of the one before, from prices of
 * nothing, or anew, each has the same value. */
static void the_start_does_not_change_the_value(void **state)
{
    enum { N = 45, STRIDE = 64, STEPS = 40 };
    (void)state;
    for (int sizes = 0; sizes < 2; sizes++) {
        pv_memory memory = {0};
        pv_assign *work = new_work(N, &memory);
        pv_rng rng = pv_rng_open(3, PV_RNG_TEST, (uint64_t)sizes, 0);
        float value[N * STRIDE] = {0}, plain[N * N];
        int32_t columns[N], again[N];
        double price[N];
        pv_assign_start start = {.columns = again, .price = price};
        for (int step = 0; step < STEPS; step++) {
            for (int i = 0; i < N; i++)
                for (int j = 0; j < N; j++) {
                    float *const entry = &value[i * STRIDE + j];
                    if (step == 0 || pv_rng_below(&rng, 5) == 0) *entry = (float)pv_rng_normal(&rng);
                    plain[i * N + j] = sizes ? fabsf(*entry) : *entry;
                }
            const double anew = solve(work, N, plain, columns);
            if (step == STEPS / 2)
                for (int j = 0; j < N; j++)
                    price[j] = pv_rng_normal(&rng) * 100;
            const double found = pv_assign_max(work, N, value, STRIDE, sizes, &start);
            assert_permutation(N, again);
            assert_true(start.is_set && fabs(found - anew) <= 1e-9);
        }
        pv_memory_free(&memory);
    }
}

static void values_that_are_not_finite_are_left_alone(void **state)
{
    const float wrong[] = {INFINITY, -INFINITY, NAN};
    (void)state;
    pv_memory memory = {0};
    pv_assign *work = new_work(4, &memory);
    for (int k = 0; k < 3; k++) {
        float value[16] = {0};
        int32_t columns[4] = {2, 0, 3, 1};
        double price[4] = {1, 2, 3, 4};
        pv_assign_start start = {.is_set = true, .columns = columns, .price = price};
        value[6] = wrong[k];
        assert_true(isnan(pv_assign_max(work, 4, value, 4, k == 1, &start)));
        assert_true(columns[0] == 2 && columns[3] == 1 && price[2] == 3);
    }
    pv_memory_free(&memory);
}

static void on_every_instruction_set(void (*test)(void **), void **state)
{
    unsetenv("POLYVIEW_ISA");
    for (pv_isa isa = PV_ISA_PORTABLE, most = pv_cpu_isa(); isa <= most; isa++) {
        setenv("POLYVIEW_ISA", pv_isa_name(isa), 1);
        test(state);
    }
    unsetenv("POLYVIEW_ISA");
}

static void small_problems(void **state)
{
    on_every_instruction_set(small_problems_have_the_best_of_all_permutations, state);
}

static void large_problems(void **state)
{
    on_every_instruction_set(large_problems_have_the_planted_optimum, state);
}

static void any_start(void **state)
{
    on_every_instruction_set(the_start_does_not_change_the_value, state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"small problems have the best of all permutations", small_problems, NULL, NULL, NULL},
        {"large problems have the planted optimum", large_problems, NULL, NULL, NULL},
        {"the start does not change the value", any_start, NULL, NULL, NULL},
        cmocka_unit_test(values_that_are_not_finite_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
