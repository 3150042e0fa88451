/* `polyview bench align`: pairs that weight matching aligns a second on a core, and how well. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "run/pv_timed_fits.h"
#include "bench/pv_benches.h"
#include "run/pv_aligner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTHS = 3, STEPS = 300, SWEEPS = 16, REPETITIONS = 9 };
static const int widths[WIDTHS] = {32, 64, 128}, pair_counts[WIDTHS] = {32, 16, 8};

/* The words of the command line. */
typedef struct words {
    char *config;
    double seconds;
    int starts;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, seconds), .range = {.low = 0, .high = 1e6, .open_low = true}, .value = "T", .initial = "3",
     .meaning = "for how long, a width"},
    {PV_KEY(words, starts), PV_BETWEEN(0, 1000), .value = "K", .initial = "0",
     .meaning = "descents of a matching; 0: enough to do as well as the published algorithm"},
    {PV_KEY(words, config), .value = "FILE", .meaning = "how the INRs are fitted"},
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

/* What is found of one width; means over pairs, medians over repetitions. */
typedef struct width_result {
    double rate, signed_rate, core_share; /* pairs a second of a core; share of the time the core was ours */
    double objective[PV_WAYS], barrier[PV_WAYS];
} width_result;

typedef struct align_bench {
    const words *w;
    pv_run_config *config;
    width_result of[WIDTHS];
} align_bench;

/* Pairs of views of made-up pictures. */
typedef struct pair_rows {
    pv_timed_fits *fits;
    pv_arch arch;
    int count, params;
    float *first, *second; /* [count][P] */
} pair_rows;

static void free_pairs(pair_rows *pairs)
{
    pv_timed_fits_close(pairs->fits);
    PV_FREE(pairs->first, pairs->second);
}

static pv_status fit_pairs(const align_bench *b, int index, pair_rows *pairs)
{
    pv_run_config config = *b->config;
    const int64_t steps = config.fit.steps < STEPS ? config.fit.steps : STEPS;
    int hidden[2] = {widths[index], widths[index]};
    double psnr = 0;
    pv_status st;
    config.inr.hidden = hidden;
    config.inr.hidden_count = 2;
    PV_TRY(pv_timed_fits_open(&config, NULL, &pairs->fits));
    pairs->arch = pv_timed_fits_shape(pairs->fits)->arch;
    pairs->params = pv_arch_params(&pairs->arch);
    pairs->count = pair_counts[index];
    PV_ALLOC(pairs->first, (int64_t)pairs->count * pairs->params);
    PV_ALLOC(pairs->second, (int64_t)pairs->count * pairs->params);
    PV_TRY(pv_timed_fits_rows(pairs->fits, 0, 0, pairs->count, steps, pairs->first, &psnr));
    PV_TRY(pv_timed_fits_rows(pairs->fits, 1, 0, pairs->count, steps, pairs->second, &psnr));
done:
    return st;
}

/* The median rate of a number of repetitions. */
static pv_status time_matching(const pair_rows *pairs, bool signs, int starts, double seconds, double *rate,
                               double *core_share)
{
    const pv_match_opts opts = {.signs = signs, .max_sweeps = SWEEPS, .starts = starts};
    pv_matcher *matcher = NULL;
    float *out = NULL;
    double rates[REPETITIONS];
    pv_status st;
    PV_ALLOC(out, pairs->params);
    PV_TRY(pv_matcher_new(&pairs->arch, &opts, &matcher));
    const double begin = pv_seconds(), busy = pv_thread_seconds();
    for (int r = 0; r < REPETITIONS; r++) {
        const double start = pv_seconds();
        int64_t done = 0;
        while (done == 0 || pv_seconds() - start < seconds / REPETITIONS) {
            PV_TRY(pv_stop_check());
            for (int i = 0; i < pairs->count; i++, done++) {
                pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, (uint64_t)i, 0);
                pv_match_row(matcher, pairs->first + (int64_t)i * pairs->params,
                             pairs->second + (int64_t)i * pairs->params, &rng, out);
            }
        }
        rates[r] = (double)done / (pv_seconds() - start);
    }
    *core_share = fmin(1, (pv_thread_seconds() - busy) / (pv_seconds() - begin));
    *rate = pv_median(REPETITIONS, rates);
done:
    pv_matcher_free(matcher);
    free(out);
    return st;
}

