/* `polyview info`: what a store holds. */
#include "cmd/pv_commands.h"
#include "parallel/pv_walk.h"
#include "run/pv_open.h"
#include "run/pv_record.h"
#include "store/pv_store.h"
#include "store/pv_tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of the command line. */
typedef struct words {
    char *path;
    bool json;
} words;

static const pv_option options[] = {
    {.name = "STORE", PV_MEMBER(words, path), .path = true, .required = true, .meaning = "the store"},
    PV_OPTION_JSON(words),
    {0}};

enum { SPLITS = 3, BLOCK = 1 << 18 };

/* Objects of each split, over this rank's share. */
typedef struct split_counts {
    const pv_store *store;
    uint8_t splits[BLOCK];
    int64_t of[SPLITS];
} split_counts;

static pv_status count_splits(void *context, int64_t first, int64_t count)
{
    split_counts *const c = context;
    const pv_status st = pv_store_read_splits(c->store, first, count, c->splits);
    for (int64_t i = 0; st == PV_OK && i < count; i++)
        if (c->splits[i] < SPLITS) c->of[c->splits[i]]++;
    return st;
}

/* [[dB, rows], ...]: the bins from the lowest to the highest that holds a row. */
static json_t *describe_psnr(const pv_tally *tally)
{
    json_t *bins = json_array();
    int low = 0, high = PV_TALLY_BINS - 1;
    while (low < high && tally->psnr_bins[low] == 0)
        low++;
    while (high > low && tally->psnr_bins[high] == 0)
        high--;
    for (int bin = low; tally->fitted > tally->psnr_unknown && bin <= high; bin++)
        json_array_append_new(bins, json_pack("[i,I]", bin, (json_int_t)tally->psnr_bins[bin]));
    return bins;
}

/* What the runs that made a store took. */
typedef struct making {
    int64_t runs, fitted;
    double seconds, core_seconds, steps;
} making;

static void add_run(void *context, const pv_past_run *run)
{
    making *total = context;
    if (run->fitted <= 0) return;
    total->runs++;
    total->fitted += run->fitted;
    total->steps += run->fit_steps;
    total->seconds += run->fit_seconds;
    total->core_seconds += run->fit_seconds * run->ranks;
}

/* How the store was made, as far as its runs were recorded. */
static void report_making(const pv_store *store, json_t *result)
{
    making runs = {0};
    char *records = pv_record_path(pv_store_path(store));
    if (records) (void)pv_records_read(records, add_run, &runs);
    free(records);
    pv_json_text(result, "code_version", pv_store_text(store, PV_STORE_CODE_VERSION));
    pv_json_text(result, "instruction_set", pv_store_text(store, PV_STORE_INSTRUCTION_SET));
    pv_json_int(result, "runs", runs.runs);
    if (runs.seconds <= 0) return;
    pv_json_int(result, "runs_fitted", runs.fitted);
    pv_json_real(result, "runs_seconds", runs.seconds);
    pv_json_real(result, "core_hours", runs.core_seconds / 3600);
    pv_json_real(result, "inr_steps_per_s", runs.steps / runs.seconds);
    pv_json_real(result, "views_per_s", (double)runs.fitted / runs.seconds);
}

