/* `polyview bench fit`: the rate of fits, and what the machine could do at most, measured in the same run. */
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "bench/pv_benches.h"
#include "pv_bench.h"
#include "pv_bench_fit_grid.h"
#include "run/pv_limits.h"
#include "run/pv_timed_fits.h"
#include "run/pv_timing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    QUALITY_IMAGES = 32,  /* fitted to the end */
    SPLIT_OBJECTS = 2048, /* of each split at most: enough rows to time the store */
};

/* The words of the command line. */
typedef struct words {
    char *config, *dir;
    double seconds;
    int64_t steps;
    bool json, grid;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, seconds), .range = {.low = 0, .high = 1e6, .open_low = true}, .value = "T",
     .initial = "10", .meaning = "for how long"},
    {PV_KEY(words, steps), PV_BETWEEN(1, INT32_MAX), .value = "K",
     .meaning = "of the fits to the end, for fit.steps"},
    {PV_KEY(words, grid),
     .meaning =
         "instead, widths 16 to 256, 1 to 3 inputs and every precision, each with its share of its limit"},
    {PV_KEY(words, config), .value = "FILE", .meaning = "the signal and the recipe"},
    PV_OPTION_DIR(words),
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

typedef struct fit_bench {
    const words *w;
    int64_t steps;
    pv_run_config *config;
    pv_signal *signal; /* NULL: made-up pictures */
    pv_timed_fits *fits;
    pv_bench_rates rates;
    double psnr;
    double overhead; /* seconds a view beside its steps; NaN if not measured */
} fit_bench;

/* What a repetition measures on a rank. */
enum { FMA, NARROW, ACTIVATION, OWN, LIBMVEC, LIMIT, RATE, CORE, SHARE, FIGURES };
static const pv_bench_figure about[FIGURES] = {
    [FMA] = {"fma_gflops", "multiply-add peak, GFLOP/s", "%.1f"},
    [NARROW] = {"precision_gflops", "the same in the fits' precision", "%.1f"},
    [ACTIVATION] = {"activation_ns", NULL, NULL},
    [OWN] = {"activation_own_ns", "activation and its slope, ns", "%.3f"},
    [LIBMVEC] = {"sincos_libmvec_ns", "the sine's by libmvec, ns", "%.3f"},
    [LIMIT] = {"limit_inr_steps_per_s_core", "limit: both one after the other, INR-steps/s", "%.0f"},
    [RATE] = {"inr_steps_per_s_core", "measured, INR-steps/s", "%.0f"},
    [CORE] = {"core_share", "share of the time that the core was ours", "%.3f"},
    [SHARE] = {"limit_share", "share of the limit in that time", "%.3f"}};

/* One repetition: the limits, then the fits. */
static const double limits_seconds = 0.01, rate_seconds = 0.03;

/* Together or alone, a rank works by itself. */
static pv_status repeat(void *context, bool together, double *figures)
{
    const fit_bench *bench = context;
    pv_timed_fits *const fits = bench->fits;
    const pv_timed_shape *shape = pv_timed_fits_shape(fits);
    pv_limits limits;
    (void)together;
    pv_limits_measure(limits_seconds, bench->config->fit.precision, pv_arch_activation(&shape->arch),
                      &limits);
    figures[FMA] = limits.fma_gflops;
    figures[NARROW] = limits.narrow_gflops;
    figures[ACTIVATION] = limits.activation_ns;
    figures[OWN] = limits.activation_own_ns;
    figures[LIBMVEC] = limits.sincos_libmvec_ns;
    figures[LIMIT] =
        1 / pv_limits_seconds(&limits, shape->step_flops, shape->step_narrow, shape->step_activations);
    const pv_status st = pv_timed_fits_rate(fits, rate_seconds, &figures[RATE], &figures[CORE]);
    figures[SHARE] = figures[RATE] / figures[CORE] / figures[LIMIT];
    return st;
}

static int64_t quality_images(const fit_bench *bench)
{
    const int64_t objects = bench->signal ? pv_signal_objects(bench->signal) : QUALITY_IMAGES;
    return objects < QUALITY_IMAGES ? objects : QUALITY_IMAGES;
}

