/* `polyview bench fit`: the rate of fits, and what the machine could do at most, measured in the same run. */
#include "base/pv_cpu.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "base/pv_median.h"
#include "run/pv_timed_fits.h"
#include "run/pv_timing.h"
#include "run/pv_timed_fill.h"
#include "pv_bench_window.h"
#include "bench/pv_benches.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROUNDS = 5,           /* of one core alone and all together, in turn: what drifts, drifts for both */
    QUALITY_IMAGES = 32,  /* fitted to the end */
    SPLIT_OBJECTS = 2048, /* of each split at most: enough rows to time the store */
};

/* The words of the command line. */
typedef struct words {
    const char *config, *dir;
    double seconds;
    int64_t steps;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, seconds), .range = {.low = 0, .high = 1e6, .open_low = true}, .value = "T",
     .initial = "10", .meaning = "for how long"},
    {PV_KEY(words, steps), PV_BETWEEN(1, INT32_MAX), .value = "K",
     .meaning = "of the fits to the end, for fit.steps"},
    {PV_KEY(words, config), .value = "FILE", .meaning = "the signal and the recipe"},
    PV_OPTION_DIR(words),
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

typedef struct fit_bench {
    double seconds;
    int64_t steps;
    const char *directory; /* for the temporary store */
    pv_run_config *config;
    pv_signal *signal; /* NULL: made-up pictures */
    pv_timed_fits *fits;
    pv_bench_window alone, together; /* medians over rounds; per core, `together` the mean of all */
    double scaling;                  /* rate of a core among all / rate of a core alone */
    double psnr;
    double overhead; /* seconds a view beside its steps; NaN if not measured */
} fit_bench;

enum { WINDOW_FIGURES = sizeof(pv_bench_window) / sizeof(double) };
_Static_assert(sizeof(pv_bench_window) == WINDOW_FIGURES * sizeof(double), "a window is made of doubles");

/* The mean of a window over all ranks, on every rank. */
static void mean_over_ranks(const pv_comm *comm, pv_bench_window *window)
{
    double figures[WINDOW_FIGURES];
    memcpy(figures, window, sizeof figures);
    MPI_Allreduce(MPI_IN_PLACE, figures, WINDOW_FIGURES, MPI_DOUBLE, MPI_SUM, comm->world);
    for (int i = 0; i < WINDOW_FIGURES; i++)
        figures[i] /= comm->size;
    memcpy(window, figures, sizeof figures);
}

static pv_bench_window median_of_rounds(const pv_bench_window rounds[ROUNDS])
{
    double figures[WINDOW_FIGURES] = {0};
    for (int i = 0; i < WINDOW_FIGURES; i++) {
        double values[ROUNDS];
        for (int r = 0; r < ROUNDS; r++) {
            double all[WINDOW_FIGURES];
            memcpy(all, &rounds[r], sizeof all);
            values[r] = all[i];
        }
        figures[i] = pv_median(ROUNDS, values);
    }
    pv_bench_window median;
    memcpy(&median, figures, sizeof median);
    return median;
}

/* Rank 0 alone while the others sleep, then all, ROUNDS times. */
static pv_status measure_rates(const pv_comm *comm, fit_bench *bench)
{
    pv_bench_window alone[ROUNDS] = {0}, together[ROUNDS] = {0};
    double scaling[ROUNDS];
    const double window = bench->seconds / ROUNDS / (comm->size > 1 ? 2 : 1);
    for (int r = 0; r < ROUNDS; r++) {
        pv_status st = PV_OK;
        pv_timing_barrier(comm);
        if (comm->rank == 0) st = pv_bench_watch(bench->fits, window, &alone[r]);
        pv_timing_barrier(comm);
        together[r] = alone[r];
        if (st == PV_OK && comm->size > 1) st = pv_bench_watch(bench->fits, window, &together[r]);
        pv_timing_barrier(comm);
        if (st == PV_OK && pv_stop_requested()) st = pv_stop_fail();
        st = pv_agree(comm, st);
        if (st != PV_OK) return st;
        mean_over_ranks(comm, &together[r]);
        scaling[r] = together[r].rate / alone[r].rate;
    }
    bench->alone = median_of_rounds(alone);
    bench->together = median_of_rounds(together);
    bench->scaling = comm->rank == 0 ? pv_median(ROUNDS, scaling) : 1;
    return PV_OK;
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
    pv_status st = pv_agree(comm, pv_timing_path(comm, bench->directory, path));
    if (st != PV_OK) return st;
    st = pv_time_fill(comm, bench->config, bench->signal, path, NULL, 1, &took);
    if (comm->rank == 0) unlink(path);
    if (st == PV_ERR_IO || st == PV_ERR_HDF5) {
        pv_log_warn("the overhead of the store is not measured: %s; --dir names another directory",
                    pv_fail_message());
        return PV_OK;
    }
    const double view = (took.fill + took.close) * comm->size / (double)took.fitted;
    if (st == PV_OK) bench->overhead = fmax(0, view - 1 / bench->together.rate);
    return st;
}

