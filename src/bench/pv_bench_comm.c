/* `polyview bench comm`: what the messages of a fit and a training cost on these ranks. */
#include "run/pv_timing.h"
#include "bench/pv_benches.h"
#include "plan/pv_comm_measure.h"
#include "nn/pv_model.h"

#include <stdio.h>
#include <unistd.h>

enum { OBJECTS = 256 }; /* of the store that is opened and closed */

/* The words of the command line. */
typedef struct words {
    char *config, *dir;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, config), .value = "FILE", .meaning = "of the model and the store"},
    PV_OPTION_DIR(words),
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

typedef struct comm_bench {
    const pv_comm *comm;
    pv_run_config *config;
    pv_signal *signal;
    int64_t gradient;
    int row;
    pv_comm_figures figures;
    pv_timed_fill store;
} comm_bench;

/* Sizes of a row and of the model's gradient. */
static pv_status find_sizes(comm_bench *b)
{
    pv_arch arch;
    pv_model *model = NULL;
    pv_status st = pv_arch_make(&b->config->inr, pv_signal_form(b->signal)->inputs,
                                pv_signal_form(b->signal)->channels, b->config->fit.seed, &arch);
    if (st == PV_OK) st = pv_model_new(&b->config->model, &arch, pv_signal_classes(b->signal), 1, &model);
    if (st != PV_OK) return st;
    b->row = pv_arch_params(&arch);
    b->gradient = pv_model_count(model);
    pv_model_free(model);
    return PV_OK;
}

static pv_status time_store(comm_bench *b, const char *directory)
{
    char path[PV_TIMING_PATH];
    pv_status st = pv_agree(b->comm, pv_timing_path(b->comm, directory, path));
    if (st != PV_OK) return st;
    st = pv_time_fill(b->comm, b->config, b->signal, path, &b->config->storage, 1, &b->store);
    if (b->comm->rank == 0) unlink(path);
    return st;
}

static double gigabytes(pv_link link)
{
    return link.byte_seconds > 0 ? 1e-9 / link.byte_seconds : 0;
}

static void put_link(json_t *result, const char *name, pv_link link, bool known)
{
    json_t *object = json_object();
    pv_json_real(object, "latency_us", link.latency * 1e6);
    pv_json_real(object, "gb_per_s", gigabytes(link));
    json_object_set_new(object, "measured", json_boolean(known));
    json_object_set_new(result, name, object);
}

static void print_link(const char *what, pv_link link, bool known)
{
    fprintf(stderr, "  %-34s %10.2f us %8.2f GB/s%s\n", what, link.latency * 1e6, gigabytes(link),
            known ? "" : "   (a guess: there are no two)");
}

/* Puts everything into the result, and prints it if asked to. */
static void report(const comm_bench *b, bool print, json_t *result)
{
    const pv_comm_figures *f = &b->figures;
    const struct {
        const char *key, *text;
        double seconds, unit; /* what a second is in the result */
    } rows[] = {{"allreduce_8_bytes_us", "reduction of 8 bytes over all", f->small_allreduce, 1e6},
                {"allreduce_gradient_us", "reduction of a gradient over all", f->gradient_allreduce, 1e6},
                {"get_row_us", "a row from another rank", f->get, 1e6},
                {"counter_answer_us", "an answer of the work counter", f->counter_answer, 1e6},
                {"store_create_ms", "making a store", b->store.create, 1e3},
                {"store_open_ms", "opening a store on all ranks", b->store.open, 1e3},
                {"store_close_ms", "closing it", b->store.close, 1e3}};
    pv_json_text(result, "bench", "comm");
    pv_json_int(result, "gradient_floats", b->gradient);
    pv_json_int(result, "row_floats", b->row);
    if (print)
        fprintf(stderr, "  %d ranks on %d node(s); a gradient of %lld floats, a row of %d\n", b->comm->size,
                b->comm->nodes, (long long)b->gradient, b->row);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pv_json_real(result, rows[i].key, rows[i].seconds * rows[i].unit);
        if (print) fprintf(stderr, "  %-34s %10.2f us\n", rows[i].text, rows[i].seconds * 1e6);
    }
    pv_json_real(result, "counter_fetches_per_s", 1 / f->counter);
    put_link(result, "inside", f->inside, f->knows_inside);
    put_link(result, "between", f->between, f->knows_between);
    if (print) print_link("a message within a node", f->inside, f->knows_inside);
    if (print) print_link("a message between nodes", f->between, f->knows_between);
    pv_result_machine(b->comm, result);
}

static pv_status prepare(comm_bench *b, const words *w)
{
    pv_status st = pv_config_of_file(b->comm, w->config, &w->set, &b->config);
    if (st != PV_OK) return st;
    pv_signal_opts *signal = &b->config->signal;
    signal->most = OBJECTS;
    signal->val = signal->test = 0;
    st = pv_signal_open(b->comm, signal, &b->signal);
    return st == PV_OK ? pv_agree(b->comm, find_sizes(b)) : st;
}

static pv_status run_bench(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    comm_bench b = {.comm = comm};
    pv_status st;
    (void)run; /* a bench leaves no record */
    PV_TRY(prepare(&b, w));
    PV_TRY(pv_comm_measure(comm, &b.config->train, b.gradient, b.row, &b.figures));
    PV_TRY(time_store(&b, w->dir));
    report(&b, comm->rank == 0 && !w->json, result);
done:
    pv_signal_close(b.signal);
    pv_run_config_free(b.config);
    return st;
}

const pv_command pv_bench_comm = {
    .plugin = {.name = "comm",
               .help = "what the messages of a fit and a training cost",
               PV_OWN(options, words)},
    .about =
        "Times messages on all ranks: reductions of 8 bytes and of the config's gradient, rows fetched from\n"
        "other ranks, the work counter, the links within and between nodes; and making, opening and closing\n"
        "a store.\n",
    .run = run_bench,
};