/* The mean PSNR of the first objects after all their steps. */
static pv_status measure_quality(const pv_comm *comm, fit_bench *bench)
{
    int64_t first, count;
    double sum = 0;
    pv_share_of(quality_images(bench), comm->rank, comm->size, &first, &count);
    const pv_status st =
        pv_agree(comm, pv_timed_fits_rows(bench->fits, 0, first, count, bench->steps, NULL, &sum));
    if (st != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, comm->world);
    bench->psnr = sum / (double)quality_images(bench);
    return PV_OK;
}

static pv_status measure_overhead(const pv_comm *comm, fit_bench *bench)
{
    char path[PV_TIMING_PATH];
    pv_timed_fill took = {0};
    bench->overhead = (double)NAN;
    if (!bench->signal) return PV_OK;
    pv_status st = pv_agree(comm, pv_timing_path(comm, bench->w->dir, path));
    if (st != PV_OK) return st;
    st = pv_time_fill(comm, bench->config, bench->signal, path, NULL, 1, &took);
    if (comm->rank == 0) unlink(path);
    if (st == PV_ERR_IO || st == PV_ERR_HDF5) {
        pv_log_warn("the overhead of the store is not measured: %s; --dir names another directory",
                    pv_fail_message());
        return PV_OK;
    }
    const double view = (took.fill + took.close) * comm->size / (double)took.fitted;
    if (st == PV_OK) bench->overhead = fmax(0, view - 1 / bench->rates.together[RATE]);
    return st;
}

static double overhead_share(const fit_bench *bench)
{
    return bench->overhead / (bench->overhead + (double)bench->steps / bench->rates.together[RATE]);
}

/* The path of the signal's source if it has one, else its name; `none` without a signal. */
static const char *source_of(const fit_bench *bench, const char *none)
{
    const pv_signal_opts *opts = &bench->config->signal;
    if (!bench->signal) return none;
    return strstr(pv_signal_json(bench->signal), "\"path\": ") ? opts->path : opts->source.plugin->name;
}

static void report(const pv_comm *comm, const fit_bench *bench, const pv_bench_watched *watched,
                   json_t *result)
{
    const pv_bench_rates *rates = &bench->rates;
    const pv_timed_shape *shape = pv_timed_fits_shape(bench->fits);
    const pv_arch *arch = &shape->arch;
    pv_json_text(result, "bench", "fit");
    pv_json_text(result, "signal", source_of(bench, "synthetic"));
    json_object_set_new(result, "dims", pv_arch_dims_json(arch));
    pv_json_int(result, "samples", shape->samples);
    pv_json_real(result, "step_flops", shape->step_flops);
    pv_json_text(result, "precision", pv_precision_name(bench->config->fit.precision));
    pv_json_real(result, "step_precision_flops", shape->step_narrow);
    pv_json_text(result, "activation", pv_arch_activation(arch)->plugin.name);
    pv_json_real(result, "step_activations", shape->step_activations);
    pv_bench_put(watched, rates->alone, "", result);
    pv_bench_put(watched, rates->together, "_together", result);
    pv_json_text(result, "activation_of_limit",
                 rates->alone[LIBMVEC] < rates->alone[OWN] ? "libmvec" : "polyview");
    pv_json_real(result, "inr_steps_per_s", bench->rates.together[RATE] * comm->size);
    pv_json_real(result, "scaling", bench->rates.scaling);
    pv_json_real(result, "psnr_db", bench->psnr);
    pv_json_int(result, "psnr_images", quality_images(bench));
    pv_json_int(result, "steps", bench->steps);
    pv_json_real(result, "overhead_us_per_view", bench->overhead * 1e6);
    pv_json_real(result, "overhead_share", overhead_share(bench));
    pv_json_real(result, "seconds", bench->w->seconds);
    pv_result_machine(comm, result);
}

