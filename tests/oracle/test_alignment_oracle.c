/* Assignment and weight matching against the published implementation: exact optima, its descents followed
 * step by step, and our own descents beside its median and best. */
#include "base/pv_mem.h"
#include "pv_oracle.h"
#include "symmetry/pv_assign.h"
#include "symmetry/pv_match.h"
#include "symmetry/pv_descent.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { DESCENT_SEEDS = 20 };
/* What `align` and `bench align` do by default. */
static const pv_match_opts usual = {.signs = false, .max_sweeps = 16, .starts = 0};

static bool is_type(const pv_oracle *oracle, const char *name, const char *type)
{
    char text[32];
    pv_oracle_text(oracle, name, "type", text, sizeof text);
    return strcmp(text, type) == 0;
}

static double scalar(const pv_oracle *oracle, const char *name, const char *path)
{
    int64_t count;
    double *value = pv_oracle_read(oracle, name, path, &count), result = value[0];
    free(value);
    return result;
}

static void optimal_assignments_have_the_stored_values(void **state)
{
    pv_oracle *oracle = *state;
    pv_memory memory = {0};
    int32_t columns[PV_ASSIGN_MAX];
    int seen = 0;
    pv_assign *work = pv_assign_new(PV_ASSIGN_MAX, &memory);
    assert_int_equal(pv_memory_status(&memory), PV_OK);
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        const char *name = pv_oracle_case(oracle, i);
        if (!is_type(oracle, name, "lap")) continue;
        int64_t count;
        double *cost = pv_oracle_read(oracle, name, "input/cost", &count);
        const int n = (int)pv_oracle_int(oracle, name, "n");
        const double most = scalar(oracle, name, "output/value_max"),
                     least = scalar(oracle, name, "output/value_min");
        assert_true(fabs(pv_assign_max_f64(work, n, cost, columns) - most) <= 1e-12 * (1 + fabs(most)));
        for (int64_t k = 0; k < count; k++)
            cost[k] = -cost[k];
        assert_true(fabs(-pv_assign_max_f64(work, n, cost, columns) - least) <= 1e-12 * (1 + fabs(least)));
        free(cost);
        seen++;
    }
    pv_memory_free(&memory);
    assert_true(seen > 0);
}

/* A pair of networks of a case. */
typedef struct pair {
    const char *name;
    pv_arch arch;
    float *a, *b;
} pair;

/* The reference multiplies [out][in] matrices of PyTorch's names; ours are those, row by row. */
static float *read_row(const pv_oracle *oracle, const pair *p, const char *group)
{
    pv_arch_tensor tensors[2 * PV_INR_MAX_LAYERS];
    float *row = pv_alloc(pv_arch_params(&p->arch), sizeof *row);
    for (int i = pv_arch_layout(&p->arch, tensors) - 1; i >= 0; i--) {
        char path[64];
        int64_t count;
        snprintf(path, sizeof path, "input/%s/%s", group, tensors[i].name);
        double *values = pv_oracle_read(oracle, p->name, path, &count);
        assert_int_equal(count, tensors[i].rows * tensors[i].cols);
        for (int64_t k = 0; k < count; k++)
            row[tensors[i].offset + k] = (float)values[k];
        free(values);
    }
    return row;
}

static pair read_pair(const pv_oracle *oracle, const char *name)
{
    int dims[PV_INR_MAX_LAYERS + 1];
    const int levels = pv_oracle_ints(oracle, name, "dims", dims, PV_INR_MAX_LAYERS + 1);
    pair p = {.name = name, .arch = {.layers = levels - 1, .w0 = 30, .offset = 0.5F}};
    memcpy(p.arch.dims, dims, sizeof *dims * (size_t)levels);
    p.a = read_row(oracle, &p, "a");
    p.b = read_row(oracle, &p, "b");
    return p;
}

static void free_pair(pair *p)
{
    free(p->a);
    free(p->b);
}

