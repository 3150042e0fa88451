/* Matrix products of every instruction set against three loops. */
#include "base/pv_rng.h"
#include "nn/core/pv_linear.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

enum { MOST = 300 * 80 };

static pv_real a[MOST], b[MOST], c[MOST], start[MOST];

static double entry(bool transpose, int rows, int cols, const pv_real *x, int i, int j)
{
    return (double)(transpose ? x[j * rows + i] : x[i * cols + j]);
}

static void check(const pv_nn_kernels *kernels, bool ta, bool tb, int m, int n, int k, double alpha,
                  double beta)
{
    memcpy(c, start, sizeof c);
    pv_gemm(kernels, ta, tb, m, n, k, alpha, a, b, beta, c);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double truth = beta * (double)start[i * n + j], size = fabs(truth);
            for (int p = 0; p < k; p++) {
                const double term = alpha * entry(ta, m, k, a, i, p) * entry(tb, k, n, b, p, j);
                truth += term;
                size += fabs(term);
            }
            assert_true(fabs((double)c[i * n + j] - truth) <= 1e-5 * (size + 1e-3));
        }
    assert_true(c[m * n] == start[m * n]); /* and nothing behind */
}

static void check_shapes(const pv_nn_kernels *kernels)
{
    const int rows[] = {1, 7, 8, 29, 131}, widths[] = {1, 3, 8, 16, 32, 48, 64, 72};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 8; j++)
            for (int l = 0; l < 8; l += 2) {
                const int m = rows[i], n = widths[j], k = widths[l];
                check(kernels, false, true, m, n, k, 0.25, 0);
                check(kernels, false, false, m, n, k, -1, 1);
                check(kernels, true, false, k, n, m, 0.5, 1);
                check(kernels, true, false, k, n, m, 0.5, 0.3);
            }
    check(kernels, true, false, 32, 32, 299, 1, 1); /* longer than a cache block */
}

static void products_agree_on_every_instruction_set(void **state)
{
    (void)state;
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int i = 0; i < MOST; i++) {
        a[i] = (pv_real)pv_rng_normal(&rng);
        b[i] = (pv_real)pv_rng_normal(&rng);
        start[i] = (pv_real)pv_rng_normal(&rng);
    }
    check_shapes(&pv_nn_kernels_portable);
#if defined(__x86_64__)
    if (pv_cpu_isa() >= PV_ISA_AVX2) check_shapes(&pv_nn_kernels_avx2);
    if (pv_cpu_isa() >= PV_ISA_AVX512) check_shapes(&pv_nn_kernels_avx512);
#endif
}

static void empty_products_leave_the_target_alone(void **state)
{
    (void)state;
    const pv_nn_kernels *kernels = PV_ISA_CHOOSE(pv_nn_kernels);
    pv_real target = 3;
    pv_gemm(kernels, false, false, 0, 16, 16, 1, a, b, 0, &target);
    pv_gemm(kernels, true, false, 1, 1, 0, 1, a, b, 1, &target);
    assert_true(target == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree_on_every_instruction_set),
        cmocka_unit_test(empty_products_leave_the_target_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
