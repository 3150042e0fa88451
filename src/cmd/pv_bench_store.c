/* `polyview bench store`: how fast rows are written, checked and loaded, beside plain writes and reads of the same
 * bytes in the same run. */
#include "base/pv_log.h"
#include "base/pv_mem.h"
#include "cmd/pv_bench.h"
#include "cmd/pv_cmd.h"
#include "sampler/pv_dataset.h"
#include "store/pv_store.h"
#include "store/pv_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096, MAX_ROUNDS = 99, DEFAULT_ROUNDS = 5, READ_BYTES = 1 << 20 };
static const int batches[] = {1, 16, 64, 256, 1024};
enum { BATCHES = sizeof batches / sizeof *batches };

/* What is timed, each beside its plain counterpart; seconds of the slowest rank, medians over rounds. */
typedef struct timing {
    double ours, plain;
} timing;

typedef struct store_bench {
    const pv_comm *comm;
    pv_config *config;
    pv_signal *signal;
    pv_arch arch;
    int64_t first, count; /* this rank's objects */
    int params, rounds;
    char path[PATH], plain[PATH]; /* of the store, and of a file of the same rows */
    float *rows, *psnr;           /* a batch */
    uint32_t *steps;
    uint8_t *status;
    timing write[BATCHES], synced[BATCHES], verify, load;
} store_bench;

/* Seconds from `start` to the end of the slowest rank.  Collective. */
static double slowest(const store_bench *b, double start)
{
    double seconds = pv_seconds() - start;
    MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, b->comm->world);
    return seconds;
}

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
        st = pv_store_write_rows(store, 0, b->first + done, left < batch ? left : batch, b->rows, b->psnr,
                                 b->steps, b->status);
    }
    return st;
}

/* Fresh pages cost more than written ones: both files are new in every round. */
static pv_status time_store(store_bench *b, int batch, bool sync, double *seconds)
{
    const pv_storage_opts storage = {.reserve = true, .sync = sync, .hints = (char[]){""}};
    const pv_store_spec spec = {b->signal, b->config->signal.path, &b->arch, "dwsnets", 1, ""};
    pv_store *store = NULL;
    pv_status st;
    if (b->comm->rank == 0) unlink(b->path);
    PV_TRY(pv_store_create(b->comm, b->path, &spec, &storage));
    PV_TRY(pv_store_open(b->comm, b->path, PV_STORE_WRITE, &storage, &store));
    const double start = begin(b);
    st = write_rows(b, store, batch);
    *seconds = slowest(b, start);
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
        if (pwrite(fd, b->rows, (size_t)(rows * row), (off_t)((b->first + done) * row)) !=
            (ssize_t)(rows * row))
            return plain_error(b);
        if (sync && fdatasync(fd) != 0) return plain_error(b);
    }
    return PV_OK;
}

static pv_status time_plain_write(const store_bench *b, int batch, bool sync, double *seconds)
{
    const off_t bytes = (off_t)sizeof *b->rows * b->params * (off_t)pv_signal_objects(b->signal);
    pv_status st = PV_OK;
    if (b->comm->rank == 0) {
        unlink(b->plain);
        const int made = open(b->plain, O_CREAT | O_WRONLY, 0666);
        if (made < 0 || posix_fallocate(made, 0, bytes) != 0) st = plain_error(b);
        if (made >= 0) close(made);
    }
    PV_TRY(pv_agree(b->comm, st));
    const int fd = open(b->plain, O_WRONLY);
    const double start = begin(b);
    st = fd < 0 ? plain_error(b) : write_plainly(b, fd, batch, sync);
    *seconds = slowest(b, start);
    if (fd >= 0) close(fd);
    st = pv_agree(b->comm, st);
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
    t->ours = slowest(b, start);
    if (st == PV_OK && found.bad > 0)
        st = pv_fail(PV_ERR_DATA, "'%s': %lld rows were not read as they were written", b->path,
                     (long long)found.bad);
    free(found.bad_rows);
    if (st != PV_OK) return st;
    start = begin(b);
    st = pv_agree(b->comm, read_plainly(b, NULL));
    t->plain = slowest(b, start);
    return st;
}

