/* `polyview align`: aligns the views of objects, and judges the path between them. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "cmd/pv_commands.h"
#include "run/pv_aligner.h"
#include "run/pv_open.h"

#include <math.h>
#include <stdio.h>

enum { SWEEPS = 16 };

/* The words of the command line. */
typedef struct words {
    char *store, *views;
    int64_t objects;
    int starts;
    bool json;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, store), .path = true, .required = true, .meaning = "the store"},
    {PV_KEY(words, objects), PV_AT_LEAST(1), .initial = "200",
     .meaning = "how many, spread evenly over the store"},
    {PV_KEY(words, views), .initial = "0,1", .value = "A,B", .meaning = "which two views of each"},
    {PV_KEY(words, starts), PV_BETWEEN(0, 1000), .value = "K", .initial = "0",
     .meaning = "descents of a matching; 0: enough to do as well as the published algorithm"},
    PV_OPTION_JSON(words),
    {0}};

/* Sums over pairs: a score's figures, and the squares of the barrier. */
typedef struct sums {
    double objective, barrier, squares, losses[PV_PATH_POINTS];
} sums;
enum { SUM_COUNT = sizeof(sums) / sizeof(double) };

typedef struct align {
    pv_store *store;
    pv_signal *signal;
    pv_aligner *aligner;
    int64_t objects, first_view, second_view, starts;
    int64_t pairs;
    double seconds;
    sums of[PV_WAYS];
} align;

static void add_scores(align *a, const pv_alignment_score scores[PV_WAYS])
{
    for (int way = 0; way < PV_WAYS; way++) {
        if (!pv_aligner_allows(pv_store_arch(a->store), way)) continue;
        a->of[way].objective += scores[way].objective;
        a->of[way].barrier += scores[way].barrier;
        a->of[way].squares += scores[way].barrier * scores[way].barrier;
        for (int i = 0; i < PV_PATH_POINTS; i++)
            a->of[way].losses[i] += scores[way].losses[i];
    }
    a->pairs++;
}

/* Reads the row of a view; *fitted: there is one. */
static pv_status read_view(const align *a, int64_t view, int64_t object, float *row, bool *fitted)
{
    uint8_t status = 0;
    pv_status st = pv_store_read_status(a->store, view, object, 1, &status);
    *fitted = status == PV_ROW_FITTED;
    if (st == PV_OK && *fitted) st = pv_store_read_rows(a->store, view, object, 1, row);
    return st;
}

static pv_status judge_object(align *a, int64_t object, float *rows, float *coords, float *values)
{
    float *const second = rows + pv_store_params(a->store);
    bool fitted[2] = {false, false};
    int64_t number;
    pv_alignment_score scores[PV_WAYS];
    pv_status st = pv_stop_check();
    if (st == PV_OK) st = read_view(a, a->first_view, object, rows, &fitted[0]);
    if (st == PV_OK) st = read_view(a, a->second_view, object, second, &fitted[1]);
    if (st != PV_OK || !fitted[0] || !fitted[1]) return st;
    st = pv_open_object(a->store, a->signal, object, &number);
    if (st != PV_OK) return st;
    st = pv_signal_samples(a->signal, number, coords, values);
    if (st != PV_OK) return st;
    pv_rng rng = pv_rng_open(1, PV_RNG_MATCH, (uint64_t)object, 0);
    st = pv_aligner_judge(a->aligner, rows, second, values, &rng, scores);
    if (st == PV_OK) add_scores(a, scores);
    return st;
}

/* This rank's share of the objects, which are spread evenly over the store. */
static pv_status judge_share(const pv_comm *comm, align *a)
{
    const int64_t all = pv_store_objects(a->store);
    const int64_t wanted = a->objects < all ? a->objects : all;
    float *rows = NULL, *coords = NULL, *values = NULL;
    int64_t first, count;
    pv_fresh fresh;
    pv_status st;
    PV_TRY(pv_open_fresh(a->store, 1, &fresh));
    PV_ALLOC(rows, 2 * (int64_t)pv_store_params(a->store));
    PV_ALLOC(values, (int64_t)pv_signal_form(a->signal)->samples * pv_signal_form(a->signal)->channels);
    PV_ALLOC(coords, (int64_t)pv_signal_form(a->signal)->samples * pv_signal_form(a->signal)->inputs);
    PV_TRY(pv_aligner_new(pv_store_arch(a->store), pv_signal_form(a->signal)->samples, coords, SWEEPS,
                          (int)a->starts, &fresh, &a->aligner));
    pv_share_of(wanted, comm->rank, comm->size, &first, &count);
    for (int64_t i = first; st == PV_OK && i < first + count; i++)
        st = judge_object(a, i * all / wanted, rows, coords, values);
done:
    PV_FREE(rows, coords, values);
    return st;
}

static pv_status judge(const pv_comm *comm, align *a)
{
    const double start = pv_seconds();
    pv_status st = pv_agree(comm, judge_share(comm, a));
    if (st != PV_OK) return st;
    MPI_Allreduce(MPI_IN_PLACE, &a->pairs, 1, MPI_INT64_T, MPI_SUM, comm->world);
    MPI_Allreduce(MPI_IN_PLACE, a->of, PV_WAYS * SUM_COUNT, MPI_DOUBLE, MPI_SUM, comm->world);
    a->seconds = pv_seconds() - start;
    if (a->pairs == 0)
        st = pv_fail(PV_ERR_DATA, "'%s': none of the objects is fitted in views %lld and %lld",
                     pv_store_path(a->store), (long long)a->first_view, (long long)a->second_view);
    return pv_agree(comm, st);
}

