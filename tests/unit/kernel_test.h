/* What the tests of kernels share: values, comparison with double, and the instruction sets of the
 * machine. */
#ifndef KERNEL_TEST_H
#define KERNEL_TEST_H

#include "base/pv_cpu.h"
#include "base/pv_rng.h"
#include "simd/pv_real.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* n normal numbers, others for every seed; the caller frees them. */
static inline pv_real *some(int64_t n, uint64_t seed)
{
    pv_real *x = malloc(sizeof *x * (size_t)n);
    pv_rng rng = pv_rng_open(seed, PV_RNG_TEST, 0, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (pv_real)pv_rng_normal(&rng);
    return x;
}

/* That x is the truth but for the rounding of sums of some tens of numbers. */
static inline void assert_near(int64_t n, const pv_real *x, const double *truth)
{
    const double tolerance = sizeof(pv_real) == sizeof(float) ? 2e-5 : 1e-13;
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs((double)x[i] - truth[i]) <= tolerance * (1 + fabs(truth[i])));
}

/* Calls the test once for every instruction set of the machine. */
static inline void on_every_isa(void (*test)(void))
{
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
        if (pv_cpu_isa() == (pv_isa)isa) test();
    }
    unsetenv("POLYVIEW_ISA");
}

#endif