static pv_status judge_pairs(const pair_rows *pairs, pv_inr_variant variant, int starts, width_result *found)
{
    const pv_fresh fresh = {1, variant};
    const int samples = pv_timed_fits_shape(pairs->fits)->samples;
    pv_aligner *aligner = NULL;
    float *values = NULL;
    pv_status st;
    PV_ALLOC(values, samples);
    PV_TRY(pv_aligner_new(&pairs->arch, samples, pv_timed_fits_shape(pairs->fits)->coords, SWEEPS, starts,
                          &fresh, &aligner));
    for (int i = 0; i < pairs->count; i++) {
        PV_TRY(pv_stop_check());
        pv_alignment_score scores[PV_WAYS];
        pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, (uint64_t)i, 0);
        PV_TRY(pv_timed_fits_values(pairs->fits, i, values));
        PV_TRY(pv_aligner_judge(aligner, pairs->first + (int64_t)i * pairs->params,
                                pairs->second + (int64_t)i * pairs->params, values, &rng, scores));
        for (int way = 0; way < PV_WAYS; way++) {
            found->objective[way] += scores[way].objective / pairs->count;
            found->barrier[way] += scores[way].barrier / pairs->count;
        }
    }
done:
    pv_aligner_free(aligner);
    free(values);
    return st;
}

/* Every rank works on the same pairs; figures are means over ranks. */
static pv_status measure(const pv_comm *comm, align_bench *b, int index)
{
    const int starts = b->w->starts;
    const double seconds = b->w->seconds / 2;
    pair_rows pairs = {0};
    width_result *const found = &b->of[index];
    double rates[3];
    pv_status st = fit_pairs(b, index, &pairs);
    if (st == PV_OK) st = time_matching(&pairs, false, starts, seconds, &rates[0], &rates[2]);
    if (st == PV_OK) st = time_matching(&pairs, true, starts, seconds, &rates[1], &rates[2]);
    if (st == PV_OK) st = judge_pairs(&pairs, b->config->inr.variant, starts, found);
    free_pairs(&pairs);
    if ((st = pv_agree(comm, st)) != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, rates, 3, MPI_DOUBLE, MPI_SUM, comm->world);
    found->rate = rates[0] / comm->size;
    found->signed_rate = rates[1] / comm->size;
    found->core_share = rates[2] / comm->size;
    return PV_OK;
}

/* Puts everything into the result, and prints it if asked to. */
static void report(const pv_comm *comm, const align_bench *b, bool print, json_t *result)
{
    json_t *list = json_array();
    if (print)
        fprintf(stderr, "  %-6s %12s %12s %32s %32s\n", "width", "pairs/s", "signed",
                "objective: none, plain, signed", "barrier: none, plain, signed");
    for (int i = 0; i < WIDTHS; i++) {
        const width_result *of = &b->of[i];
        json_t *entry = json_object(), *objective = json_object(), *barrier = json_object();
        for (int way = 0; way < PV_WAYS; way++) {
            pv_json_real(objective, pv_aligner_way(way), of->objective[way]);
            pv_json_real(barrier, pv_aligner_way(way), of->barrier[way]);
        }
        pv_json_int(entry, "width", widths[i]);
        pv_json_real(entry, "pairs_per_s_core", of->rate);
        pv_json_real(entry, "signed_pairs_per_s_core", of->signed_rate);
        pv_json_real(entry, "core_share", of->core_share);
        json_object_set_new(entry, "objective", objective);
        json_object_set_new(entry, "barrier", barrier);
        json_array_append_new(list, entry);
        if (print)
            fprintf(stderr, "  %-6d %12.0f %12.0f %12.3f%10.3f%10.3f %12.4f%10.4f%10.4f\n", widths[i],
                    of->rate, of->signed_rate, of->objective[PV_WAY_NONE], of->objective[PV_WAY_PERMUTATION],
                    of->objective[PV_WAY_SIGNED], of->barrier[PV_WAY_NONE], of->barrier[PV_WAY_PERMUTATION],
                    of->barrier[PV_WAY_SIGNED]);
    }
    pv_json_text(result, "bench", "align");
    pv_json_real(result, "pairs_per_s_core", b->of[0].rate);
    pv_json_int(result, "starts", b->w->starts);
    json_object_set_new(result, "widths", list);
    pv_result_machine(comm, result);
}

static pv_status run_bench(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    align_bench b = {.w = w};
    pv_status st;
    (void)run; /* a bench leaves no record */
    PV_TRY(pv_config_of_file(comm, w->config, &w->set, &b.config));
    for (int i = 0; i < WIDTHS; i++)
        PV_TRY(measure(comm, &b, i));
    report(comm, &b, comm->rank == 0 && !w->json, result);
done:
    pv_run_config_free(b.config);
    return st;
}

const pv_command pv_bench_align = {
    .plugin = {.name = "align", .help = "pairs that weight matching aligns a second", PV_OWN(options, words)},
    .about =
        "Fits pairs of INRs with two hidden layers of 32, 64 and 128 units to made-up pictures and times\n"
        "weight matching of them, plain and signed, on all ranks at once.  Tells the objective and the loss\n"
        "barrier between the two.\n",
    .run = run_bench,
};
