/* `polyview bench store`: how fast rows are written, checked and loaded, beside plain writes and reads of
 * the same bytes in the same run. */
#include "base/pv_clock.h"
#include "base/pv_mem.h"
#include "base/pv_stop.h"
#include "run/pv_timing.h"
#include "bench/pv_benches.h"
#include "parallel/pv_shared.h"
#include "parallel/pv_watch.h"
#include "data/pv_dataset.h"
#include "store/pv_store.h"
#include "store/pv_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ROUNDS = 99, READ_BYTES = 1 << 20 };
static const int batches[] = {1, 16, 64, 256, 1024};
enum { BATCHES = sizeof batches / sizeof *batches };

/* The words of the command line. */
typedef struct words {
    char *config, *dir;
    int rounds;
    bool json;
    pv_words set;
} words;

static const pv_option options[] = {
    {PV_KEY(words, rounds), PV_BETWEEN(1, MAX_ROUNDS), .value = "R", .initial = "5", .meaning = "how often"},
    {PV_KEY(words, config), .value = "FILE", .meaning = "the objects and the INRs"},
    PV_OPTION_DIR(words),
    PV_OPTION_JSON(words),
    PV_OPTION_SETS(words),
    {0}};

/* What is timed, each beside its plain counterpart (collective writes by MPI-IO: independent ones). */
enum { WRITE, SYNCED, VERIFY, LOAD, UNVERIFIED, COLLECTIVE, KINDS };
static const struct {
    const char *key, *text; /* in the result and in the table */
    bool batched;           /* timed for every batch size */
} kinds[KINDS] = {[WRITE] = {"write", "write", true},
                  [SYNCED] = {"write_sync", "write and sync", true},
                  [VERIFY] = {"verify", "verify", false},
                  [LOAD] = {"load", "load", false},
                  [UNVERIFIED] = {"load_unverified", "load, no checksums", false},
                  [COLLECTIVE] = {"collective", "collective write", true}};

/* Seconds of the slowest rank. */
typedef struct timing {
    double ours, plain;
} timing;

/* Of all kinds and batch sizes; what is not batched comes first of its kind. */
typedef timing timings[KINDS][BATCHES];

static int batches_of(int kind)
{
    return kinds[kind].batched ? BATCHES : 1;
}

typedef struct store_bench {
    const pv_comm *comm;
    pv_run_config *config;
    pv_signal *signal;
    pv_arch arch;
    int64_t first, count; /* this rank's objects */
    int params, rounds;
    char path[PV_TIMING_PATH], plain[PV_TIMING_PATH + 4]; /* of the store, and of a file of the same rows */
    float *rows, *psnr;                                   /* a batch */
    uint32_t *steps;
    uint8_t *status;
    timings median; /* over rounds */
} store_bench;

static double begin(const store_bench *b)
{
    MPI_Barrier(b->comm->world);
    return pv_seconds();
}

static pv_status write_rows(store_bench *b, pv_store *store, int batch)
{
    pv_status st = PV_OK;
    for (int64_t done = 0; st == PV_OK && done < b->count; done += batch) {
        const int64_t left = b->count - done;
        if ((st = pv_stop_check()) == PV_OK)
            st = pv_store_write_rows(store, 0, b->first + done, left < batch ? left : batch, b->rows, b->psnr,
                                     b->steps, b->status);
    }
    return st;
}

/* Fresh pages cost more than written ones: both files are new in every round. */
static pv_status time_store(store_bench *b, int batch, bool sync, double *seconds)
{
    const pv_storage_opts storage = {.reserve = true, .sync = sync, .hints = (char[]){""}};
    const pv_store_spec spec = {b->signal, &b->arch, "dwsnets", 1, ""};
    pv_store *store = NULL;
    pv_status st;
    if (b->comm->rank == 0) unlink(b->path);
    PV_TRY(pv_store_create(b->comm, b->path, &spec, &storage));
    PV_TRY(pv_store_open(b->comm, b->path, PV_STORE_WRITE, &storage, &store));
    const double start = begin(b);
    st = write_rows(b, store, batch);
    *seconds = pv_timing_slowest(b->comm, start);
    st = pv_agree(b->comm, st);
done:
    pv_store_close(store);
    return st;
}

