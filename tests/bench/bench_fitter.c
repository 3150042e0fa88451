/* How many Adam steps a second one core does for an INR as wide as asked for, with every instruction set it
 * has, in every precision; seconds are those of the core, so that others on it do not count. */
#include "base/pv_cpu.h"
#include "base/pv_clock.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 28, SAMPLES = SIDE * SIDE, REPEATS = 9, WORK = 500 * 1024 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Steps a second of every repeat, in ascending order. */
static pv_status measure(const pv_arch *arch, pv_precision precision, double rates[REPEATS], double *mse,
                         double *flops)
{
    float coords[2 * SAMPLES], values[SAMPLES], *row = malloc((size_t)pv_arch_params(arch) * sizeof *row);
    const int steps = 1 + WORK / (arch->dims[1] * arch->dims[2]);
    const pv_fit_opts opts = {.steps = REPEATS * steps, .lr = 5e-4, .precision = precision};
    pv_fit_result result = {0};
    pv_fitter *fitter = NULL;
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, 0, 0);
    for (int p = 0; p < SAMPLES; p++) {
        coords[2 * p] = -1 + 2 * (float)(p % SIDE) / (SIDE - 1);
        coords[2 * p + 1] = -1 + 2 * (float)(p / SIDE) / (SIDE - 1);
        values[p] = (float)(((p % SIDE) / 7 + p / SIDE / 7) % 2);
    }
    pv_inr_init(arch, PV_INR_DWSNETS, &rng, row);
    pv_status st = pv_fitter_new(arch, SAMPLES, coords, &opts, &fitter);
    if (st == PV_OK) {
        pv_fitter_start(fitter, 0, row, NULL, values, (pv_fit_key){0});
        for (int i = 0; i < REPEATS; i++) {
            const double start = pv_thread_seconds();
            pv_fitter_advance(fitter, 1, steps);
            rates[i] = steps / (pv_thread_seconds() - start);
        }
        qsort(rates, REPEATS, sizeof *rates, by_value);
        *flops = pv_fitter_step_flops(fitter);
        st = pv_fitter_finish(fitter, 0, row, &result);
        *mse = result.mse;
    }
    pv_fitter_free(fitter);
    free(row);
    return st;
}

/* One line: the rates of a width, an instruction set and a precision. */
static pv_status tell(int width, pv_isa isa, pv_precision precision)
{
    int hidden[] = {width, width};
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = 2, .w0 = 30, .offset = 0.5};
    double rates[REPEATS], mse, flops;
    pv_arch arch;
    pv_status st = pv_arch_make(&opts, 2, 1, 1, &arch);
    if (st == PV_OK) st = measure(&arch, precision, rates, &mse, &flops);
    if (st == PV_OK)
        printf(
            "%-8s %-8s 2-%d-%d-1 on %d samples: best %.0f, median %.0f INR-steps/s (%.1f GFLOP/s), %.2f dB\n",
            pv_isa_name(isa), pv_precision_name(precision), width, width, SAMPLES, rates[REPEATS - 1],
            rates[REPEATS / 2], flops * rates[REPEATS - 1] * 1e-9, pv_psnr(mse));
    return st;
}

/* Takes a width of the hidden layers, for 32. */
int main(int argc, char **argv)
{
    const int width = argc > 1 ? atoi(argv[1]) : 32;
    pv_status st = PV_OK;
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
        if (pv_cpu_isa() != (pv_isa)isa) continue;
        for (int p = PV_PRECISION_FLOAT32; st == PV_OK && p <= PV_PRECISION_INT16; p++)
            st = tell(width, (pv_isa)isa, (pv_precision)p);
    }
    return st == PV_OK ? 0 : 1;
}