/* Into shared memory that is new each time, as training does. */
static pv_status time_load(store_bench *b, const pv_store *store, timing *t)
{
    const pv_dataset_opts opts = {PV_SPLIT_TRAIN, 0, 1, true, .placement = PV_PLACE_NODE};
    const int64_t bytes = (int64_t)sizeof *b->rows * b->params * pv_signal_objects(b->signal);
    pv_dataset *dataset = NULL;
    pv_shared shared = {0};
    double start = begin(b);
    pv_status st = pv_dataset_open(b->comm, store, &opts, &dataset);
    t->ours = slowest(b, start);
    pv_dataset_close(dataset);
    if (st != PV_OK) return st;
    start = begin(b);
    PV_TRY(pv_agree(b->comm, pv_shared_open(b->comm, bytes, &shared)));
    PV_TRY(pv_agree(b->comm, read_plainly(b, shared.data)));
    pv_shared_sync(b->comm, &shared);
    t->plain = slowest(b, start);
done:
    pv_shared_close(&shared);
    return st;
}

static pv_status time_reads(store_bench *b, timing *verify, timing *load)
{
    pv_store *store = NULL;
    pv_status st;
    PV_TRY(pv_store_open(b->comm, b->path, PV_STORE_READ, NULL, &store));
    PV_TRY(time_verify(b, store, verify));
    PV_TRY(time_load(b, store, load));
done:
    pv_store_close(store);
    return st;
}

static timing median_of(const timing *rounds, int count, int stride)
{
    double ours[MAX_ROUNDS], plain[MAX_ROUNDS];
    for (int i = 0; i < count; i++) {
        ours[i] = rounds[i * stride].ours;
        plain[i] = rounds[i * stride].plain;
    }
    return (timing){pv_bench_median(count, ours), pv_bench_median(count, plain)};
}

/* All kinds in turn, round after round: what drifts, drifts for all. */
static pv_status measure(store_bench *b)
{
    enum { KINDS = 2 * BATCHES + 2, VERIFY = 2 * BATCHES, LOAD };
    timing rounds[MAX_ROUNDS][KINDS];
    pv_status st = PV_OK;
    for (int round = 0; round < b->rounds; round++) {
        timing *const t = rounds[round];
        for (int kind = 0; kind < 2 * BATCHES; kind++) {
            const bool sync = kind >= BATCHES;
            const int batch = batches[kind % BATCHES];
            t[kind] = (timing){(double)NAN, (double)NAN};
            if (sync && batch < batches[1]) continue; /* a row alone is never brought to disk */
            PV_TRY(time_store(b, batch, sync, &t[kind].ours));
            PV_TRY(time_plain_write(b, batch, sync, &t[kind].plain));
        }
        PV_TRY(time_reads(b, &t[VERIFY], &t[LOAD]));
    }
    for (int i = 0; i < BATCHES; i++) {
        b->write[i] = median_of(&rounds[0][i], b->rounds, KINDS);
        b->synced[i] = median_of(&rounds[0][BATCHES + i], b->rounds, KINDS);
    }
    b->verify = median_of(&rounds[0][VERIFY], b->rounds, KINDS);
    b->load = median_of(&rounds[0][LOAD], b->rounds, KINDS);
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
    pv_cmd_put_real(object, "mb_per_s", megabytes(b) / t->ours);
    pv_cmd_put_real(object, "rows_per_s", (double)pv_signal_objects(b->signal) / t->ours);
    pv_cmd_put_real(object, "plain_mb_per_s", megabytes(b) / t->plain);
    pv_cmd_put_real(object, "share", t->plain / t->ours);
    return object;
}

static void print_row(const store_bench *b, const char *what, int batch, const timing *t)
{
    char name[64];
    if (isnan(t->ours)) return;
    snprintf(name, sizeof name, batch ? "%s, %d rows" : "%s", what, batch);
    fprintf(stderr, "  %-28s %12.0f %10.0f %10.0f %8.2f\n", name,
            (double)pv_signal_objects(b->signal) / t->ours, megabytes(b) / t->ours, megabytes(b) / t->plain,
            t->plain / t->ours);
}

