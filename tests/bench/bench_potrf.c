/* The Cholesky factorisation of LAPACK on one core, for comparison with kernel ridge regression: bench_potrf
 * N. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"

#include <stdio.h>
#include <stdlib.h>

void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

int main(int argc, char **argv)
{
    enum { REPETITIONS = 3, DEFAULT_N = 8000 };
    const int n = argc > 1 ? atoi(argv[1]) : DEFAULT_N;
    double *a = pv_alloc((int64_t)n * n, sizeof *a), best = 1e30;
    if (!a) return 1;
    for (int repetition = 0; repetition < REPETITIONS; repetition++) {
        int info;
        for (int64_t c = 0; c < n; c++)
            for (int64_t r = 0; r < n; r++)
                a[c * n + r] = r == c ? 2.0 : 1.0 / n;
        const double start = pv_seconds();
        dpotrf_("L", &n, a, &n, &info);
        const double seconds = pv_seconds() - start;
        if (info != 0) return 1;
        if (seconds < best) best = seconds;
    }
    printf("{\"n\": %d, \"seconds\": %.3f, \"gflops\": %.1f}\n", n, best, (double)n * n * n / 3 / best / 1e9);
    free(a);
    return 0;
}