static int by_value(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Runs one stored descent; true if it ends with the stored permutations. */
static bool follow_run(const pv_oracle *oracle, const pair *p, pv_descent *descent, int run, int runs,
                       double *objective)
{
    int64_t count;
    float *aligned = pv_alloc(pv_arch_params(&p->arch), sizeof *aligned);
    double *orders = pv_oracle_read(oracle, p->name, "output/orders", &count);
    const int64_t steps = count / runs;
    bool same = true;
    pv_descent_begin(descent, p->a, p->b);
    for (int64_t s = 0; s < steps; s++)
        if (orders[run * steps + s] >= 0) pv_descent_visit(descent, (int)orders[run * steps + s]);
    free(orders);
    const pv_symmetry *found = pv_descent_state(descent);
    pv_symmetry_apply(&p->arch, found, p->b, aligned);
    *objective = pv_match_objective(&p->arch, p->a, aligned);
    for (int l = 0; l + 1 < p->arch.layers; l++) {
        char path[64];
        snprintf(path, sizeof path, "output/perm_all.P_%d", l);
        double *stored = pv_oracle_read(oracle, p->name, path, &count);
        const int units = p->arch.dims[l + 1];
        for (int u = 0; u < units; u++)
            same = same && (int)stored[run * units + u] == found->source[pv_symmetry_offset(&p->arch, l) + u];
        free(stored);
    }
    free(aligned);
    return same;
}

static void stored_descents_are_followed(void **state)
{
    pv_oracle *oracle = *state;
    int seen = 0;
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        const char *name = pv_oracle_case(oracle, i);
        if (is_type(oracle, name, "lap")) continue;
        pair p = read_pair(oracle, name);
        const int runs = (int)pv_oracle_int(oracle, name, "runs");
        int64_t count;
        double *objectives = pv_oracle_read(oracle, name, "output/objective", &count);
        double *ties = pv_oracle_read(oracle, name, "output/run_has_tie", &count);
        pv_descent *descent;
        assert_int_equal(pv_descent_new(&p.arch, usual.signs, usual.phases, usual.max_sweeps, &descent),
                         PV_OK);
        for (int run = 0; run < runs; run++) {
            double objective;
            const bool same = follow_run(oracle, &p, descent, run, runs, &objective);
            if (ties[run] == 0) assert_true(same);
            assert_true(fabs(objective - objectives[run]) < 1e-5 * (1 + fabs(objectives[run])));
        }
        pv_descent_free(descent);
        free(objectives);
        free(ties);
        free_pair(&p);
        seen++;
    }
    assert_true(seen > 0);
}

static void assert_planted(const pv_oracle *oracle, const pair *p, const pv_symmetry *found)
{
    for (int l = 0; l + 1 < p->arch.layers; l++) {
        char path[64];
        int64_t units, signs;
        const int begin = pv_symmetry_offset(&p->arch, l);
        snprintf(path, sizeof path, "output/planted_inverse.P_%d", l);
        double *const source = pv_oracle_read(oracle, p->name, path, &units);
        snprintf(path, sizeof path, "input/planted_sign.%d", l);
        double *const sign = pv_oracle_read(oracle, p->name, path, &signs);
        for (int64_t u = 0; u < units; u++) {
            assert_int_equal(found->source[begin + u], source[u]);
            assert_int_equal(found->sign[begin + u], sign[(int)source[u]]);
        }
        free(source);
        free(sign);
    }
}

static void assert_restored(const pair *p, const pv_symmetry *found)
{
    float *const row = pv_alloc(pv_arch_params(&p->arch), sizeof *row);
    pv_symmetry_apply(&p->arch, found, p->b, row);
    for (int i = 0; i < pv_arch_params(&p->arch); i++)
        assert_true(row[i] == p->a[i]);
    free(row);
}

/* B is A with its units moved, some with their signs, and with noise: without noise A comes back, entry for
 * entry, with some the units' order and signs do. */
static void planted_symmetries_are_recovered(void **state)
{
    const pv_oracle *oracle = *state;
    int plain = 0, with_signs = 0;
    for (int i = 0; i < pv_oracle_cases(oracle); i++) {
        const char *name = pv_oracle_case(oracle, i);
        if (!is_type(oracle, name, "planted")) continue;
        const double noise = pv_oracle_real(oracle, name, "noise");
        const pv_match_opts opts = {
            .signs = pv_oracle_real(oracle, name, "flip_prob") > 0, .max_sweeps = 16, .starts = 1};
        if (noise > 0.3) continue; /* too much for the published code as well */
        pair p = read_pair(oracle, name);
        pv_matcher *matcher;
        pv_symmetry found;
        assert_int_equal(pv_matcher_new(&p.arch, &opts, &matcher), PV_OK);
        assert_int_equal(pv_symmetry_make(&p.arch, &found), PV_OK);
        for (uint64_t seed = 0; seed < DESCENT_SEEDS; seed++) {
            pv_rng rng = pv_rng_open(seed, PV_RNG_TEST, (uint64_t)i, 1);
            pv_match(matcher, p.a, p.b, &rng, &found);
            assert_planted(oracle, &p, &found);
            if (noise == 0) assert_restored(&p, &found);
        }
        plain += !opts.signs;
        with_signs += opts.signs;
        pv_symmetry_free(&found);
        pv_matcher_free(matcher);
        free_pair(&p);
    }
    print_message("%d planted permutations, %d with signs\n", plain, with_signs);
    assert_true(plain > 0);
}