static void report(const store_bench *b, bool json_only, json_t *result)
{
    json_t *writes = json_object(), *synced = json_object();
    if (!json_only && b->comm->rank == 0) {
        fprintf(stderr, "  %lld rows of %d floats, %d ranks\n", (long long)pv_signal_objects(b->signal),
                b->params, b->comm->size);
        fprintf(stderr, "  %-28s %12s %10s %10s %8s\n", "", "rows/s", "MB/s", "plain MB/s", "share");
    }
    for (int i = 0; i < BATCHES; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", batches[i]);
        json_object_set_new(writes, key, describe(b, &b->write[i]));
        if (!isnan(b->synced[i].ours)) json_object_set_new(synced, key, describe(b, &b->synced[i]));
    }
    for (int i = 0; !json_only && b->comm->rank == 0 && i < BATCHES; i++)
        print_row(b, "write", batches[i], &b->write[i]);
    for (int i = 0; !json_only && b->comm->rank == 0 && i < BATCHES; i++)
        print_row(b, "write and sync", batches[i], &b->synced[i]);
    if (!json_only && b->comm->rank == 0) {
        print_row(b, "verify", 0, &b->verify);
        print_row(b, "load", 0, &b->load);
    }
    pv_cmd_put_text(result, "bench", "store");
    pv_cmd_put_int(result, "rows", pv_signal_objects(b->signal));
    pv_cmd_put_int(result, "params", b->params);
    json_object_set_new(result, "write", writes);
    json_object_set_new(result, "write_sync", synced);
    json_object_set_new(result, "verify", describe(b, &b->verify));
    json_object_set_new(result, "load", describe(b, &b->load));
    pv_cmd_put_machine(b->comm, result);
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
    memset(b->status, PV_VIEW_FITTED, (size_t)most);
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

static pv_status name_files(store_bench *b, const char *directory)
{
    long long pid = getpid();
    MPI_Bcast(&pid, 1, MPI_LONG_LONG, 0, b->comm->world);
    const int length = snprintf(b->path, PATH, "%s/polyview-bench-%lld.h5", directory, pid);
    snprintf(b->plain, PATH, "%s/polyview-bench-%lld.bin", directory, pid);
    return length < PATH - 4 ? PV_OK : pv_fail(PV_ERR_USAGE, "--dir: the path is too long");
}

static pv_status prepare(store_bench *b, const char *config, const pv_sets *sets, const char *directory)
{
    pv_status st;
    if (config)
        st = pv_cmd_config(b->comm, config, sets, &b->config);
    else
        st = pv_agree(b->comm, pv_config_load("the defaults", "", sets->words, sets->count, &b->config));
    if (st != PV_OK) return st;
    PV_TRY(open_signal(b));
    PV_TRY(pv_agree(b->comm, pv_arch_make(&b->config->inr, pv_signal_inputs(b->signal), pv_signal_channels(b->signal), &b->arch)));
    PV_TRY(pv_agree(b->comm, make_rows(b)));
    PV_TRY(pv_agree(b->comm, name_files(b, directory)));
done:
    return st;
}

static pv_status run_bench(const pv_comm *comm, int argc, char **argv, json_t *result)
{
    const char *config = NULL, *directory = ".", *rounds_text = NULL;
    bool json_only = false;
    pv_sets sets = {0};
    int64_t rounds = DEFAULT_ROUNDS;
    const pv_option options[] = {{.name = "config", .text = &config},
                                 {.name = "dir", .text = &directory},
                                 {.name = "rounds", .text = &rounds_text},
                                 {.name = "json", .flag = &json_only},
                                 {.name = "set", .sets = &sets}};
    store_bench b = {.comm = comm};
    pv_status st = pv_cmd_parse(argc, argv, options, sizeof options / sizeof *options, NULL, 0);
    if (st == PV_OK && rounds_text) st = pv_cmd_number("--rounds", rounds_text, &rounds);
    if (st == PV_OK && (rounds < 1 || rounds > MAX_ROUNDS))
        st = pv_fail(PV_ERR_USAGE, "--rounds is from 1 to %d", MAX_ROUNDS);
    PV_TRY(pv_agree(comm, st));
    b.rounds = (int)rounds;
    PV_TRY(prepare(&b, config, &sets, directory));
    st = measure(&b);
    if (comm->rank == 0) {
        unlink(b.path);
        unlink(b.plain);
    }
    if (st == PV_OK) report(&b, json_only, result);
done:
    free(b.rows);
    free(b.psnr);
    free(b.steps);
    free(b.status);
    pv_signal_close(b.signal);
    pv_config_free(b.config);
    return st;
}

const pv_command pv_command_bench_store = {.name = "store", .run = run_bench};
