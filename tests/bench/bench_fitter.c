/* How many Adam steps a second one core does for the usual INR, with every instruction set it has. */
#include "base/pv_cpu.h"
#include "base/pv_clock.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 28, SAMPLES = SIDE * SIDE, REPEATS = 9, STEPS = 500 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Steps a second of every repeat, in ascending order. */
static pv_status measure(const pv_arch *arch, double rates[REPEATS], double *mse, double *flops)
{
    float coords[2 * SAMPLES], values[SAMPLES], *row = malloc((size_t)pv_arch_params(arch) * sizeof *row);
    const pv_fit_opts opts = {.steps = REPEATS * STEPS, .lr = 5e-4};
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
            const double start = pv_seconds();
            pv_fitter_advance(fitter, 1, STEPS);
            rates[i] = STEPS / (pv_seconds() - start);
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

int main(void)
{
    int hidden[] = {32, 32};
    const pv_inr_opts opts = {.hidden = hidden, .hidden_count = 2, .w0 = 30, .offset = 0.5};
    pv_arch arch;
    if (pv_arch_make(&opts, 2, 1, &arch) != PV_OK) return 1;
    for (int isa = 0; isa < PV_ISA_COUNT; isa++) {
        double rates[REPEATS], mse, flops;
        setenv("POLYVIEW_ISA", pv_isa_name((pv_isa)isa), 1);
        if (pv_cpu_isa() != (pv_isa)isa) continue;
        if (measure(&arch, rates, &mse, &flops) != PV_OK) return 1;
        printf("%-9s 2-32-32-1 on %d samples: best %.0f, median %.0f INR-steps/s (%.1f GFLOP/s), %.2f dB\n",
               pv_isa_name((pv_isa)isa), SAMPLES, rates[REPEATS - 1], rates[REPEATS / 2],
               flops * rates[REPEATS - 1] * 1e-9, pv_psnr(mse));
    }
    return 0;
}