static pv_status plain_error(const store_bench *b)
{
    return pv_fail(PV_ERR_IO, "'%s': %s", b->plain, strerror(errno));
}

static pv_status write_plainly(const store_bench *b, int fd, int batch, bool sync)
{
    const int64_t row = (int64_t)sizeof *b->rows * b->params;
    for (int64_t done = 0; done < b->count; done += batch) {
        const int64_t left = b->count - done, rows = left < batch ? left : batch;
        if (pv_stop_requested()) return pv_stop_fail();
        if (pwrite(fd, b->rows, (size_t)(rows * row), (off_t)((b->first + done) * row)) !=
            (ssize_t)(rows * row))
            return plain_error(b);
        if (sync && fdatasync(fd) != 0) return plain_error(b);
    }
    return PV_OK;
}

/* The plain file anew, its space allocated. */
static pv_status make_plain(const store_bench *b)
{
    const off_t bytes = (off_t)sizeof *b->rows * b->params * (off_t)pv_signal_objects(b->signal);
    pv_status st = pv_stop_check();
    if (st == PV_OK && b->comm->rank == 0) {
        unlink(b->plain);
        const int made = open(b->plain, O_CREAT | O_WRONLY, 0666);
        if (made < 0 || posix_fallocate(made, 0, bytes) != 0) st = plain_error(b);
        if (made >= 0) close(made);
    }
    return pv_agree(b->comm, st);
}

static pv_status time_plain_write(const store_bench *b, int batch, bool sync, double *seconds)
{
    pv_status st = make_plain(b);
    if (st != PV_OK) return st;
    const int fd = open(b->plain, O_WRONLY);
    const double start = begin(b);
    st = fd < 0 ? plain_error(b) : write_plainly(b, fd, batch, sync);
    *seconds = pv_timing_slowest(b->comm, start);
    if (fd >= 0) close(fd);
    return pv_agree(b->comm, st);
}

/* Collective calls are as many on every rank; the last ones may write nothing. */
static int write_by_mpi(const store_bench *b, MPI_File file, int batch, bool collective)
{
    const int64_t row = (int64_t)sizeof *b->rows * b->params, ranks = b->comm->size;
    const int64_t most = collective ? (pv_signal_objects(b->signal) + ranks - 1) / ranks : b->count;
    int failed = 0;
    for (int64_t done = 0; !failed && done < most; done += batch) {
        const int64_t left = done < b->count ? b->count - done : 0;
        const int bytes = (int)((left < batch ? left : batch) * row);
        const MPI_Offset at = (MPI_Offset)((b->first + done) * row);
        failed = collective ? MPI_File_write_at_all(file, at, b->rows, bytes, MPI_BYTE, MPI_STATUS_IGNORE)
                            : MPI_File_write_at(file, at, b->rows, bytes, MPI_BYTE, MPI_STATUS_IGNORE);
    }
    return failed;
}

/* Who fails within MPI-IO leaves the others waiting there. */
static int open_by_mpi(const store_bench *b, MPI_File *file)
{
    pv_watch watch;
    pv_watch_begin(&watch, b->comm, "opening", b->plain);
    const int failed = MPI_File_open(b->comm->world, b->plain, MPI_MODE_WRONLY, MPI_INFO_NULL, file);
    pv_watch_end(&watch);
    return failed;
}