/* How many matchings of so many starts reach the median and the best of the stored descents. */
typedef struct reached {
    int matchings, median, best;
} reached;

static void match_pair(const pv_oracle *oracle, int number, int starts, reached *count)
{
    const pv_match_opts opts = {.max_sweeps = usual.max_sweeps, .starts = starts};
    pair p = read_pair(oracle, pv_oracle_case(oracle, number));
    int64_t runs;
    double *stored = pv_oracle_read(oracle, p.name, "output/objective", &runs);
    qsort(stored, (size_t)runs, sizeof *stored, by_value);
    const double median = (stored[(runs - 1) / 2] + stored[runs / 2]) / 2, best = stored[runs - 1];
    pv_matcher *matcher;
    pv_symmetry found;
    assert_int_equal(pv_matcher_new(&p.arch, &opts, &matcher), PV_OK);
    assert_int_equal(pv_symmetry_make(&p.arch, &found), PV_OK);
    for (uint64_t seed = 0; seed < DESCENT_SEEDS; seed++) {
        pv_rng rng = pv_rng_open(seed, PV_RNG_TEST, (uint64_t)number, 0);
        const double objective = pv_match(matcher, p.a, p.b, &rng, &found);
        count->matchings++;
        count->median += objective >= median - 1e-6 * fabs(median);
        count->best += objective >= best - 1e-6 * fabs(best);
    }
    pv_symmetry_free(&found);
    pv_matcher_free(matcher);
    free(stored);
    free_pair(&p);
}

/* The default number of starts must do as well as the stored descents; others are printed beside it. */
static void our_descents_reach_the_stored_ones(void **state)
{
    const pv_oracle *oracle = *state;
    const int starts[] = {1, 2, 3, 4, 8, 16, 0};
    reached all = {0};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        reached of[PV_INR_MAX_LAYERS] = {{0}};
        for (int i = 0; i < pv_oracle_cases(oracle); i++) {
            const char *name = pv_oracle_case(oracle, i);
            int dims[PV_INR_MAX_LAYERS + 1];
            if (!is_type(oracle, name, "fitted_pair")) continue;
            const int hidden = pv_oracle_ints(oracle, name, "dims", dims, PV_INR_MAX_LAYERS + 1) - 2;
            match_pair(oracle, i, starts[s], &of[hidden]);
        }
        all = (reached){0};
        for (int h = 0; h < PV_INR_MAX_LAYERS; h++) {
            const int n = of[h].matchings;
            all = (reached){all.matchings + n, all.median + of[h].median, all.best + of[h].best};
            if (n > 0)
                print_message("starts %d, %d hidden layers: %.3f reach the stored median, %.3f the best\n",
                              starts[s], h, (double)of[h].median / n, (double)of[h].best / n);
        }
    }
    print_message("by default, %d matchings: %.3f, %.3f\n", all.matchings, (double)all.median / all.matchings,
                  (double)all.best / all.matchings);
    assert_true(all.matchings > 0 && all.median >= 0.99 * all.matchings && all.best >= 0.9 * all.matchings);
}

static int open_oracle(void **state)
{
    *state = pv_oracle_open("alignment.h5");
    return 0;
}

static int close_oracle(void **state)
{
    pv_oracle_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optimal_assignments_have_the_stored_values),
        cmocka_unit_test(stored_descents_are_followed),
        cmocka_unit_test(planted_symmetries_are_recovered),
        cmocka_unit_test(our_descents_reach_the_stored_ones),
    };
    return cmocka_run_group_tests(tests, open_oracle, close_oracle);
}