static double overhead_share(const fit_bench *bench)
{
    return bench->overhead / (bench->overhead + (double)bench->steps / bench->together.rate);
}

static double limit_rate(const fit_bench *bench, const pv_bench_window *window)
{
    return 1 / pv_limits_seconds(&window->limits, pv_timed_fits_flops(bench->fits),
                                 pv_timed_fits_pairs(bench->fits));
}

static bool libmvec_is_cheaper(const fit_bench *bench)
{
    return bench->alone.limits.sincos_libmvec_ns < bench->alone.limits.sincos_own_ns;
}

static void put_window(const fit_bench *bench, const pv_bench_window *window, const char *suffix,
                       json_t *result)
{
    const struct {
        const char *name;
        double value;
    } figures[] = {{"fma_gflops", window->limits.fma_gflops},
                   {"sincos_ns", window->limits.sincos_ns},
                   {"sincos_own_ns", window->limits.sincos_own_ns},
                   {"sincos_libmvec_ns", window->limits.sincos_libmvec_ns},
                   {"limit_inr_steps_per_s_core", limit_rate(bench, window)},
                   {"inr_steps_per_s_core", window->rate},
                   {"core_share", window->core_share},
                   {"limit_share", window->share}};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s%s", figures[i].name, suffix);
        pv_json_real(result, key, figures[i].value);
    }
}

static void report(const pv_comm *comm, const fit_bench *bench, json_t *result)
{
    const pv_arch *arch = pv_timed_fits_arch(bench->fits);
    pv_json_text(result, "bench", "fit");
    pv_json_text(result, "signal", bench->signal ? bench->config->signal.path : "synthetic");
    json_object_set_new(result, "dims", pv_arch_dims_json(arch));
    pv_json_int(result, "samples", pv_timed_fits_samples(bench->fits));
    pv_json_real(result, "step_flops", pv_timed_fits_flops(bench->fits));
    pv_json_real(result, "step_sincos", pv_timed_fits_pairs(bench->fits));
    put_window(bench, &bench->alone, "", result);
    put_window(bench, &bench->together, "_together", result);
    pv_json_text(result, "sincos_of_limit", libmvec_is_cheaper(bench) ? "libmvec" : "polyview");
    pv_json_real(result, "inr_steps_per_s", bench->together.rate * comm->size);
    pv_json_real(result, "scaling", bench->scaling);
    pv_json_real(result, "psnr_db", bench->psnr);
    pv_json_int(result, "psnr_images", quality_images(bench));
    pv_json_int(result, "steps", bench->steps);
    pv_json_real(result, "overhead_us_per_view", bench->overhead * 1e6);
    pv_json_real(result, "overhead_share", overhead_share(bench));
    pv_json_real(result, "seconds", bench->seconds);
    pv_result_machine(comm, result);
}

static void print_row(const char *name, const char *format, double alone, double together)
{
    char left[32], right[32];
    snprintf(left, sizeof left, format, alone);
    snprintf(right, sizeof right, format, together);
    fprintf(stderr, "  %-44s %10s %12s\n", name, left, right);
}

