/* `polyview bench fit --grid`: the rate of fits over widths, inputs and precisions, and each one's share of
 * its limit. */
#include "pv_bench_fit_grid.h"
#include "base/pv_clock.h"
#include "base/pv_json.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "inr/pv_fitter.h"
#include "inr/pv_inr.h"
#include "run/pv_limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 784, INPUTS = 3, WIDTHS = 5, PRECISIONS = PV_PRECISION_INT16 + 1 };
static const int widths[WIDTHS] = {16, 32, 64, 128, 256};

/* One place of the grid. */
typedef struct cell {
    int inputs, width;
    pv_precision precision;
    double rate, limit; /* INR-steps a second of the core's time */
} cell;

/* Puts an INR of random weights, samples and values into slot 0. */
static pv_status start(const cell *c, const pv_arch *arch, const pv_fit_opts *opts, pv_fitter **fitter)
{
    pv_status st = PV_OK;
    pv_rng rng = pv_rng_open(1, PV_RNG_TEST, (uint64_t)c->inputs, (uint64_t)c->width);
    float *row = NULL, *coords = NULL, *values = NULL;
    PV_ALLOC(row, pv_arch_params(arch));
    PV_ALLOC(coords, SAMPLES * c->inputs);
    PV_ALLOC(values, SAMPLES);
    for (int i = 0; i < SAMPLES * c->inputs; i++)
        coords[i] = (float)pv_rng_range(&rng, -1, 1);
    for (int i = 0; i < SAMPLES; i++)
        values[i] = 0.5f + 0.5f * coords[i * c->inputs];
    pv_inr_init(arch, PV_INR_DWSNETS, &rng, row);
    PV_TRY(pv_fitter_new(arch, SAMPLES, coords, opts, fitter));
    pv_fitter_start(*fitter, 0, row, NULL, values, (pv_fit_key){0});
done:
    PV_FREE(row, coords, values);
    return st;
}

/* Fits for half of the seconds; the other half is the limit's. */
static pv_status measure(double seconds, cell *c)
{
    int hidden[] = {c->width, c->width};
    const pv_inr_opts inr = {.hidden = hidden, .hidden_count = 2, .w0 = 30, .offset = 0.5};
    const pv_fit_opts opts = {.steps = INT64_MAX, .lr = 1e-4, .precision = c->precision};
    pv_fitter *fitter = NULL;
    pv_limits limits;
    pv_arch arch;
    int64_t steps = 0;
    pv_status st;
    PV_TRY(pv_arch_make(&inr, c->inputs, 1, 1, &arch));
    PV_TRY(start(c, &arch, &opts, &fitter));
    pv_limits_measure(seconds / 2, c->precision, pv_arch_activation(&arch), &limits);
    const double begin = pv_thread_seconds();
    double took = 0;
    while (took < seconds / 2) {
        pv_fitter_advance(fitter, 1, 1 + 4096 / (c->width * c->width));
        steps += 1 + 4096 / (c->width * c->width);
        took = pv_thread_seconds() - begin;
    }
    c->rate = (double)steps / took;
    c->limit = 1 / pv_limits_seconds(&limits, pv_fitter_step_flops(fitter), pv_fitter_step_narrow(fitter),
                                     pv_fitter_step_activations(fitter));
done:
    pv_fitter_free(fitter);
    return st;
}

static void tell(const cell *c, double float32, bool quiet, json_t *cells)
{
    json_t *const told = json_object();
    pv_json_int(told, "inputs", c->inputs);
    pv_json_int(told, "width", c->width);
    pv_json_text(told, "precision", pv_precision_name(c->precision));
    pv_json_real(told, "inr_steps_per_s_core", c->rate);
    pv_json_real(told, "limit_inr_steps_per_s_core", c->limit);
    pv_json_real(told, "limit_share", c->rate / c->limit);
    pv_json_real(told, "over_float32", c->rate / float32);
    json_array_append_new(cells, told);
    if (!quiet)
        fprintf(stderr, "  %d-%d-%d-1\t%-12s %12.0f %12.0f %8.3f %8.2f\n", c->inputs, c->width, c->width,
                pv_precision_name(c->precision), c->rate, c->limit, c->rate / c->limit, c->rate / float32);
}

pv_status pv_bench_fit_grid(double seconds, bool quiet, json_t *result)
{
    const double each = seconds / (INPUTS * WIDTHS * PRECISIONS);
    json_t *const cells = json_array();
    double float32 = 0;
    pv_status st = PV_OK;
    json_object_set_new(result, "grid", cells);
    pv_json_int(result, "samples", SAMPLES);
    if (!quiet)
        fprintf(stderr, "  %-12s\t%-12s %12s %12s %8s %8s\n", "INR", "precision", "INR-steps/s", "limit",
                "share", "/float32");
    for (int inputs = 1; inputs <= INPUTS; inputs++)
        for (int w = 0; w < WIDTHS; w++)
            for (int p = 0; p < PRECISIONS; p++) {
                cell c = {.inputs = inputs, .width = widths[w], .precision = (pv_precision)p};
                if (pv_stop_requested()) return pv_stop_fail();
                if ((st = measure(each, &c)) != PV_OK) return st;
                if (p == 0) float32 = c.rate;
                tell(&c, float32, quiet, cells);
            }
    return st;
}