/* Of a mean over pairs. */
static double standard_error(double sum, double squares, int64_t n)
{
    const double count = (double)n, variance = (squares - sum * sum / count) / (count - 1);
    return n > 1 ? sqrt(fmax(0, variance) / count) : (double)NAN;
}

static void report(const pv_comm *comm, const align *a, json_t *result)
{
    const double pairs = (double)a->pairs;
    json_t *lambda = json_array(), *ways = json_object();
    for (int i = 0; i < PV_PATH_POINTS; i++)
        json_array_append_new(lambda, json_real((double)i / (PV_PATH_POINTS - 1)));
    for (int way = 0; way < PV_WAYS; way++) {
        if (!pv_aligner_allows(pv_store_arch(a->store), way)) continue;
        const sums *of = &a->of[way];
        json_t *entry = json_object(), *losses = json_array();
        for (int i = 0; i < PV_PATH_POINTS; i++)
            json_array_append_new(losses, json_real(of->losses[i] / pairs));
        pv_json_real(entry, "objective", of->objective / pairs);
        pv_json_real(entry, "barrier", of->barrier / pairs);
        pv_json_real(entry, "barrier_error", standard_error(of->barrier, of->squares, a->pairs));
        json_object_set_new(entry, "losses", losses);
        json_object_set_new(ways, pv_aligner_way(way), entry);
    }
    pv_json_text(result, "store", pv_store_path(a->store));
    pv_json_int(result, "pairs", a->pairs);
    pv_json_int(result, "starts", a->starts);
    json_object_set_new(result, "lambda", lambda);
    json_object_set_new(result, "alignments", ways);
    pv_json_real(result, "seconds", a->seconds);
    pv_result_machine(comm, result);
}

static void print_table(const align *a)
{
    const double pairs = (double)a->pairs;
    const int middle = PV_PATH_POINTS / 2;
    fprintf(stderr, "  views %lld and %lld of %lld objects; mean squared errors\n\n",
            (long long)a->first_view, (long long)a->second_view, (long long)a->pairs);
    fprintf(stderr, "  %-18s %10s %12s %12s %12s\n", "alignment", "objective", "at the ends", "midway",
            "barrier");
    for (int way = 0; way < PV_WAYS; way++) {
        if (!pv_aligner_allows(pv_store_arch(a->store), way)) continue;
        const sums *of = &a->of[way];
        fprintf(stderr, "  %-18s %10.4f %12.5f %12.5f %12.5f\n", pv_aligner_way(way), of->objective / pairs,
                (of->losses[0] + of->losses[PV_PATH_POINTS - 1]) / (2 * pairs), of->losses[middle] / pairs,
                of->barrier / pairs);
    }
}

static pv_status parse_views(const char *text, align *a)
{
    long long first, second;
    int end = 0;
    if (sscanf(text, "%lld,%lld%n", &first, &second, &end) != 2 || text[end] != '\0' || first < 0 ||
        second < 0 || first == second)
        return pv_fail(PV_ERR_USAGE, "--views needs two different views, as in 0,1, not '%s'", text);
    a->first_view = first;
    a->second_view = second;
    return PV_OK;
}

static pv_status run_align(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    align a = {.objects = w->objects, .starts = w->starts};
    pv_status st;
    PV_TRY(pv_agree(comm, parse_views(w->views, &a)));
    PV_TRY(pv_store_open(comm, w->store, PV_STORE_READ, NULL, &a.store));
    const int64_t most = a.first_view > a.second_view ? a.first_view : a.second_view;
    if (most >= pv_store_views(a.store))
        st = pv_fail(PV_ERR_USAGE, "view %lld is asked for, but '%s' holds views 0-%lld", (long long)most,
                     w->store, (long long)pv_store_views(a.store) - 1);
    PV_TRY(pv_agree(comm, st));
    PV_TRY(pv_open_signal(comm, a.store, &a.signal));
    PV_TRY(judge(comm, &a));
    report(comm, &a, result);
    pv_run_keep(run, w->store, NULL);
    if (comm->rank == 0 && !w->json) print_table(&a);
done:
    pv_aligner_free(a.aligner);
    pv_signal_close(a.signal);
    pv_store_close(a.store);
    return st;
}

const pv_command pv_command_align = {
    .plugin = {.name = "align",
               .help = "align the views of objects, and draw the loss between them",
               PV_OWN(options, words)},
    .about =
        "Aligns the second view of each object to the first not at all, by a permutation of its hidden\n"
        "units, by one with signs, by one with signs after the biases of both have been brought into one\n"
        "range (phases), and by the best of signs and phases unit by unit; and through a network that\n"
        "nobody fitted, to which both are matched (reference).  Reports the objective (the scalar product\n"
        "of the weights, less half of what the squares of biases have grown by), the mean squared error of\n"
        "the INRs on the straight path between them, and the barrier: how far it rises above its ends.\n"
        "`polyview-tools plot barrier` draws the JSON.\n",
    .run = run_align,
};