static void print_table(const pv_comm *comm, const fit_bench *bench)
{
    const pv_arch *arch = pv_timed_fits_arch(bench->fits);
    const pv_bench_window *alone = &bench->alone, *together = &bench->together;
    fprintf(stderr, "  fits of ");
    for (int i = 0; i <= arch->layers; i++)
        fprintf(stderr, "%s%d", i ? "-" : "", arch->dims[i]);
    fprintf(stderr, " to %d samples (%s), %s, %d rank%s\n", pv_timed_fits_samples(bench->fits),
            bench->signal ? bench->config->signal.path : "made-up pictures", pv_isa_name(pv_cpu_isa()),
            comm->size, comm->size == 1 ? "" : "s");
    fprintf(stderr, "  one step: %.4g multiply-add operations, %.0f sine-cosine pairs\n\n",
            pv_timed_fits_flops(bench->fits), pv_timed_fits_pairs(bench->fits));
    fprintf(stderr, "  %-44s %10s %12s\n", "per core", "alone", "together");
    print_row("multiply-add peak, GFLOP/s", "%.1f", alone->limits.fma_gflops, together->limits.fma_gflops);
    print_row("sine-cosine pair, ns", "%.3f", alone->limits.sincos_own_ns, together->limits.sincos_own_ns);
    print_row("the same by libmvec, ns", "%.3f", alone->limits.sincos_libmvec_ns,
              together->limits.sincos_libmvec_ns);
    print_row("limit: both one after the other, INR-steps/s", "%.0f", limit_rate(bench, alone),
              limit_rate(bench, together));
    print_row("measured, INR-steps/s", "%.0f", alone->rate, together->rate);
    print_row("share of the time that the core was ours", "%.3f", alone->core_share, together->core_share);
    print_row("share of the limit in that time", "%.3f", alone->share, together->share);
    fprintf(stderr, "\n  %-44s %10.0f\n", "all ranks, INR-steps/s", together->rate * comm->size);
    fprintf(stderr, "  %-44s %10.3f\n", "scaling efficiency", bench->scaling);
    fprintf(stderr, "  mean PSNR of %lld images after %-6lld steps, dB %10.2f\n",
            (long long)quality_images(bench), (long long)bench->steps, bench->psnr);
    fprintf(stderr, "  %-44s %10.1f\n", "beside its steps, a view takes, us", bench->overhead * 1e6);
    fprintf(stderr, "  %-44s %9.2f%%\n", "that is, of its time", 100 * overhead_share(bench));
}

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

/* Loads the config and as much of its signal as the bench needs. */
static pv_status prepare(const pv_comm *comm, const words *w, fit_bench *bench)
{
    pv_status st = pv_config_of_file(comm, w->config, &w->set, &bench->config);
    if (st != PV_OK) return st;
    pv_signal_opts *signal = &bench->config->signal;
    signal->train = at_most(signal->train, SPLIT_OBJECTS);
    signal->val = at_most(signal->val, SPLIT_OBJECTS);
    signal->test = at_most(signal->test, SPLIT_OBJECTS);
    if (bench->steps == 0) bench->steps = bench->config->fit.steps;
    st = pv_signal_open(comm, signal, &bench->signal);
    if (st == PV_ERR_IO) {
        pv_log_warn("made-up pictures are fitted: %s", pv_fail_message());
        st = PV_OK;
    }
    if (st != PV_OK) return st;
    return pv_agree(comm, pv_timed_fits_open(bench->config, bench->signal, &bench->fits));
}

static pv_status run_bench(const pv_comm *comm, const pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    fit_bench bench = {.seconds = w->seconds, .steps = w->steps, .directory = w->dir};
    pv_status st;
    (void)run; /* a bench leaves no record */
    PV_TRY(prepare(comm, w, &bench));
    PV_TRY(measure_rates(comm, &bench));
    PV_TRY(measure_quality(comm, &bench));
    PV_TRY(measure_overhead(comm, &bench));
    report(comm, &bench, result);
    if (comm->rank == 0 && !w->json) print_table(comm, &bench);
done:
    pv_timed_fits_close(bench.fits);
    pv_signal_close(bench.signal);
    pv_run_config_free(bench.config);
    return st;
}

const pv_command pv_bench_fit = {
    .plugin = {.name = "fit", .help = "the rate of fits", .options = options, .options_size = sizeof(words)},
    .about =
        "Times fits of the config's signal and recipe (made-up pictures if the signal cannot be read)\n"
        "beside the multiply-add peak of a core and the cost of a sine with its cosine, in turn: on rank 0\n"
        "alone, and on all ranks together.  Then fits 32 images to the end for their PSNR, and times what a\n"
        "view costs beside its steps with a temporary store (up to 30 MB for the usual INRs).\n",
    .run = run_bench,
};