static pv_status time_mpi_write(const store_bench *b, int batch, bool collective, double *seconds)
{
    MPI_File file;
    pv_watch watch;
    pv_status st = make_plain(b);
    if (st != PV_OK) return st;
    if (access(b->plain, W_OK) != 0) st = plain_error(b);
    PV_TRY(pv_agree(b->comm, st));
    st = open_by_mpi(b, &file) ? pv_fail(PV_ERR_IO, "cannot open '%s'", b->plain) : PV_OK;
    PV_TRY(pv_agree(b->comm, st));
    pv_watch_begin(&watch, b->comm, "writing", b->plain);
    const double start = begin(b);
    const int failed = write_by_mpi(b, file, batch, collective);
    *seconds = pv_timing_slowest(b->comm, start);
    MPI_File_close(&file);
    pv_watch_end(&watch);
    st = pv_agree(b->comm, failed ? pv_fail(PV_ERR_IO, "cannot write '%s'", b->plain) : PV_OK);
done:
    return st;
}

/* The share of the plain file that belongs to this rank, into one buffer or to its place in `all`. */
static pv_status read_plainly(const store_bench *b, char *all)
{
    const int64_t row = (int64_t)sizeof *b->rows * b->params, end = (b->first + b->count) * row;
    const int fd = open(b->plain, O_RDONLY);
    pv_status st = fd < 0 ? plain_error(b) : PV_OK;
    for (int64_t at = b->first * row; st == PV_OK && at < end; at += READ_BYTES) {
        if ((st = pv_stop_check()) != PV_OK) break;
        const int64_t bytes = end - at < READ_BYTES ? end - at : READ_BYTES;
        if (pread(fd, all ? all + at : (char *)b->rows, (size_t)bytes, (off_t)at) != (ssize_t)bytes)
            st = plain_error(b);
    }
    if (fd >= 0) close(fd);
    return st;
}

static pv_status time_verify(store_bench *b, const pv_store *store, timing *t)
{
    pv_verify_result found = {0};
    double start = begin(b);
    pv_status st = pv_verify(b->comm, store, &found);
    t->ours = pv_timing_slowest(b->comm, start);
    if (st == PV_OK && found.bad > 0)
        st = pv_fail(PV_ERR_DATA, "'%s': %lld rows were not read as they were written", b->path,
                     (long long)found.bad);
    free(found.bad_rows);
    if (st != PV_OK) return st;
    start = begin(b);
    st = pv_agree(b->comm, read_plainly(b, NULL));
    t->plain = pv_timing_slowest(b->comm, start);
    return st;
}

/* Into shared memory that is new each time, as training does. */
static pv_status time_load(store_bench *b, const pv_store *store, bool verified, timing *t)
{
    const pv_dataset_opts opts = {PV_SPLIT_TRAIN, 0, 1, verified, .placement = PV_PLACE_NODE};
    const int64_t bytes = (int64_t)sizeof *b->rows * b->params * pv_signal_objects(b->signal);
    pv_dataset *dataset = NULL;
    pv_shared shared = {0};
    double start = begin(b);
    pv_status st = pv_dataset_open(b->comm, store, &opts, &dataset);
    t->ours = pv_timing_slowest(b->comm, start);
    pv_dataset_close(dataset);
    if (st != PV_OK) return st;
    start = begin(b);
    PV_TRY(pv_agree(b->comm, pv_shared_open(b->comm, bytes, &shared)));
    PV_TRY(pv_agree(b->comm, read_plainly(b, shared.data)));
    pv_shared_sync(b->comm, &shared);
    t->plain = pv_timing_slowest(b->comm, start);
done:
    pv_shared_close(&shared);
    return st;
}

/* Writes whole files, then reads them. */
static pv_status time_reads(store_bench *b, timings t)
{
    pv_store *store = NULL;
    pv_status st;
    PV_TRY(time_store(b, batches[BATCHES - 1], false, &t[VERIFY]->ours));
    PV_TRY(time_plain_write(b, batches[BATCHES - 1], false, &t[VERIFY]->plain));
    PV_TRY(pv_store_open(b->comm, b->path, PV_STORE_READ, NULL, &store));
    PV_TRY(time_verify(b, store, t[VERIFY]));
    PV_TRY(time_load(b, store, true, t[LOAD]));
    PV_TRY(time_load(b, store, false, t[UNVERIFIED]));
done:
    pv_store_close(store);
    return st;
}