static pv_status report(const pv_store *store, const int64_t splits[SPLITS], const pv_tally *counts,
                        json_t *result)
{
    int64_t length, on_disk;
    const pv_status st = pv_store_bytes(store, &length, &on_disk);
    if (st != PV_OK) return st;
    pv_json_text(result, "store", pv_store_path(store));
    json_object_set_new(result, "arch", pv_arch_to_json(pv_store_arch(store)));
    pv_json_int(result, "params", pv_store_params(store));
    pv_json_int(result, "views", pv_store_views(store));
    pv_json_int(result, "objects", pv_store_objects(store));
    pv_json_int(result, "train", splits[0]);
    pv_json_int(result, "val", splits[1]);
    pv_json_int(result, "test", splits[2]);
    pv_json_int(result, "rows", pv_store_views(store) * pv_store_objects(store));
    pv_json_int(result, "fitted", counts->fitted);
    pv_json_int(result, "refused", counts->refused);
    pv_json_real(result, "mean_psnr_db", counts->mean_psnr_db);
    if (pv_store_is_judged(store)) {
        pv_json_real(result, "mean_iou", counts->mean_iou);
        pv_json_real(result, "mean_surface_error", counts->mean_surface_error);
    }
    pv_json_int(result, "psnr_unknown", counts->psnr_unknown);
    pv_json_int(result, "psnr_infinite", counts->psnr_infinite);
    pv_json_int(result, "psnr_negative", counts->psnr_negative);
    pv_json_int(result, "missing",
                pv_store_views(store) * pv_store_objects(store) - counts->fitted - counts->refused);
    json_object_set_new(result, "psnr_histogram", describe_psnr(counts));
    pv_json_int(result, "shards", pv_store_shards(store));
    pv_json_int(result, "bytes", length);
    pv_json_int(result, "bytes_on_disk", on_disk);
    report_making(store, result);
    const pv_status told = pv_open_tell_init(store, result);
    if (told != PV_OK) return told;
    const pv_class_name *names = pv_store_class_names(store);
    json_t *called = json_array();
    for (int c = 0; names && c < pv_store_signal(store)->classes; c++)
        json_array_append_new(called, json_string(names[c].text));
    if (names) json_object_set(result, "class_names", called);
    json_decref(called);
    json_object_set_new(result, "signal", json_loads(pv_store_text(store, PV_STORE_SIGNAL), 0, NULL));
    return st;
}

/* One line a bin: dB, rows, a bar. */
static void print_histogram(const json_t *bins)
{
    enum { BAR = 40 };
    json_int_t most = 1;
    size_t i;
    const json_t *bin;
    json_array_foreach(bins, i, bin)
    {
        const json_int_t rows = json_integer_value(json_array_get(bin, 1));
        most = rows > most ? rows : most;
    }
    json_array_foreach(bins, i, bin)
    {
        const json_int_t rows = json_integer_value(json_array_get(bin, 1));
        const int length = (int)((rows * BAR + most - 1) / most);
        fprintf(stderr, "  %3lld dB %9lld %.*s\n", (long long)json_integer_value(json_array_get(bin, 0)),
                (long long)rows, length, "########################################");
    }
}

static void print_table(const pv_store *store, const json_t *result)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)result, key, value)
    {
        if (strcmp(key, "psnr_histogram") == 0) continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        fprintf(stderr, "  %-14s %s\n", key, text ? text : "");
        free(text);
    }
    print_histogram(json_object_get(result, "psnr_histogram"));
    fprintf(stderr, "  config\n%s", pv_store_text(store, PV_STORE_CONFIG));
}

static pv_status run_info(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    pv_store *store = NULL;
    split_counts splits = {0};
    pv_tally tally;
    pv_status st;
    (void)run; /* looking leaves no record */
    PV_TRY(pv_store_open(comm, w->path, PV_STORE_READ, NULL, &store));
    splits.store = store;
    const pv_walk walk = {.what = "counting",
                          .unit = "objects",
                          .items = pv_store_objects(store),
                          .block = BLOCK,
                          .visit = count_splits,
                          .context = &splits};
    PV_TRY(pv_walk_all(comm, &walk));
    MPI_Allreduce(MPI_IN_PLACE, splits.of, SPLITS, MPI_INT64_T, MPI_SUM, comm->world);
    PV_TRY(pv_tally_store(comm, store, &tally));
    PV_TRY(pv_agree(comm, report(store, splits.of, &tally, result)));
    if (comm->rank == 0 && !w->json) print_table(store, result);
done:
    pv_store_close(store);
    return st;
}

const pv_command pv_command_info = {
    .plugin = {.name = "info", .help = "show what a store holds and how it was made", PV_OWN(options, words)},
    .about = "Prints a table, a histogram of PSNRs and the config to stderr, and the same facts as one JSON\n"
             "line. What the store took to make is what its runs wrote into <store>.runs.jsonl.\n",
    .run = run_info,
};