static void print_table(const pv_comm *comm, const fit_bench *bench, const pv_bench_watched *watched)
{
    const pv_timed_shape *shape = pv_timed_fits_shape(bench->fits);
    const pv_arch *arch = &shape->arch;
    const pv_bench_rates *rates = &bench->rates;
    fprintf(stderr, "  fits of ");
    for (int i = 0; i <= arch->layers; i++)
        fprintf(stderr, "%s%d", i ? "-" : "", arch->dims[i]);
    fprintf(stderr, " to %d samples (%s), %s, %s, %d rank%s\n", shape->samples,
            source_of(bench, "made-up pictures"), pv_precision_name(bench->config->fit.precision),
            pv_isa_name(pv_cpu_isa()), comm->size, comm->size == 1 ? "" : "s");
    fprintf(stderr, "  one step: %.4g multiply-add operations, %.0f activations (%s)\n\n", shape->step_flops,
            shape->step_activations, pv_arch_activation(arch)->plugin.name);
    pv_bench_print(watched, rates);
    fprintf(stderr, "\n  %-44s %10.0f\n", "all ranks, INR-steps/s", rates->together[RATE] * comm->size);
    fprintf(stderr, "  %-44s %10.3f\n", "scaling efficiency", bench->rates.scaling);
    fprintf(stderr, "  mean PSNR of %lld images after %-6lld steps, dB %10.2f\n",
            (long long)quality_images(bench), (long long)bench->steps, bench->psnr);
    fprintf(stderr, "  %-44s %10.1f\n", "beside its steps, a view takes, us", bench->overhead * 1e6);
    fprintf(stderr, "  %-44s %9.2f%%\n", "that is, of its time", 100 * overhead_share(bench));
}

/* Loads the config and as much of its signal as the bench needs. */
static pv_status prepare(const pv_comm *comm, const words *w, fit_bench *bench)
{
    pv_status st = pv_config_of_file(comm, w->config, &w->set, &bench->config);
    if (st != PV_OK) return st;
    pv_signal_opts *signal = &bench->config->signal;
    signal->most = SPLIT_OBJECTS;
    bench->steps = w->steps > 0 ? w->steps : bench->config->fit.steps;
    st = pv_signal_open(comm, signal, &bench->signal);
    if (st == PV_ERR_IO) {
        pv_log_warn("made-up pictures are fitted: %s", pv_fail_message());
        st = PV_OK;
    }
    if (st != PV_OK) return st;
    return pv_agree(comm, pv_timed_fits_open(bench->config, bench->signal, &bench->fits));
}

static pv_status run_bench(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    fit_bench bench = {.w = w};
    const pv_bench_watched watched = {.about = about,
                                      .figures = FIGURES,
                                      .rate = RATE,
                                      .repetition = limits_seconds + rate_seconds,
                                      .context = &bench,
                                      .repeat = repeat};
    pv_status st;
    (void)run; /* a bench leaves no record */
    if (w->grid) {
        pv_json_text(result, "bench", "fit");
        pv_json_real(result, "seconds", w->seconds);
        PV_TRY(pv_agree(comm, pv_bench_fit_grid(w->seconds, w->json || comm->rank > 0, result)));
        pv_result_machine(comm, result);
        goto done;
    }
    PV_TRY(prepare(comm, w, &bench));
    PV_TRY(pv_bench_rounds(comm, &watched, w->seconds, &bench.rates));
    PV_TRY(measure_quality(comm, &bench));
    PV_TRY(measure_overhead(comm, &bench));
    report(comm, &bench, &watched, result);
    if (comm->rank == 0 && !w->json) print_table(comm, &bench, &watched);
done:
    pv_timed_fits_close(bench.fits);
    pv_signal_close(bench.signal);
    pv_run_config_free(bench.config);
    return st;
}

const pv_command pv_bench_fit = {
    .plugin = {.name = "fit", .help = "the rate of fits", PV_OWN(options, words)},
    .about =
        "Times fits of the config's signal and recipe (made-up pictures if the signal cannot be read)\n"
        "beside the multiply-add peak of a core and the cost of an activation and its slope, in turn: on\n"
        "rank 0 alone, and on all ranks together.  Then fits 32 images to the end for their PSNR, and\n"
        "times what a view costs beside its steps with a temporary store (up to 30 MB for the usual INRs).\n",
    .run = run_bench,
};