static pv_status time_writes(store_bench *b, int i, timings t)
{
    const int batch = batches[i];
    pv_status st;
    t[SYNCED][i] = (timing){(double)NAN, (double)NAN}; /* a row alone is never brought to disk */
    PV_TRY(time_store(b, batch, false, &t[WRITE][i].ours));
    PV_TRY(time_plain_write(b, batch, false, &t[WRITE][i].plain));
    if (batch > 1) {
        PV_TRY(time_store(b, batch, true, &t[SYNCED][i].ours));
        PV_TRY(time_plain_write(b, batch, true, &t[SYNCED][i].plain));
    }
    PV_TRY(time_mpi_write(b, batch, true, &t[COLLECTIVE][i].ours));
    PV_TRY(time_mpi_write(b, batch, false, &t[COLLECTIVE][i].plain));
done:
    return st;
}

static timing median_of(timings *of, int rounds, int kind, int i)
{
    double ours[MAX_ROUNDS], plain[MAX_ROUNDS];
    for (int round = 0; round < rounds; round++) {
        ours[round] = of[round][kind][i].ours;
        plain[round] = of[round][kind][i].plain;
    }
    return (timing){pv_median(rounds, ours), pv_median(rounds, plain)};
}

/* All kinds in turn, round after round: what drifts, drifts for all. */
static pv_status measure(store_bench *b)
{
    timings rounds[MAX_ROUNDS];
    pv_status st = PV_OK;
    for (int round = 0; round < b->rounds; round++) {
        for (int i = 0; i < BATCHES; i++)
            PV_TRY(time_writes(b, i, rounds[round]));
        PV_TRY(time_reads(b, rounds[round]));
    }
    for (int kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < batches_of(kind); i++)
            b->median[kind][i] = median_of(rounds, b->rounds, kind, i);
done:
    return st;
}

static double megabytes(const store_bench *b)
{
    return (double)sizeof *b->rows * b->params * (double)pv_signal_objects(b->signal) / 1e6;
}

static json_t *describe(const store_bench *b, const timing *t)
{
    json_t *object = json_object();
    pv_json_real(object, "mb_per_s", megabytes(b) / t->ours);
    pv_json_real(object, "rows_per_s", (double)pv_signal_objects(b->signal) / t->ours);
    pv_json_real(object, "plain_mb_per_s", megabytes(b) / t->plain);
    pv_json_real(object, "share", t->plain / t->ours);
    return object;
}

static void print_row(const store_bench *b, int kind, int i)
{
    const timing *t = &b->median[kind][i];
    char name[64];
    snprintf(name, sizeof name, kinds[kind].batched ? "%s, %d rows" : "%s", kinds[kind].text, batches[i]);
    fprintf(stderr, "  %-28s %12.0f %10.0f %10.0f %8.2f\n", name,
            (double)pv_signal_objects(b->signal) / t->ours, megabytes(b) / t->ours, megabytes(b) / t->plain,
            t->plain / t->ours);
}

/* Puts everything into the result, and prints it if asked to. */
static void report(const store_bench *b, bool print, json_t *result)
{
    pv_json_text(result, "bench", "store");
    pv_json_int(result, "rows", pv_signal_objects(b->signal));
    pv_json_int(result, "params", b->params);
    if (print) {
        fprintf(stderr, "  %lld rows of %d floats, %d ranks\n", (long long)pv_signal_objects(b->signal),
                b->params, b->comm->size);
        fprintf(stderr, "  %-28s %12s %10s %10s %8s\n", "", "rows/s", "MB/s", "plain MB/s", "share");
    }
    for (int kind = 0; kind < KINDS; kind++) {
        json_t *of_batches = json_object();
        if (print && kind == COLLECTIVE)
            fprintf(stderr, "  %-28s %12s %10s %10s %8s\n", "MPI-IO, plain file", "", "collective",
                    "independ.", "");
        for (int i = 0; i < batches_of(kind); i++) {
            char key[16];
            snprintf(key, sizeof key, "%d", batches[i]);
            if (isnan(b->median[kind][i].ours)) continue;
            json_object_set_new(of_batches, key, describe(b, &b->median[kind][i]));
            if (print) print_row(b, kind, i);
        }
        json_object_set(result, kinds[kind].key,
                        kinds[kind].batched ? of_batches : json_object_get(of_batches, "1"));
        json_decref(of_batches);
    }
    pv_result_machine(b->comm, result);
}

/* A batch of made-up rows. */
static pv_status make_rows(store_bench *b)
{
    const int most = batches[BATCHES - 1];
    pv_status st = PV_OK;
    b->params = pv_arch_params(&b->arch);
    const int64_t floats = (int64_t)most * b->params, least = READ_BYTES / (int64_t)sizeof *b->rows;
    pv_share_of(pv_signal_objects(b->signal), b->comm->rank, b->comm->size, &b->first, &b->count);
    PV_ALLOC(b->rows, floats > least ? floats : least);
    PV_ALLOC(b->psnr, most);
    PV_ALLOC(b->steps, most);
    PV_ALLOC(b->status, most);
    for (int64_t i = 0; i < floats; i++)
        b->rows[i] = (float)i / (float)floats - 0.5F;
    memset(b->status, PV_ROW_FITTED, (size_t)most);
done:
    return st;
}

/* Every object of the signal in the train split, so that loading reads all rows. */
static pv_status open_signal(store_bench *b)
{
    pv_signal_opts opts = b->config->signal;
    opts.train_first = 0;
    opts.val = opts.test = 0;
    return pv_signal_open(b->comm, &opts, &b->signal);
}

static pv_status prepare(store_bench *b, const words *w)
{
    pv_status st = pv_config_of_file(b->comm, w->config, &w->set, &b->config);
    if (st != PV_OK) return st;
    PV_TRY(open_signal(b));
    PV_TRY(
        pv_agree(b->comm, pv_arch_make(&b->config->inr, pv_signal_form(b->signal)->inputs,
                                       pv_signal_form(b->signal)->channels, b->config->fit.seed, &b->arch)));
    PV_TRY(pv_agree(b->comm, make_rows(b)));
    PV_TRY(pv_agree(b->comm, pv_timing_path(b->comm, w->dir, b->path)));
    snprintf(b->plain, sizeof b->plain, "%s.bin", b->path);
done:
    return st;
}

static pv_status run_bench(const pv_comm *comm, pv_run *run, const void *own, json_t *result)
{
    const words *w = own;
    store_bench b = {.comm = comm, .rounds = w->rounds};
    pv_status st;
    (void)run; /* a bench leaves no record */
    PV_TRY(prepare(&b, w));
    st = measure(&b);
    if (comm->rank == 0) {
        unlink(b.path);
        unlink(b.plain);
    }
    if (st == PV_OK) report(&b, comm->rank == 0 && !w->json, result);
done:
    PV_FREE(b.rows, b.psnr, b.steps, b.status);
    pv_signal_close(b.signal);
    pv_run_config_free(b.config);
    return st;
}

const pv_command pv_bench_store = {
    .plugin = {.name = "store",
               .help = "how fast rows are written, checked and loaded",
               PV_OWN(options, words)},
    .about =
        "Times writes of 1 to 1024 rows beside plain writes of the same bytes, with and without sync;\n"
        "verify, and loading for training with and without checksums, beside plain reads; and collective\n"
        "writes by MPI-IO beside independent ones.  Nothing leaves the operating system's cache but what\n"
        "sync brings to disk.\n",
    .run = run_bench,
};
